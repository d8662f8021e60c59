"""`wherry checkup` as people and scripts run it: one JSON object, exit codes, approval."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.apps.checkup import kit
from wherry.cli import main
from wherry_apps.checkup.cli import commands
from wherry_apps.checkup.jobs import results_of, seconds_of


def run(*args: str) -> int:
    return main(["checkup", *args])


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command, check its exit code, return its JSON object."""

    def call(code: int, *args: str) -> dict[str, Any]:
        capsys.readouterr()
        assert run(*args, "--json") == code, capsys.readouterr().err
        out = capsys.readouterr().out
        return json.loads(out) if out else {}

    return call


def test_the_phases_in_order(said: Any, base: Path, tmp_path: Path) -> None:
    root, source = str(tmp_path / "welno"), str(kit.l1(tmp_path))
    (tmp_path / "q.txt").write_text("\n".join(kit.QUESTIONS))
    for act in ("verify", "init", "migrate", "watch"):
        said(3, act, "--root", root)
    assert said(0, "extract", "--from", source, "--made-by", kit.MODEL, "--root", root)["documents"] == len(kit.TEXTS)
    assert said(0, "verify", "--root", root)["wrong"] == 0
    assert said(0, "init", "--root", root)["embedder"] == kit.MODEL
    assert said(0, "migrate", "--root", root)["verified"] == "verified"
    found = said(
        0, "compare", "--queries", str(tmp_path / "q.txt"), "--left", "cloud", "--right", "local", "--root", root
    )  # fmt: skip
    assert found["overlap@10"] == 1.0
    said(3, "switch", "--to", "local", "--root", root)
    said(2, "switch", "--to", "elsewhere", "--yes", "--root", root)
    assert said(0, "switch", "--to", "local", "--yes", "--root", root)["leads_to"].startswith("chroma:")
    assert said(1, "watch", "--for", "0.1s", "--every", "0.1s", "--root", root)["verdict"] == "unseen"
    answer = said(0, "ask", "혈당 108이면?", "--root", root)
    assert "108" in answer["answer"]
    assert answer["backend"] == "local"
    assert said(0, "status", "--root", root)["backend"] == "local"
    said(3, "rollback", "--root", root)
    assert said(0, "rollback", "--yes", "--root", root)["leads_to"].endswith("prepared.parquet")
    logged = [json.loads(line)["phase"] for line in (tmp_path / "welno" / "logs" / "migration.log").open()]
    assert logged == ["extract", "verify", "init", "migrate", "compare", "switch", "watch", "rollback"]


def test_exit_codes_say_what_went_wrong(said: Any, base: Path, tmp_path: Path) -> None:
    root = ("--root", str(tmp_path / "welno"))
    said(2, "extract", "--from", str(tmp_path / "absent.json"), *root)
    said(3, "extract", "--from", str(kit.l4(tmp_path)), *root)
    (tmp_path / "cut.json").write_text('{"documents": [{"id": "a"')
    said(6, "extract", "--from", str(tmp_path / "cut.json"), *root)
    documents = kit.documents()
    documents[2]["embedding"] = [1.0]
    said(0, "extract", "--from", str(kit.l1(tmp_path, documents=documents)), *root)
    assert run("verify", *root) == 6
    said(4, "extract", "--cloud", "llamacloud+http://127.0.0.1:9#x?metric=cosine&deadline=1", *root)


def test_a_folder_with_a_file_that_cannot_be_read(said: Any, moved: Path, base: Path, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("글")
    (tmp_path / "docs" / "b.pdf").write_bytes(b"no pdf")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "config.json").write_text((moved / "config.json").read_text())
    report = said(5, "update", str(tmp_path / "docs"), "--root", str(tmp_path / "own"))
    assert (report["new"], list(report["failures"])) == (1, ["b.pdf"])


def test_evidence_is_printed(said: Any, moved: Path, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps([{"fasting_glucose": 130, "sex": "M", "birth_date": "1980-01-01"}]))
    found = said(0, "evidence", str(tmp_path / "r.json"), "--family", "어머니 당뇨병", "--root", str(moved))
    assert found["query"].splitlines()[-2:] == ["공복혈당 130 mg/dL 질환 의심", "가족력: 어머니 당뇨병"]
    assert found["structured_evidences"][0]["full_text"] == kit.TEXTS[0]
    assert run("ask", "혈당?", "--results", str(tmp_path / "absent"), "--root", str(moved)) == 2


def test_results_come_in_three_forms(tmp_path: Path) -> None:
    one = {"fasting_glucose": 108, "sex": "M"}
    for form in (one, [one], {"checkup_results": [one], "patient_info": {"sex": "M"}}):
        (tmp_path / "r.json").write_text(json.dumps(form))
        found = results_of(tmp_path / "r.json")
        assert (found["checkup_results"], found["patient_info"]["sex"]) == ([one], "M")
    assert results_of(None) == {}


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("24h", 86_400), ("2d", 172_800)])
def test_times_are_read(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


def test_every_command_has_its_options() -> None:
    for command in commands.registered_commands:
        assert command.callback is not None
        names = command.callback.__annotations__
        assert {"json", "debug"} <= set(names), command.callback.__name__
        assert "Example:" in (command.callback.__doc__ or "")


def test_the_whole_story_in_under_a_minute(said: Any, base: Path, tmp_path: Path) -> None:
    found = said(0, "demo", "--folder", str(tmp_path / "demo"))
    assert found["seconds"] < 60
    assert found["compare"]["overlap@10"] == 1.0
    assert found["migrate"]["vectors"] == "copied"
    assert "공복혈당 108 mg/dL: 경계" in found["answer"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    assert run("demo", "--folder", str(tmp_path / "mine")) == 3
    assert (tmp_path / "mine" / "file").exists()
