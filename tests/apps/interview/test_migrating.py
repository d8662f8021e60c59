"""Tables of older programs are brought over: in place, with every row, or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import wherry
from tests.apps.interview.older import BROKEN, LATER, SEED
from wherry_apps.interview.carrying.act import migrate
from wherry_apps.interview.service import records, results
from wherry_apps.interview.service.opened import Interview
from wherry_apps.interview.service.searching import search
from wherry_apps.interview.service.setup import initialise


class Older:
    """A database with an older program's tables."""

    def __init__(self, url: str) -> None:
        self.url, self.on = url, Interview(url)

    def run(self, statement: str) -> list[Any]:
        """Run SQL, and return the rows."""
        with psycopg.connect(self.url.replace("hunter2", "x"), autocommit=True) as connection:
            found = connection.execute(statement.encode())
            return found.fetchall() if found.description else []

    def counts(self) -> dict[str, int]:
        """Count the rows of every table."""
        names = self.run("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        return {name: self.run(f'SELECT count(*) FROM "{name}"')[0][0] for (name,) in sorted(names)}


@pytest.fixture
def older(database_url: str) -> Iterator[Older]:
    found = Older(database_url)
    yield found
    found.on.close()


def by_table(report: dict[str, Any]) -> dict[str, tuple[int, int, int]]:
    """Return before, after and set aside of each table."""
    return {one["table"]: (one["before"], one["after"], one["set_aside"]) for one in report["tables"]}


def test_the_tables_of_the_seed(older: Older) -> None:
    older.run(SEED)
    before = older.counts()
    with pytest.raises(wherry.Refused, match="older program"):
        records.listed(older.on, None, "jobs", {})
    tried = migrate(older.on, dry_run=True)
    assert older.counts() == before
    report = migrate(older.on, embedder="hash:1024")
    assert {**report, "dry_run": True} == tried
    assert report["set_aside"] == []
    assert all(one["before"] == one["after"] == before[one["table"]] for one in report["tables"])
    assert report["made"] == [
        "companies 1: (회사 1: 이름 없음)",
        "companies 7: (회사 7: 이름 없음)",
        "applicants 123: (지원자 123: 이름 없음)",
    ]
    assert older.on.database.drift() == []
    first, second, third = records.listed(older.on, None, "jobs", {})
    assert [one["index_status"] for one in (first, second, third)] == ["partial", "complete", "none"]
    told = results.results(older.on, None, 1)
    assert told["evaluation_completed"]
    assert (told["results"][0]["overall_score"], told["results"][0]["metadata"]) == (86.375, {"a": 1})
    assert told["results"][0]["strengths"] == ["strong"]
    assert records.one(older.on, None, "sessions", 1)["completed_at"] == "2026-01-02T03:04:05+00:00"
    # The gap in the numbers of chunks stays, vectors are the same bits, and they can be asked.
    chunks = older.run("SELECT chunk_index, embedding::text FROM job_chunks ORDER BY id")
    assert [index for index, _ in chunks] == [0, 3, 0]
    assert chunks[0][1].startswith("[0.1,0,")
    assert {hit.job_id for hit in search(older.on, None, "배차")} == {1, 2}
    # New rows get new numbers.
    assert records.create(older.on, None, "jobs", {"company_id": 1, "title": "new"})["id"] == 4
    assert migrate(older.on)["tables"] == []


def test_vectors_of_an_unknown_model_are_not_compared(older: Older) -> None:
    older.run(SEED)
    migrate(older.on)
    with pytest.raises(wherry.SpaceMismatch, match="not recorded"):
        search(older.on, None, "배차")


def test_a_later_program(older: Older) -> None:
    older.run(LATER)
    report = migrate(older.on)
    assert (report["set_aside"], report["made"]) == ([], [])
    assert by_table(report)["interview_sessions"] == (2, 2, 0)
    assert older.on.database.drift() == []
    several, one = records.one(older.on, None, "sessions", 1), records.one(older.on, None, "sessions", 2)
    assert (several["job_id"], several["job_ids"], several["status"]) == (2, [2, 3], "in_progress")
    assert (one["job_id"], one["job_ids"], one["status"]) == (1, [1], "completed")
    (told,) = results.results(older.on, None, 2)["results"]
    assert (told["scores"], told["overall_score"]) == ({"depth": 80, "clarity": 60}, 70)
    assert told["metadata"] == {"b": 2}
    assert told["keywords"] == {"matched": ["Go"], "missing": []}
    assert [one["blind_mode"] for one in records.listed(older.on, None, "companies", {})] == [False, True]
    assert results.evaluate(older.on, None, 2)["evaluated"] == 0


def test_what_cannot_be_carried_over_is_named_and_kept(older: Older) -> None:
    older.run(BROKEN)
    report = migrate(older.on)
    told = {(one["table"], one["row_id"], one["reason"].split(":")[0]) for one in report["set_aside"]}
    assert told == {
        ("companies", "1", "no such column"),
        ("job_chunks", "2", "chunk_index"),
        ("job_chunks", "3", "job_id 99 is not in jobs"),
        ("job_chunks", "1", "embedding"),
        ("questions", "1", "difficulty_level"),
        ("questions", "2", "job_id"),
        ("interview_sessions", "2", "status"),
        ("interview_results", "1", "logic_score"),
        ("interview_results", "2", "interview_id 77 is not in interview_sessions"),
        ("interview_results", "3", "question_id"),
    }
    assert by_table(report)["job_chunks"] == (3, 2, 1)
    assert by_table(report)["interview_results"] == (3, 2, 1)
    assert older.on.database.drift() == []
    assert [one["status"] for one in records.listed(older.on, None, "sessions", {})] == ["completed", "failed"]
    kept = older.run("SELECT content FROM set_aside WHERE table_name = 'interview_results' AND row_id = '1'")
    assert kept == [({"logic_score": 250},)]
    assert older.run("SELECT content FROM set_aside WHERE table_name = 'companies'") == [({"motto": "함께"},)]


def test_a_failing_step_rolls_everything_back(older: Older) -> None:
    older.run(SEED + "CREATE VIEW busy AS SELECT id, title FROM jobs;")
    before = older.counts()
    with pytest.raises(wherry.WherryError):
        migrate(older.on)
    assert older.counts() == before
    assert older.on.database.revision() is None
    assert older.run("SELECT count(*) FROM pg_namespace WHERE nspname = 'public_before'") == [(0,)]
    older.run("DROP VIEW busy")
    assert migrate(older.on)["tables"]


@pytest.mark.parametrize("listed", ["'[2, 3]'::jsonb", "'[2, 3]'::text", '\'["2", "3"]\'::jsonb', "'[2, 3, 2]'::json"])
def test_a_list_of_jobs_in_any_form(older: Older, listed: str) -> None:
    older.run(
        "CREATE TABLE jobs (id serial PRIMARY KEY, company_id integer, title text);"
        "INSERT INTO jobs (company_id, title) VALUES (1, 'A'), (1, 'B'), (1, 'C');"
        "CREATE TABLE interview_sessions AS"
        f" SELECT 1 AS id, 5 AS applicant_id, {listed} AS job_ids, 'PENDING' AS status"
    )
    report = migrate(older.on)
    assert report["set_aside"] == []
    assert records.one(older.on, None, "sessions", 1)["job_ids"] == [2, 3]


def test_alembic_alone_does_the_same(older: Older, database_url: str) -> None:
    older.run(LATER)
    older.on.database.upgrade("head")
    assert older.on.database.drift() == []
    assert older.counts()["interview_session_jobs"] == 3


def test_init_lists_what_is_there_and_changes_nothing_twice(older: Older) -> None:
    first, second = initialise(older.on), initialise(older.on)
    assert (first.pop("changed"), second.pop("changed")) == (True, False)
    assert first == second
    assert first["pgvector"]
    assert "idx_job_chunks_embedding_hnsw" in first["indexes"]
    assert len(first["tables"]) == 12
    built = older.run("SELECT indexdef FROM pg_indexes WHERE indexname = 'idx_job_chunks_embedding_hnsw'")[0][0]
    for part in ("hnsw", "vector_cosine_ops", "m='16'", "ef_construction='64'"):
        assert part in built
    assert older.on.database.drift() == []


def test_init_refuses_older_tables_and_says_what_to_run(older: Older) -> None:
    older.run(SEED)
    with pytest.raises(wherry.Refused) as caught:
        initialise(older.on)
    assert "migrate --dry-run" in caught.value.next


def test_init_tells_the_command_for_an_administrator(older: Older, pg: psycopg.Connection) -> None:
    # The owner of a database may install trusted extensions; pgvector is none, so a plain role may not.
    name = f"r{older.url.rsplit('/', 1)[-1].split('?')[0]}"
    database = older.url.rsplit("/", 1)[-1].split("?")[0]
    pg.execute(f"CREATE ROLE {name} LOGIN".encode())
    pg.execute(f"GRANT ALL ON DATABASE {database} TO {name}".encode())
    plain = Interview(re.sub(r"//\w+:", f"//{name}:", older.url))
    try:
        with pytest.raises(wherry.StoreError) as caught:
            initialise(plain)
        assert caught.value.exit_code == 4
        assert "CREATE EXTENSION vector" in caught.value.next
    finally:
        plain.close()
        pg.execute(f"REVOKE ALL ON DATABASE {database} FROM {name}".encode())
        pg.execute(f"DROP ROLE {name}".encode())
