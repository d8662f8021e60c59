"""`wherry interview ...`: what it prints and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.main import get_command

import wherry
from tests.apps.interview.conftest import ANSWER, POST, Shop
from tests.apps.interview.older import BROKEN
from tests.apps.interview.transcripts_kit import t1, t3
from tests.indexing.pdfs import make_pdf
from wherry.cli import main
from wherry.cli.failures import report
from wherry.postgres import server
from wherry_apps.interview.cli import commands

Command = Callable[..., tuple[int, Any]]


@pytest.fixture(scope="module")
def group() -> Any:
    """The commands, built once; building them takes longer than most of them run."""
    return get_command(commands)


@pytest.fixture
def command(pg: psycopg.Connection, group: Any, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command as `main` does; return its exit code and the JSON it printed, or its words."""

    def run(*words: Any, json_: bool = True) -> tuple[int, Any]:
        capsys.readouterr()
        args = [*map(str, words), *(["--json"] if json_ else [])]
        try:
            code = group.main(args, prog_name="wherry interview", standalone_mode=False)()
        except Exception as error:
            code = report(error, args)
        told = capsys.readouterr()
        return code, json.loads(told.out) if json_ else told.out + told.err

    return run


def test_the_whole_way_by_commands(command: Command, tmp_path: Path) -> None:
    pdf = tmp_path / "post.pdf"
    pdf.write_bytes(make_pdf([POST]))
    code, first = command("init")
    assert code == 0
    assert "idx_job_chunks_embedding_hnsw" in first["indexes"]
    assert {"jobs", "job_chunks", "interview_results"} <= set(first["tables"])
    assert command("init")[1]["changed"] is False
    company = command("add-company", "나루 물류")[1]["id"]
    person = command("add-applicant", "김하늘", "--skill", "Redis")[1]["id"]
    title = f"Backend {company}"
    code, job = command("upload", "--pdf-file", pdf, "--company-id", company, "--title", title)
    assert (code, job["failed"], job["existing"]) == (0, 0, False)
    assert job["embedded"] >= 1
    assert command("upload", "--pdf-file", pdf, "--company-id", company, "--title", title)[1]["existing"]
    code, found = command("search", "--query", "분산 캐시", "--top-k", 5, "--job-id", job["job_id"])
    assert set(found["hits"][0]) >= {"chunk_id", "job_id", "chunk_index", "similarity"}
    code, words = command("search", "--query", "분산 캐시", "--job-id", job["job_id"], json_=False)
    assert "similarity" in words
    here = command("start", "--applicant-id", person, "--job-id", job["job_id"])[1]
    code, told = command("answer", "--interview-id", here["id"], ANSWER)
    assert (code, told["turn"]) == (0, 1)
    code, told = command("answer", "--interview-id", here["id"], ANSWER, "--turn", 0)
    assert told["again"]
    assert command("evaluate", "--interview-id", here["id"])[1]["evaluated"] == 1
    code, results = command("results", "--interview-id", here["id"])
    (one,) = results["results"]
    assert one["stt_full_text"] == ANSWER
    assert one["scored_by"] == "rules-1"
    assert one["strengths"][0]["quote"] in ANSWER
    code, words = command("results", "--interview-id", here["id"], json_=False)
    assert one["question_text"] in words
    assert one["strengths"][0]["quote"] in words
    code, compared = command("compare", "--job-id", job["job_id"])
    assert [one["interview_id"] for one in compared["applicants"]] == [here["id"]]
    assert command("show", "jobs", job["job_id"])[1]["required_skills"][:2] == ["Kotlin", "Redis"]
    assert command("list", "jobs", json_=False)[0] == 0
    assert command("delete", "jobs", job["job_id"])[0] == 0
    assert command("search", "--query", "분산", "--job-id", job["job_id"])[1]["hits"] == []


def test_transcripts_by_command(command: Command, tmp_path: Path) -> None:
    person = command("add-applicant", "김하늘")[1]["id"]
    for number, content in enumerate((t1(applicant_id=person), t3())):
        file = tmp_path / f"{number}.json"
        file.write_text(json.dumps(content), encoding="utf-8")
        code, told = command("import-transcript", file, "--applicant-id", person)
        assert (code, len(told["not_scored"])) == (0, 1)
    code, words = command("import-transcript", file, "--applicant-id", person, json_=False)
    assert "was there already" in words
    assert "not recognised" in words


def test_questions_by_command(command: Command, tmp_path: Path) -> None:
    company = command("add-company", "c")[1]["id"]
    post = tmp_path / "p.txt"
    post.write_text(POST, encoding="utf-8")
    job = command("upload", "--text-file", post, "--company-id", company, "--title", "t")[1]["job_id"]
    assert len(command("questions", "--job-id", job)[1]["questions"]) == 6
    file = tmp_path / "q.json"
    file.write_text('{"interviewers": [{"id": 1, "type": "hr", "resume_based_questions": [{"question": "왜?"}]}]}')
    assert command("questions", "--job-id", job, "--file", file)[1]["questions"][0]["question_text"] == "왜?"


