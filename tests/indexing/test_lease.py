"""One run at a time, and none that a dead one could hold up."""

from __future__ import annotations

import os
import socket
import threading

import psycopg
import pytest

from tests.indexing.conftest import Indexed
from tests.indexing.kit import Counting, Paragraphs, Shelf
from tests.indexing.test_index import shelf
from wherry.errors import Busy
from wherry.indexing.act import index
from wherry.indexing.lease import held, holder
from wherry.postgres.database import Database
from wherry.postgres.link import Server
from wherry.state import new_run


@pytest.fixture
def number(run: Indexed, pg: psycopg.Connection, name: str) -> int:
    """The number of an index."""
    run(shelf(2))
    found = pg.execute("SELECT id FROM wherry.indexes WHERE target = %s", [f"table:public.{name}"]).fetchone()
    assert found is not None
    return int(found[0])


def database() -> Database:
    """The embedded server."""
    return Database(Server(None, "pgvector:"))


def test_runs_of_one_second_are_told_apart() -> None:
    # By two bytes, one pair in 65,536 of the same second is one run to the lease, and to the table of runs.
    number = new_run().rpartition("-")[2]
    assert len(bytes.fromhex(number)) >= 4
    assert number != new_run().rpartition("-")[2]


def test_a_second_run_is_told_who_is_at_work(run: Indexed, number: int) -> None:
    documents = shelf(3)
    with held(database(), number, "r1", "rebuild", "pgvector:#x"):
        with pytest.raises(Busy) as caught:
            run(documents)
        assert caught.value.exit_code == 7
        for word in ("rebuild", str(os.getpid()), socket.gethostname(), "since"):
            assert word in caught.value.what
    assert holder(database(), number) is None
    assert run(documents).new == 1


def test_a_run_without_work_does_not_ask_for_the_lease(run: Indexed, number: int) -> None:
    with held(database(), number, "r1", "index", "pgvector:#x"):
        assert run(shelf(2)).unchanged == 2


def test_the_lease_of_a_process_that_died_is_taken_at_once(run: Indexed, number: int, pg: psycopg.Connection) -> None:
    with held(database(), number, "r1", "index", "pgvector:#x"):
        # No process has this number: Linux ends at 2^22.
        pg.execute('UPDATE wherry.leases SET process = 99999999 WHERE "index" = %s', [number])
        assert run(shelf(3)).new == 1


def test_a_process_number_that_was_used_again_is_not_the_holder(
    run: Indexed, number: int, pg: psycopg.Connection
) -> None:
    with held(database(), number, "r1", "index", "pgvector:#x"):
        pg.execute("UPDATE wherry.leases SET started = '1' WHERE \"index\" = %s", [number])
        assert run(shelf(3)).new == 1


def test_a_holder_on_another_machine_is_waited_for_until_its_lease_runs_out(
    run: Indexed, number: int, pg: psycopg.Connection
) -> None:
    with held(database(), number, "r1", "index", "pgvector:#x"):
        pg.execute("UPDATE wherry.leases SET place = 'elsewhere', host = 'elsewhere', process = 99999999"
                   ' WHERE "index" = %s', [number])  # fmt: skip
        with pytest.raises(Busy, match="elsewhere"):
            run(shelf(3))
        pg.execute("UPDATE wherry.leases SET until = now() - interval '1 second' WHERE \"index\" = %s", [number])
        assert run(shelf(3)).new == 1


def test_a_run_that_lost_its_lease_writes_nothing_any_more(address: str, model: Counting, pg: psycopg.Connection,
                                                          name: str) -> None:  # fmt: skip
    class Overtaken(Counting):
        def embed(self, texts):  # type: ignore[no-untyped-def]
            pg.execute("UPDATE wherry.leases SET fence = fence + 1")
            return super().embed(texts)

    with pytest.raises(Busy, match="taken over"):
        index(shelf(3), address, embedder=Overtaken(), chunker=Paragraphs())
    assert pg.execute(f"SELECT count(*) FROM {name}").fetchone() == (0,)


def test_the_lease_is_renewed_while_the_work_goes_on(number: int, pg: psycopg.Connection) -> None:
    ends = 'SELECT until FROM wherry.leases WHERE "index" = %s'
    with held(database(), number, "r1", "index", "pgvector:#x", lease_s=0.2):
        first = pg.execute(ends, [number]).fetchone()
        deadline = threading.Event()
        for _ in range(400):
            if pg.execute(ends, [number]).fetchone() != first:
                break
            deadline.wait(0.05)
        else:
            pytest.fail("nobody renewed the lease in 20 seconds")


def test_of_many_runners_at_once_every_one_works_or_is_told(address: str, pg: psycopg.Connection, name: str) -> None:
    documents, model = Shelf({f"글 {n}": f"혈당 {n}" for n in range(40)}), Counting()
    index(Shelf({"첫 글": "첫 글"}, "first"), address, embedder=model, chunker=Paragraphs())
    start, ended = threading.Barrier(6), []

    def runner() -> None:
        start.wait()
        try:
            ended.append(index(documents, address, embedder=model, chunker=Paragraphs()).new)
        except Busy:
            ended.append("busy")

    threads = [threading.Thread(target=runner) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ended) == 6
    assert ended.count(40) == 1
    assert set(ended) <= {40, 0, "busy"}
    assert sorted(model.paid) == sorted({"첫 글", *(f"혈당 {n}" for n in range(40))})
    assert pg.execute(f"SELECT count(*) FROM {name}").fetchone() == (41,)
