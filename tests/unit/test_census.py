"""Taking stock of a target, counting what would be deleted, and the guard against mass deletion."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import MassDelete
from wherry.moving.census import Census, census, differing, doomed, require_few, take_stock
from wherry.moving.journal import Journal
from wherry.moving.ledger import Ledger

IDS = st.lists(st.integers(0, 20).map(str), unique=True)
ANY_IDS = st.lists(st.text(st.characters(codec="utf-8"), max_size=5))


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with Journal("", path=":memory:") as journal:
        yield Ledger(journal)


def pages(ids: list[str], size: int) -> list[pa.Array]:
    """Cut ids into pages, every one of them a slice."""
    whole = pa.array(ids, type=pa.string())
    return [whole.slice(start, size) for start in range(0, len(ids), size)]


def filled(journal: Journal, ids: list[str]) -> Ledger:
    """Return a ledger that knows the content of some ids."""
    ledger = Ledger(journal)
    ledger.adopt(ids, [b"known"] * len(ids))
    return ledger


@given(IDS, IDS, st.integers(1, 5))
def test_after_taking_stock_the_ledger_has_exactly_the_ids_of_the_target(
    known: list[str], there: list[str], size: int
) -> None:
    with Journal("", path=":memory:") as journal:
        ledger = filled(journal, known)
        take_stock(ledger, pages(there, size))
        found = dict(ledger.db.execute("SELECT id, digest FROM entry").fetchall())
        assert found == {i: b"known" if i in known else None for i in there}


@given(IDS, IDS, st.integers(1, 5))
def test_what_differs_is_told_by_id(known: list[str], there: list[str], size: int) -> None:
    with Journal("", path=":memory:") as journal:
        ledger = filled(journal, known)
        missing, extra = differing(ledger, pages(there, size))
        assert set(missing) == set(known) - set(there)
        assert set(extra) == set(there) - set(known)
        assert doomed(ledger, pages(there, size)) == len(set(known) - set(there))


def test_a_listing_that_repeats_an_id_counts_it_once(ledger: Ledger) -> None:
    take_stock(ledger, pages(["a", "b", "a", "a"], 2))
    assert ledger.count() == 2
    assert doomed(ledger, pages(["a", "a"], 1)) == 1


@given(ANY_IDS, ANY_IDS, st.randoms())
def test_a_census_has_no_order_and_can_be_kept_up(one: list[str], more: list[str], random) -> None:  # type: ignore[no-untyped-def]
    mixed = one + more
    random.shuffle(mixed)
    whole = census(pages(mixed, 3))
    assert whole == census(pages(one, 2)).with_ids(more)
    assert whole.without(more) == census(pages(one, 5))
    assert whole.count == len(mixed)
    assert Census() == census([])


@given(st.sets(st.text(max_size=3).filter(lambda t: t.isascii()), min_size=1), st.data())
def test_one_id_for_another_is_another_census(ids: set[str], data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(sorted(ids)))
    assert census(pages([*(ids - {gone}), gone + "x"], 3)) != census(pages(sorted(ids), 3))
    assert str(census(pages(sorted(ids), 1))) == str(census(pages(sorted(ids)[::-1], 2)))


@pytest.mark.parametrize(
    ("deletions", "held", "refused"),
    [(0, 0, False), (10, 10, False), (11, 11, True), (20, 100, False), (21, 100, True), (11, 1000, False)],
)
def test_more_than_a_fifth_is_refused_but_not_a_handful(deletions: int, held: int, refused: bool) -> None:
    require_few(deletions, held, True, "a", "b")
    if refused:
        with pytest.raises(MassDelete, match="would be deleted"):
            require_few(deletions, held, False, "a", "b")
    else:
        require_few(deletions, held, False, "a", "b")
