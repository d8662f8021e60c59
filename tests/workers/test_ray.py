"""Workers of Ray, with the journal in PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import wherry
from tests.workers import kit
from wherry.errors import Usage
from wherry.moving import sync as sync_module
from wherry.moving.journal import Journal
from wherry.stores.registry import open_target

ray = pytest.importorskip("ray", reason="the extra ray is not installed", exc_type=ImportError)
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A Ray that stays up for all tests; a run that finds one uses it and leaves it running."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=80 << 20, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def pair(
    tmp_path: Path, name: str, pg: psycopg.Connection, cluster: None, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, str]:
    """A filled table, and where a FAISS collection may be; everything goes in many small batches."""
    monkeypatch.setattr(sync_module, "WRITE_ROWS", 50)
    monkeypatch.setattr("wherry.moving.cutting.PAGE_ROWS", 200)
    kit.fill(f"pgvector:#{name}")
    return f"pgvector:#{name}", f"faiss:{tmp_path}/two#문서"


def test_a_killed_worker_loses_nothing(pair: tuple[str, str], tmp_path: Path, pg: psycopg.Connection) -> None:
    kill = kit.KillOnce(lambda: [worker.pid for worker in kit.processes("_Actor")])
    result = wherry.sync(*pair, workers=2, engine="ray", progress=kill)
    assert kill.killed
    assert (result.equal, result.written + result.unchanged) == (True, kit.ROWS)
    assert result.notes == ("1 partitions were taken over from workers that were lost",)
    assert kit.differences(*pair) == []
    assert kit.leftovers(tmp_path) == []
    # The journal is in PostgreSQL, a schema for the target; what was done shows here too.
    tables = pg.execute("SELECT table_schema FROM information_schema.tables WHERE table_name = 'entry'").fetchall()
    assert any(schema.startswith("wherry_journal_") for (schema,) in tables)
    with Journal(_identity(pair[1])) as local:
        assert [run["id"] for run in local.runs()] == [result.run]
    again = wherry.sync(*pair, workers=2, engine="ray")
    assert (again.written, again.unchanged, again.verified) == (0, kit.ROWS, "digests")


def test_runs_of_both_kinds_do_not_believe_each_other(pair: tuple[str, str]) -> None:
    """A value goes there and back again: each journal still knows the first state, and must not trust that."""
    wherry.sync(*pair)
    kit.fill(pair[0], 20, version=1)
    assert wherry.sync(*pair, engine="ray").changed == 20
    kit.fill(pair[0], 20, version=0)
    assert wherry.sync(*pair).changed == 20
    assert kit.differences(*pair) == []
    kit.fill(pair[0], 20, version=1)
    assert wherry.sync(*pair, engine="ray").changed == 20
    assert kit.differences(*pair) == []


def test_the_plan_asks_the_journal_that_the_run_will_use(pair: tuple[str, str]) -> None:
    wherry.sync(*pair, workers=2, engine="ray")
    plan = wherry.plan(*pair, workers=2, engine="ray")
    assert plan.empty
    assert len(plan.parts) == 6


def test_a_cluster_elsewhere_needs_a_journal_that_it_reaches(pair: tuple[str, str]) -> None:
    with pytest.raises(Usage, match="cannot reach the built-in PostgreSQL"):
        wherry.sync(*pair, workers=2, engine="ray", ray_address="ray.example:6379")


def _identity(address: str) -> str:
    store = open_target(address)
    try:
        return store.identity
    finally:
        store.close()
