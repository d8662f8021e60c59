"""Portions of a Chroma collection: each record is asked for once, ahead of its turn; pages keep to their limit."""

from __future__ import annotations

import threading
from typing import Any

import pyarrow as pa
import pytest

from wherry.record import Page
from wherry.stores.chroma.faults import LostVector
from wherry.stores.chroma.portions import Portions

DIMENSION = 4


class Collection:
    """What `get` of Chroma answers: a text of `width` letters for every id, and no vector for those that are lost."""

    def __init__(self, width: int = 10, lost: tuple[str, ...] = ()) -> None:
        self.width, self.lost = width, lost
        self.asked: list[list[str]] = []

    def get(self, ids: list[str], everything: bool) -> dict[str, Any]:
        """Return records, or their ids alone."""
        if not everything:
            return {"ids": ids}
        self.asked.append(ids)
        if set(ids) & set(self.lost):
            raise LostVector("no vector")
        rows, nothing = len(ids), [None] * len(ids)
        texts = ["x" * self.width] * rows
        return {
            "ids": ids,
            "embeddings": [[1.0] * DIMENSION] * rows,
            "documents": texts,
            "metadatas": nothing,
            "uris": nothing,
        }


def pages(collection: Collection, ids: list[str], rows: int, limit: int = 1 << 20) -> list[Page]:
    """Read everything page by page."""
    found = list(Portions(collection.get, DIMENSION).pages(pa.array(ids, pa.string()), rows, limit))
    assert all(0 < page.read <= rows for page in found)
    return found


@pytest.mark.parametrize(("count", "rows"), [(1, 1000), (700, 1000), (1000, 1000), (2500, 1000), (600, 7)])
def test_every_record_is_asked_for_once_and_in_order(count: int, rows: int) -> None:
    ids = [f"r{n}" for n in range(count)]
    collection = Collection()
    found = pages(collection, ids, rows)
    assert [i for page in found for i in page.ids.to_pylist()] == ids
    assert sorted(i for portion in collection.asked for i in portion) == sorted(ids)
    assert max(map(len, collection.asked)) <= 256


def test_a_page_of_wide_records_ends_near_its_limit() -> None:
    ids = [f"r{n}" for n in range(100)]
    found = pages(Collection(width=100_000), ids, 1000, limit=1 << 20)
    assert [i for page in found for i in page.ids.to_pylist()] == ids
    assert max(page.records.nbytes for page in found) < 3 << 20
    assert len(found) > 5


def test_a_record_wider_than_a_page_is_a_page() -> None:
    ids = [f"r{n}" for n in range(20)]
    found = pages(Collection(width=3 << 20), ids, 1000, limit=1 << 20)
    assert [i for page in found for i in page.ids.to_pylist()] == ids
    # How wide they are is known once the first portions came.
    assert [page.ids.to_pylist() for page in found][-4:] == [["r16"], ["r17"], ["r18"], ["r19"]]


def test_two_portions_come_at_a_time_and_no_more() -> None:
    collection = Collection()
    two, under_way, most = threading.Barrier(2, timeout=30), [], []

    def get(ids: list[str], everything: bool) -> dict[str, Any]:
        under_way.append(ids)
        most.append(len(under_way))
        two.wait()
        under_way.remove(ids)
        return collection.get(ids, everything)

    ids = [f"r{n}" for n in range(8 + 8 + 256 + 256)]
    (page,) = Portions(get, DIMENSION).pages(pa.array(ids, pa.string()), 1000)
    assert page.ids.to_pylist() == ids
    assert max(most) == 2


def test_a_scan_that_is_given_up_asks_for_nothing_more() -> None:
    ids, collection = [f"r{n}" for n in range(5000)], Collection()
    scan = Portions(collection.get, DIMENSION).pages(pa.array(ids, pa.string()), 100)
    next(scan)
    scan.close()  # type: ignore[attr-defined]
    assert sum(map(len, collection.asked)) < 1000


def test_records_without_a_vector_are_found_wherever_their_portion_was_asked_for() -> None:
    ids = [f"r{n}" for n in range(600)]
    found = pages(Collection(lost=("r3", "r300", "r599")), ids, 1000)
    assert [r.id for page in found for r in page.rejects] == ["r3", "r300", "r599"]
    assert [i for page in found for i in page.ids.to_pylist()] == [i for i in ids if i not in ("r3", "r300", "r599")]
