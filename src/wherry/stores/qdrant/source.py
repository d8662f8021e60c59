"""A Qdrant collection to be read, whichever way leads to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from wherry.address import Address
from wherry.errors import NoSuchCollection
from wherry.record import Page
from wherry.space import Space
from wherry.stores.base import PAGE_ROWS, Capabilities, Collection, Hit
from wherry.stores.exact import checked, search_pages
from wherry.stores.layouts import PLAIN, meant, require_layout
from wherry.stores.qdrant import ids as names
from wherry.stores.qdrant import searching
from wherry.stores.qdrant.ids import ID_KEY, Found
from wherry.stores.qdrant.link import Link
from wherry.stores.qdrant.payload import Codec, Layout, layout_of
from wherry.stores.qdrant.reading import Pace, Reader, cut, owners_of
from wherry.stores.qdrant.shape import Shape
from wherry.stores.qdrant.wanted import Wanted
from wherry.where import Where

# Points that are looked at to recognise what another tool made.
_SAMPLED = 100


class QdrantSource:
    """A collection to be read."""

    _writing = False

    def __init__(self, address: Address, link: Link, wanted: Wanted, claimed: Capabilities, largest: int) -> None:
        self._address, self._link, self._wanted = address, link, wanted
        self._claimed, self._largest = claimed, largest
        self._known: Reader | None = None
        self._followed: str | None = None

    @property
    def address(self) -> str:
        """The address, fit to print."""
        return str(self._address)

    @property
    def identity(self) -> str:
        """Equal for two stores exactly when they hold the same collection."""
        return self._link.identity

    @property
    def capabilities(self) -> Capabilities:
        """What Qdrant holds, less what the settings of this collection take away."""
        reader = self._known or (self._reader() if self._link.shape() else None)
        layout = reader.codec.layout if reader else self._new_layout()
        # A node whose text lies in its own JSON has one, if an empty one.
        claimed = replace(self._claimed, null_text=False) if layout.nodes else self._claimed
        return reader.shape.capabilities(claimed) if reader else claimed

    def describe(self) -> Collection:
        """Return what is there now. Raises NoSuchCollection when it is not there."""
        shape = self._link.shape()
        if shape is None:
            raise self._missing()
        shape.space.require_same(Space(metric=self._wanted.metric), self.address, "its ?metric=")
        layout = self._layout(shape)
        return Collection(
            name=self._address.collection,
            exists=True,
            count=self._link.count(),
            space=shape.space,
            index=shape.index,
            bytes=self._link.size(),
            notes=(*self._link.notes(), *_notes(shape, layout)),
            layout=layout.name,
            volume=self._link.volume,
            extra={"payload_indexes": sorted(shape.indexed)},
        )

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        """Yield all records by point: integers upwards, then UUIDs. Not a snapshot."""
        reader, start = self._reader(), None
        pace = Pace(rows, reader.shape.dimension * 4)
        while True:
            points = self._link.scroll(start, pace.next, None, reader.shape.vector)
            page = reader.page(points)
            pace.saw(page)
            yield from cut(page)
            if points.next is None:
                return
            start = points.next

    def ids(self, rows: int = PAGE_ROWS) -> Iterator[pa.Array]:
        """Yield every id, in the order of `scan`."""
        self._reader()
        start: Found | None = None
        while True:
            points = self._link.scroll(start, rows, (ID_KEY,), None)
            if points.ids:
                owners = zip(owners_of(points), points.ids, strict=True)
                yield pa.array([str(point) if owner is None else owner for owner, point in owners], type=pa.string())
            if points.next is None:
                return
            start = points.next

    def fetch(self, ids: pa.Array) -> Page:
        """Return the records with these ids."""
        reader, asked = self._reader(), dict.fromkeys(ids.to_pylist())
        points = list(dict.fromkeys(names.points_of(asked)))
        page = reader.page(self._link.retrieve(points, None, reader.shape.vector))
        found = page.records.column("id").to_pylist()
        if all(record_id in asked for record_id in found):
            return page
        # A point may be taken by a record of another id that maps to it.
        mine = [record_id in asked for record_id in found]
        return Page(page.records.filter(pa.array(mine)), page.rejects)

    def search(self, vector: np.ndarray, k: int, where: Where | None = None, exact: bool = False) -> list[Hit]:
        """Return the k nearest records: by the engine's graph where it has one."""
        reader, link = self._reader(), self._link
        query = checked(vector, k, reader.shape.space, self.address)
        if not isinstance(link, searching.Asking):
            return search_pages(self.scan(), query, where)
        return searching.search(link, reader.shape.vector, reader.codec, query, where, exact, link.count)

    def close(self) -> None:
        """Release files and connections."""
        self._link.close()

    def _reader(self) -> Reader:
        if self._known is None:
            shape = self._link.shape()
            if shape is None:
                raise self._missing()
            self._known = Reader(shape, Codec(self._layout(shape), self._largest))
        return self._known

    def _layout(self, shape: Shape) -> Layout:
        asked, text = self._wanted.layout, self._wanted.text
        if text is None and shape.layout is not None:
            return self._as_asked(shape.layout)
        sampled = self._link.scroll(None, _SAMPLED, None, None)
        if not any(sampled.payloads):
            return self._new_layout()
        found = layout_of(sampled.payloads)
        if text is not None and asked is None:
            return found if text == found.text else Layout(text)
        return self._as_asked(found)

    def _as_asked(self, found: Layout) -> Layout:
        """Return a layout that was found, unless its points are to be read as they are. Raises Refused."""
        asked = self._wanted.layout
        if asked == PLAIN and found.name != PLAIN and not self._writing:
            return Layout(self._wanted.text or "text")
        require_layout(asked, found.name, self.address)
        return found

    def _new_layout(self) -> Layout:
        """Return the layout of a collection without a point."""
        return Layout.called(meant(self._wanted.layout, self._followed, None), self._wanted.text)

    def _missing(self) -> NoSuchCollection:
        return NoSuchCollection(
            f"there is no collection {self._address.collection!r}",
            where=self.address,
            left="nothing was created",
            next="check the name and the place",
        )


def _notes(shape: Shape, layout: Layout) -> Iterator[str]:
    if layout.nodes:
        yield "texts and metadata are read from LlamaIndex's nodes"
    elif shape.layout is None:
        yield f"another tool made it: texts are read from the payload key {layout.text!r}" + (
            ", metadata from 'metadata' (LangChain's shape)" if layout.nested else ", the other keys are metadata"
        )
    if shape.vector:
        yield f"the vector read is {shape.vector!r}"
    if shape.others:
        yield f"its points hold further vectors that are not read: {', '.join(map(repr, shape.others))}"
