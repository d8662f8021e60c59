"""Collections of earlier versions: a question's point had a UUID, its number in the payload, or another type.

Before such a collection is moved it is written down once as today's points are, in a file beside the local stores;
the source is only read.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pyarrow as pa

import wherry
from wherry import Address, Conflict, Metric, Record, Space
from wherry_apps.tutor.points import FORMER, QUESTION
from wherry_apps.tutor.switches import folder

_ROWS = 1024


@contextmanager
def renumbered(source: Address) -> Iterator[tuple[Address, int]]:
    """Give a collection whose questions have their numbers as ids, and how many had to be given them.

    It is the source itself where nothing has to be done. Raises Conflict where two points are of one question.
    """
    store = wherry.open_source(source)
    place = folder() / "staging" / uuid4().hex
    try:
        count = _former(store)
        if not count:
            store.close()
            yield source, 0
            return
        place.mkdir(parents=True)
        space = store.describe().space.filled_from(Space(metric=Metric.COSINE))
        wherry.put(_records(store, str(source)), place / "points.parquet", space)
        yield Address("archive", str(place / "points.parquet")), count
    finally:
        store.close()
        shutil.rmtree(place, ignore_errors=True)


def number_of(point: str, payload: dict[str, Any]) -> int | None:
    """Return the number of a question's point: its id, or what its payload says; None for a passage."""
    if point.isascii() and point.isdigit():
        return int(point)
    said = payload.get("question_id")
    number = said if isinstance(said, int) else int(said) if isinstance(said, str) and said.isdigit() else None
    return number if payload.get("type") in (QUESTION, FORMER) else None


def _former(store: Any) -> int:
    """Count the points of questions that are not as today's are; only ids that are no numbers are looked at."""
    count = 0
    for page in store.ids(_ROWS):
        odd = [i for i in page.to_pylist() if not i.isdigit()]
        if odd:
            records = wherry.to_records(store.fetch(pa.array(odd, type=pa.string())).records)
            count += sum(number_of(one.id, one.metadata or {}) is not None for one in records)
    return count


def _records(store: Any, where: str) -> Iterator[Record]:
    seen: dict[int, str] = {}
    for page in store.scan(_ROWS):
        for one in wherry.to_records(page.records):
            payload = dict(one.metadata or {})
            number = number_of(one.id, payload)
            if number is None:
                yield one
                continue
            if number in seen:
                raise Conflict(
                    f"the points {seen[number]} and {one.id} are both of question {number}",
                    where=where,
                    left="nothing was moved",
                    next="remove the older one",
                )
            seen[number] = one.id
            kind = QUESTION if payload.get("type") == FORMER else payload.get("type", QUESTION)
            yield Record(str(number), one.vector, one.text, {**payload, "question_id": number, "type": kind})