def test_a_folder_of_posts_goes_on_past_what_is_none(command: Command, tmp_path: Path) -> None:
    company = command("add-company", "c")[1]["id"]
    for n in range(3):
        (tmp_path / f"p{n}.txt").write_text(f"{POST} {n}", encoding="utf-8")
    (tmp_path / "photo.pdf").write_bytes(b"\x89PNG\x00\x00")
    code, told = command("upload-folder", tmp_path, "--company-id", company)
    assert code == 5
    assert [one["title"] for one in told["uploaded"]] == ["p0", "p1", "p2"]
    assert [one["file"] for one in told["refused"]] == ["photo.pdf"]
    (tmp_path / "photo.pdf").unlink()
    code, again = command("upload-folder", tmp_path, "--company-id", company)
    assert (code, [one["existing"] for one in again["uploaded"]]) == (0, [True] * 3)


def test_exit_codes(command: Command, tmp_path: Path, database_url: str, shop: Shop) -> None:
    image, broken, text = tmp_path / "cv.pdf", tmp_path / "x.json", tmp_path / "p.txt"
    image.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00")
    broken.write_text("{")
    text.write_text(POST, encoding="utf-8")
    company = ("--company-id", shop.company_id, "--title", "t")
    assert command("upload", "--pdf-file", image, *company)[0] == 5
    assert command("upload", "--pdf-file", tmp_path / "none.pdf", *company)[0] == 2
    assert command("upload", *company)[0] == 2
    assert command("upload", "--text-file", text, "--company-id", 2**31 - 1, "--title", "t")[0] == 2
    assert command("upload", "--text-file", text, *company, "--embedder", "hash:64")[0] == 3
    assert command("import-transcript", broken)[0] == 5
    code, told = command("import-transcript", _written(tmp_path, {"segments": [{}]}), "--applicant-id", 1)
    assert (code, told["fields"][:2]) == (5, ["segments.0.segment_id", "segments.0.segment_order"])
    assert command("results", "--interview-id", 2**31 - 1)[0] == 2
    assert command("evaluate", "--interview-id", shop.started({})["id"])[0] == 3
    assert command("search", "--query", " ")[0] == 5
    assert command("list", "people")[0] == 2
    with psycopg.connect(database_url.replace("hunter2", "x"), autocommit=True) as connection:
        connection.execute(BROKEN)
    assert command("list", "jobs", "--db-url", database_url)[0] == 3
    assert command("init", "--db-url", database_url)[0] == 3
    assert command("migrate", "--dry-run", "--db-url", database_url)[0] == 5
    code, words = command("migrate", "--db-url", database_url, json_=False)
    assert (code, "set aside: job_chunks 3" in words) == (5, True)
    assert command("migrate", "--db-url", database_url)[0] == 0
    assert len(command("list", "jobs", "--db-url", database_url)[1]["jobs"]) == 1


def _written(folder: Path, content: Any) -> Path:
    path = folder / "t.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "url", ["postgresql://me:s3cr3t-pw@127.0.0.1:9/none", "postgresql://me:s3cr3t-pw@no.such.host.invalid/none"]
)
def test_a_database_that_is_not_there_is_exit_4_with_the_password_masked(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    assert main(["interview", "init"]) == 4
    told = capsys.readouterr()
    assert "s3cr3t-pw" not in told.out + told.err
    assert "next" in told.err


def test_init_never_asks_with_stdin_closed(pg: psycopg.Connection) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wherry", "interview", "init", "--db-url", "postgresql://me:pw@127.0.0.1:9/x", "--json"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 4, done.stderr
    assert json.loads(done.stdout)["exit_code"] == 4


def test_the_demo_plays_offline(command: Command) -> None:
    code, told = command("demo")
    assert code == 0
    assert told["seconds"] < 60
    assert [one["applicant"]["name"] for one in told["comparison"]["applicants"]] == ["김하늘", "박강산", "이바다"]
    assert told["interviews"]["박강산"]["unscored"] == 1
    assert told["hits"][0]["title"] == "백엔드 엔지니어"
    by = {name for one in told["interviews"].values() for name in one["scored_by"]}
    assert by == {"rules-1"}


def test_an_exhausted_pool_names_its_variables(
    pg: psycopg.Connection, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wherry_apps.interview.service.opened import Interview

    for name, value in (("POOL_SIZE", "1"), ("MAX_OVERFLOW", "0"), ("POOL_TIMEOUT", "0.2")):
        monkeypatch.setenv(f"DB_{name}", value)
    on = Interview()
    on.prepare()
    with on.session() as held:
        held.connection()
        with pytest.raises(wherry.StoreError) as caught, on.session() as second:
            second.connection()
    told = str(caught.value)
    assert "DB_POOL_SIZE" in told
    assert "DB_MAX_OVERFLOW" in told
    on.close()
    monkeypatch.setenv("DB_POOL_SIZE", "many")
    with pytest.raises(wherry.Usage, match="DB_POOL_SIZE"):
        Interview().prepare()


def test_pool_settings_have_their_defaults(pg: psycopg.Connection) -> None:
    from wherry_apps.interview.service.opened import Interview

    pool = Interview().database.engine.pool
    assert (pool.size(), pool._max_overflow, pool._timeout, pool._recycle, pool._pre_ping) == (5, 10, 30, 3600, True)
    assert server.start()
