"""Collecting documents into pages of bounded size."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from wherry.record import Page, Reject, make_batch
from wherry.stores.archive.card import Card
from wherry.stores.archive.element import Element
from wherry.stores.archive.floats import to_float32

PAGE_BYTES = 16 << 20


class PageMaker:
    """Takes documents until a page is full.

    raw: returns the bytes of the document at a place, for the rare vector that is read twice.
    distinct: of several documents with one id, keep the first that is no reject.
    """

    def __init__(self, card: Card, rows: int, raw: Callable[[Any], bytes], distinct: bool = False) -> None:
        self.card, self.raw, self.distinct = card, raw, distinct
        fitting = max(1, PAGE_BYTES // (4 * max(1, card.dimension)))
        self.rows = rows if distinct else min(rows, fitting)
        self._values = np.empty((self.rows, card.dimension), dtype=np.float64)
        self._clear()

    def _clear(self) -> None:
        self._ids: list[str] = []
        self._texts: list[str | None] = []
        self._metadata: list[str | None] = []
        self._places: list[Any] = []
        self._rejects: list[Reject] = []
        self._bytes = 0

    @property
    def read(self) -> int:
        """How many documents the page accounts for so far."""
        return len(self._ids) + len(self._rejects)

    @property
    def full(self) -> bool:
        """Whether the page must be taken before the next document is added."""
        return self.read >= self.rows or self._bytes >= PAGE_BYTES

    def add(self, element: Element, place: Any) -> None:
        """Put a document on the page, as a record or as a reject."""
        self._bytes += 4 * self.card.dimension + element.weight
        fault = element.fault or self._fault(element)
        if fault is not None:
            detail = f"{fault[1]} ({self.card.place_words(place)})" if not element.id else fault[1]
            self._rejects.append(Reject(element.id, fault[0], detail))
            return
        self._values[len(self._ids)] = element.values
        self._ids.append(element.id)
        self._texts.append(element.text)
        self._metadata.append(element.metadata)
        self._places.append(place)

    def _fault(self, element: Element) -> tuple[str, str] | None:
        if element.integer and not self.card.integer_ids:
            return "BadId", 'the id is an integer, while others are texts: 4 and "4" could not be told apart'
        if not element.values:
            return "MissingVector", "there is no embedding"
        if len(element.values) != self.card.dimension:
            return "WrongDimension", f"{len(element.values)} components, the file has {self.card.dimension}"
        return None

    def page(self) -> Page:
        """Return what was collected and start anew."""
        rows = len(self._ids)
        vectors = to_float32(self._values[:rows], lambda row: decimals(self.raw(self._places[row])))
        finite: np.ndarray = np.asarray(np.isfinite(vectors).all(axis=1))
        words = "the vector holds NaN, an infinity or a number beyond 32 bits"
        self._rejects += [Reject(self._ids[i], "NonFinite", words) for i in np.flatnonzero(~finite).tolist()]
        keep = _first(self._ids, finite) if self.distinct else finite
        batch = make_batch(self._ids, vectors, self._texts, self._metadata)
        if not keep.all():
            batch = batch.filter(pa.array(keep))
        held = set(batch.column("id").to_pylist()) if self.distinct else set()
        page = Page(batch, [reject for reject in self._rejects if reject.id not in held])
        self._clear()
        return page


def decimals(raw: bytes) -> list[Decimal]:
    """Return the exact components of a document's vector."""
    document = json.loads(raw.decode("utf-8", "surrogateescape"), parse_float=Decimal, parse_int=Decimal)
    vector = document.get("embedding")
    return list(vector if vector is not None else document["vector"])


def pieces(batch: pa.RecordBatch, rows: int) -> Iterator[pa.RecordBatch]:
    """Cut a batch into slices of at most `rows` records and about 16 MiB, without a copy."""
    start = 0
    while start < batch.num_rows:
        part = batch.slice(start, rows)
        while part.num_rows > 1 and part.nbytes > PAGE_BYTES:
            part = part.slice(0, part.num_rows // 2)
        yield part
        start += part.num_rows


def _first(ids: list[str], good: np.ndarray) -> np.ndarray:
    seen: set[str] = set()
    keep = good.copy()
    for row in np.flatnonzero(good).tolist():
        keep[row] = ids[row] not in seen
        seen.add(ids[row])
    return keep
