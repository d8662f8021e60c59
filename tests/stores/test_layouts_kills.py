"""A sync into a framework's table that is killed: the same command goes on, nothing is lost, nothing is there twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.stores import layouts_acts as acts
from wherry.testing.crash import Runner

MOMENTS = [("upsert", 2, True), ("_send", 3, True), ("_send", 3, False)]
TARGETS = {
    "llamaindex": "pgvector:#data_{0}?layout=llamaindex",
    "langchain-newer": "pgvector:#{0}?layout=langchain",
    "langchain-shared": "pgvector:#langchain_pg_embedding?collection={0}",
}


@pytest.fixture(scope="module")
def runner(shared_home: Path) -> Iterator[Runner]:
    """A runner that has the engine imported and nothing opened."""
    imports = ["tests.stores.layouts_acts", "wherry.stores.pgvector"]
    with Runner({"WHERRY_HOME": str(shared_home)}, imports) as running:
        yield running


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_killed_and_resumed(pg: psycopg.Connection, runner: Runner, name: str, tmp_path: Path, target: str) -> None:
    source, there = f"{tmp_path / 'source.jsonl'}", target.format(name)
    assert runner.call("tests.stores.layouts_acts:fill", source).value == acts.ROWS
    for method, call, after in MOMENTS:
        ending = runner.call("tests.stores.layouts_acts:sync_and_die", source, there, method, call, after)
        assert ending.killed, ending
    ending = runner.call("tests.stores.layouts_acts:sync", source, there)
    assert ending.value["equal"], ending
    assert 0 < ending.value["written"] < acts.ROWS
    found = runner.call("tests.stores.layouts_acts:differing", source, there)
    assert (found.value, found.error) == ([], "")
    pg.execute("DROP TABLE IF EXISTS langchain_pg_embedding, langchain_pg_collection CASCADE")
