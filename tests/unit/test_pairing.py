"""Pairing two collections: every id ends in exactly one place, in flat memory."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.moving import pairing, unpaired
from wherry.record import Native, Page, Reject, Sealed, make_batch, vectors_of


class Shown:
    """A collection that shows ids in a given order and page sizes; the vector says which side it is."""

    def __init__(self, side: float, ids: list[str], sizes: list[int], rejects: tuple[str, ...] = ()) -> None:
        self.side, self.shown, self.sizes, self.rejects = side, ids, sizes, rejects
        self.fetched = 0

    def _batch(self, ids: list[str]) -> pa.RecordBatch:
        vectors = np.full((len(ids), 2), self.side, dtype=np.float32)
        return make_batch(ids, vectors, ids, [None] * len(ids))

    def scan(self, rows: int) -> Iterator[Page]:
        """Yield the ids in pages of the given sizes, cut out of one batch."""
        whole = self._batch(self.shown)
        cuts = [0]
        while cuts[-1] < len(self.shown):
            cuts.append(cuts[-1] + self.sizes[len(cuts) % len(self.sizes)])
        for start, end in pairwise(cuts):
            yield Page(whole.slice(start, end - start))
        if self.rejects:
            yield Page(self._batch([]), [Reject(i, "MissingVector") for i in self.rejects])

    def fetch(self, ids: pa.Array) -> Page:
        """Return records by id, each once, in another order."""
        wanted = ids.to_pylist()
        self.fetched += len(wanted)
        return Page(self._batch(sorted({i for i in wanted if i in set(self.shown)}, reverse=True)))


def paired(left: Shown, right: Shown) -> tuple[list[str], list[str], list[str]]:
    """Return (paired ids, ids of the left alone, ids of the right alone), sorted."""
    both: list[str] = []
    only_left: list[str] = []
    only_right: list[str] = []
    for pair in pairing.pairs(left, right):  # type: ignore[arg-type]
        if pair.left is not None and pair.right is not None:
            ids = pair.left.column("id").to_pylist()
            assert ids == pair.right.column("id").to_pylist() == pair.left.column("text").to_pylist()
            assert (vectors_of(pair.left) == 1).all()
            assert (vectors_of(pair.right) == 2).all()
            both += ids
        only_left += pair.only_left
        only_right += pair.only_right
    return sorted(both), sorted(only_left), sorted(only_right)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpaired, "PAGE_ROWS", 3)


IDS = [str(i) for i in range(40)]
SIZES = st.lists(st.integers(1, 7), min_size=1, max_size=4)


@settings(max_examples=40)
@given(st.data(), SIZES, SIZES, st.integers(0, 3))
def test_every_id_ends_in_one_place(data: st.DataObject, left: list[int], right: list[int], swaps: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unpaired, "PAGE_ROWS", 3)
        one = data.draw(st.lists(st.sampled_from(IDS), unique=True))
        other = [i for i in one if i not in data.draw(st.sets(st.sampled_from(IDS), max_size=5))]
        for stranger in data.draw(st.sets(st.sampled_from([f"n{i}" for i in range(9)]))):
            other.insert(data.draw(st.integers(0, len(other))), stranger)
        if swaps == 3:
            data.draw(st.randoms()).shuffle(other)
        both, only_left, only_right = paired(Shown(1, one, left), Shown(2, other, right))
        assert both == sorted(set(one) & set(other))
        assert only_left == sorted(set(one) - set(other))
        assert only_right == sorted(set(other) - set(one))


@pytest.mark.usefixtures("tiny")
def test_opposite_orders_are_settled_by_id() -> None:
    left, right = Shown(1, IDS, [3]), Shown(2, IDS[::-1], [5])
    assert paired(left, right) == (sorted(IDS), [], [])
    assert 0 < left.fetched <= len(IDS)


class Changed(Shown):
    """A collection in which some records have another vector than the rest."""

    def __init__(self, ids: list[str], sizes: list[int], changed: tuple[str, ...]) -> None:
        super().__init__(1, ids, sizes)
        self.changed = changed

    def _batch(self, ids: list[str]) -> pa.RecordBatch:
        vectors = np.array([[1.0, i in self.changed] for i in ids], dtype=np.float32).reshape(-1, 2)
        return make_batch(ids, vectors, ids, [f'{{"n": {i}}}' for i in ids])


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("changed", [(), ("2", "37")])
def test_what_is_equal_in_another_order_is_not_read_again(changed: tuple[str, ...]) -> None:
    left, right = Changed(IDS, [3], ()), Changed(IDS[::-1], [5], changed)
    found = list(pairing.pairs(left, right))  # type: ignore[arg-type]
    met = sum(pair.alike + (pair.left.num_rows if pair.left else 0) for pair in found)
    assert met == len(IDS)
    assert left.fetched == right.fetched == len(changed)
    assert sorted(i for pair in found if pair.left for i in _unequal(pair)) == list(changed)


def _unequal(pair: pairing.Paired) -> list[str]:
    assert pair.left is not None
    assert pair.right is not None
    rows = np.flatnonzero((vectors_of(pair.left) != vectors_of(pair.right)).any(axis=1))
    return pair.left.column("id").take(pa.array(rows)).to_pylist()


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("moved", [1, 5, 20])
def test_records_that_moved_to_the_end_leave_the_others_in_step(moved: int) -> None:
    """As an UPDATE does it in a table: only what moved is noted, however far the rest has shifted."""
    ids = [str(i) for i in range(400)]
    gone = ids[7 :: len(ids) // moved][:moved]
    other = [i for i in ids if i not in gone] + gone
    left, right = Shown(1, ids, [10]), Shown(2, other, [10])
    assert paired(left, right) == (sorted(ids), [], [])
    assert left.fetched <= moved


@pytest.mark.usefixtures("tiny")
def test_agreeing_orders_fetch_nothing() -> None:
    left, right = Shown(1, IDS, [3]), Shown(2, [*IDS[:10], "new", *IDS[12:]], [5, 1])
    assert paired(left, right) == (sorted(IDS[:10] + IDS[12:]), IDS[10:12], ["new"])
    assert left.fetched == right.fetched == 0


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(("one", "other"), [([], []), (IDS, []), ([], IDS), (IDS, IDS), (IDS[:1], IDS)])
def test_sides_of_any_length(one: list[str], other: list[str]) -> None:
    expected = (
        sorted(set(one) & set(other)),
        sorted(set(one) - set(other)),
        sorted(set(other) - set(one)),
    )
    assert paired(Shown(1, one, [4]), Shown(2, other, [3])) == expected


@pytest.mark.usefixtures("tiny")
def test_duplicates_pair_once_each_and_the_rest_is_left_over() -> None:
    both, only_left, only_right = paired(Shown(1, ["a", "b", "a", "a"], [2]), Shown(2, ["a", "b"], [2]))
    assert both == ["a", "b"]
    assert (set(only_left), only_right) == ({"a"}, [])


@pytest.mark.usefixtures("tiny")
def test_rejects_of_both_sides_are_passed_on() -> None:
    left, right = Shown(1, ["a"], [1], rejects=("x",)), Shown(2, ["a"], [1], rejects=("y", "z"))
    found = list(pairing.pairs(left, right))  # type: ignore[arg-type]
    assert [r.id for pair in found for r in pair.rejects_left] == ["x"]
    assert [r.id for pair in found for r in pair.rejects_right] == ["y", "z"]


@pytest.mark.usefixtures("tiny")
def test_the_buffers_stay_small(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 0
    original = pairing._Side.surplus

    def watched(self: Any, limit: int) -> Any:
        nonlocal most
        surplus = original(self, limit)
        most = max(most, self.rows)
        return surplus

    monkeypatch.setattr(pairing._Side, "surplus", watched)
    ids = [str(i) for i in range(600)]
    mixed = ids[:]
    random.Random(1).shuffle(mixed)
    assert paired(Shown(1, ids, [3]), Shown(2, mixed, [2])) == (sorted(ids), [], [])
    assert 0 < most <= 6


@pytest.mark.usefixtures("tiny")
def test_an_error_of_one_side_ends_the_pairing() -> None:
    class Broken(Shown):
        def scan(self, rows: int) -> Iterator[Page]:
            yield from super().scan(rows)
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        paired(Broken(1, IDS, [3]), Shown(2, IDS, [3]))


class Sealing(Shown):
    """A collection that shows its ids as rows that nobody has looked at; `bad` ones can be in no batch."""

    def __init__(self, ids: list[str], bad: tuple[str, ...] = ()) -> None:
        super().__init__(1, ids, [3])
        self.bad, self.looked, self.decoded = bad, 0, 0

    def scan(self, rows: int) -> Iterator[Page]:
        """Yield the ids, three to a page."""
        for start in range(0, len(self.shown), 3):
            rows = pa.chunked_array([self.shown[start : start + 3]], pa.binary())
            yield Page(Sealed("ids", rows, self._sound, self._look))

    def _sound(self, rows: pa.ChunkedArray) -> bool:
        self.looked += 1
        return not any(row.decode() in self.bad for row in rows.to_pylist())

    def _look(self, rows: pa.ChunkedArray) -> Page:
        self.looked += 1
        ids = [row.decode() for row in rows.to_pylist()]
        good = [i for i in ids if i not in self.bad]
        if len(good) == len(ids):
            return Page(Native("ids", rows, self._identify(rows), True, self._decode))
        return Page(self._batch(good), [Reject(i, "MissingVector") for i in ids if i in self.bad])

    def _identify(self, rows: pa.ChunkedArray) -> pa.Array:
        return pa.array([row.decode().split("=")[0] for row in rows.to_pylist()], pa.string())

    def _decode(self, rows: pa.ChunkedArray) -> pa.RecordBatch:
        self.decoded += len(rows)
        return self._batch(self._identify(rows).to_pylist())


def test_of_two_equal_pages_one_is_looked_at() -> None:
    left, right = Sealing(list("abcdef")), Sealing(list("abcdef"))
    assert sum(pair.alike for pair in pairing.pairs(left, right)) == 6  # type: ignore[arg-type]
    assert (left.looked, right.looked) == (2, 0)


def test_equal_rows_that_no_batch_can_hold_are_not_alike() -> None:
    left, right = Sealing(list("abcdef"), ("e",)), Sealing(list("abcdef"), ("e",))
    found = list(pairing.pairs(left, right))  # type: ignore[arg-type]
    assert sum(pair.alike for pair in found) == 3
    assert [r.id for pair in found for r in pair.rejects_left] == ["e"]
    assert [r.id for pair in found for r in pair.rejects_right] == ["e"]
    assert [i for pair in found if pair.left for i in pair.left.column("id").to_pylist()] == ["d", "f"]


@pytest.mark.parametrize("shift", [1, 2, 3, 20])
def test_rows_out_of_step_are_compared_as_they_arrived(shift: int) -> None:
    left, right = Sealing(IDS), Sealing([*IDS[shift:], *IDS[:shift]])
    assert sum(pair.alike for pair in pairing.pairs(left, right)) == len(IDS)  # type: ignore[arg-type]
    assert (left.decoded, right.decoded, left.fetched, right.fetched) == (0, 0, 0, 0)


def test_of_rows_out_of_step_those_that_differ_are_decoded() -> None:
    left, right = Sealing([*IDS[:9], "9=old", *IDS[10:]]), Sealing(["new", *IDS])
    found = list(pairing.pairs(left, right))  # type: ignore[arg-type]
    assert [pair.left.column("id").to_pylist() for pair in found if pair.left and pair.left.num_rows] == [["9"]]
    assert sum(pair.alike for pair in found) == len(IDS) - 1
    assert [i for pair in found for i in pair.only_right] == ["new"]
    assert (left.decoded, right.decoded) == (1, 1)
