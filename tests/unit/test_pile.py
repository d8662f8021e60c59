"""Filling batches: nothing is lost or turned round, and a page that fills batches by itself is not copied."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.moving.conveyor import Load
from wherry.moving.pile import Pile
from wherry.record import make_batch


def load(first: int, rows: int) -> Load:
    ids = [f"r{number}" for number in range(first, first + rows)]
    batch = make_batch(ids, np.zeros((rows, 2), dtype=np.float32), ids, [None] * rows)
    return Load(batch, [name.encode() for name in ids])


@given(size=st.integers(1, 9), pages=st.lists(st.integers(0, 40), max_size=12))
def test_every_record_goes_once_in_order_and_no_batch_is_too_large(size: int, pages: list[int]) -> None:
    pile, sent = Pile(size, absent=True), list[Load]()
    first = 0
    for rows in pages:
        sent += pile.add(load(first, rows))
        first += rows
    sent += pile.rest()
    assert all(0 < len(batch) <= size for batch in sent)
    ids = [name for batch in sent for name in batch.ids.to_pylist()]
    assert ids == [f"r{number}" for number in range(first)]
    assert [digest for batch in sent for digest in batch.digests] == [name.encode() for name in ids]


@pytest.mark.parametrize(
    ("rows", "sizes"), [(6, [6]), (8, [8]), (16, [8, 8]), (17, [5, 6, 6]), (23, [7, 8, 8]), (26, [6, 7, 6, 7])]
)
def test_a_page_that_fills_batches_is_cut_and_never_copied(rows: int, sizes: list[int]) -> None:
    pile = Pile(8, absent=True)
    for number in range(3):
        page = load(number * rows, rows)
        batches = list(pile.add(page))
        assert [len(batch) for batch in batches] == sizes
        whole = _components(page)
        assert {_components(batch) for batch in batches} == {whole}
    assert list(pile.rest()) == []


def _components(load: Load) -> int:
    vectors = load.records.column("vector")
    assert isinstance(vectors, pa.FixedSizeListArray)
    return int(vectors.values.buffers()[1].address)


def test_small_pages_wait_for_each_other() -> None:
    pile = Pile(8, absent=False)
    assert [len(batch) for batch in pile.add(load(0, 5))] == []
    assert [len(batch) for batch in pile.add(load(5, 5))] == [8]
    assert [len(batch) for batch in pile.rest()] == [2]
