"""The ledger in a file and the one that machines share answer alike, also where entries are put down in bulk."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wherry.errors import WherryError
from wherry.moving.journal import Journal
from wherry.moving.ledger import READ_BACK, Ledger

pytestmark = pytest.mark.usefixtures("pg")

IDS = ["a", "4", "0004", "가나", "back\\slash", "nul\x00in", "\\0"]
OLD, NEW = b"o" * 16, b"n" * 16


@pytest.fixture(params=[False, True], ids=["file", "shared"])
def ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """A ledger that nobody wrote to."""
    with Journal.of(f"ledger of {request.node.name}", request.param) as journal:
        yield Ledger(journal)


def held(ledger: Ledger) -> dict[str, bytes | None]:
    """Return what the ledger knows."""
    return {row[0]: row[1] for row in ledger.db.execute("SELECT id, digest FROM entry")}


def test_what_is_absent_is_put_down(ledger: Ledger) -> None:
    ledger.intend("run", IDS, [NEW] * len(IDS), absent=True)
    assert held(ledger) == dict.fromkeys(IDS, NEW)
    assert ledger.last_position() == len(IDS)


@pytest.mark.parametrize("absent", [False, True])
def test_what_is_there_after_all_is_replaced(ledger: Ledger, absent: bool) -> None:
    ledger.adopt(["4", "gone", "\\0"], [OLD, OLD, None])
    number = ledger.intend("run", IDS, [NEW] * len(IDS), absent)
    assert held(ledger) == {**dict.fromkeys(IDS, NEW), "gone": OLD}
    # The batch is whole: a crash now would leave every one of its entries unknown, and no other.
    assert ledger.settle(read_back=True) == len(IDS)
    assert held(ledger) == {**dict.fromkeys(IDS), "gone": OLD}
    assert number > 0


def test_batches_that_are_done_stay(ledger: Ledger) -> None:
    first, second = (ledger.intend("run", [i], [NEW], absent=True) for i in ("one", "two"))
    ledger.advance(first, READ_BACK)
    assert second > first
    assert ledger.settle(read_back=True) == 1
    assert held(ledger) == {"one": NEW, "two": None}


def test_a_batch_that_could_not_be_put_down_leaves_nothing(ledger: Ledger) -> None:
    with pytest.raises((TypeError, WherryError)):
        ledger.intend("run", ["x", "y"], [NEW, object()], absent=True)  # type: ignore[list-item]
    assert held(ledger) == {}
    assert not ledger.unchecked()
    ledger.intend("run", ["x"], [NEW], absent=True)
    assert held(ledger) == {"x": NEW}


def test_more_than_one_statement_holds_is_doubted_and_forgotten(ledger: Ledger) -> None:
    ids = [f"{i}\\" for i in range(20_001)]
    ledger.intend("run", ids, [NEW] * len(ids), absent=True)
    ledger.doubt(ids[1:])
    assert held(ledger) == {ids[0]: NEW} | dict.fromkeys(ids[1:])
    ledger.forget(ids[:-1])
    assert held(ledger) == {ids[-1]: None}
