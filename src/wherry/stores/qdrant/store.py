"""A Qdrant collection as a store, whichever way leads to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from wherry.address import Address
from wherry.canonical import BadMetadata
from wherry.errors import BadAddress, BadRecord, NoSuchCollection, Rejected, UnknownMetric, Unsupported
from wherry.record import Page, dimension_of, vectors_of
from wherry.space import Metric, Space
from wherry.state import locked
from wherry.stores.base import PAGE_ROWS, Capabilities, Collection, Index
from wherry.stores.qdrant import ids as names
from wherry.stores.qdrant.ids import ID_KEY, PointId
from wherry.stores.qdrant.link import Link, Making
from wherry.stores.qdrant.payload import NORM_KEY, Codec, Layout, Payload, layout_of
from wherry.stores.qdrant.reading import Pace, Reader, cut, owners_of
from wherry.stores.qdrant.shape import MAX_DIMENSION, Shape, card_of, hnsw_of
from wherry.stores.qdrant.vectors import not_finite, to_unit

# Points that are looked at to recognise what another tool made.
_SAMPLED = 100
FIELD_TYPES = ("keyword", "integer", "float", "bool", "datetime", "uuid", "text", "geo")


@dataclass(frozen=True)
class Wanted:
    """What the options of an address ask for.

    text: the payload key of the text. vector: the name of the vector. fields: payload keys to be
    indexed for filters, key -> type.
    """

    text: str | None = None
    vector: str | None = None
    fields: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, address: Address) -> Wanted:
        """Read the options `text`, `vector` and `index=key,key:integer`. Raises BadAddress."""
        entries = [entry for entry in (address.option("index") or "").split(",") if entry]
        pairs = [entry.rpartition(":") if ":" in entry else (entry, ":", "keyword") for entry in entries]
        for _, _, kind in pairs:
            if kind not in FIELD_TYPES:
                raise BadAddress(f"a payload index cannot be of type {kind!r}", next=f"types: {', '.join(FIELD_TYPES)}")
        return cls(address.option("text"), address.option("vector"), {key: kind for key, _, kind in pairs})


class QdrantSource:
    """A collection to be read."""

    def __init__(self, address: Address, link: Link, wanted: Wanted, claimed: Capabilities, largest: int) -> None:
        self._address, self._link, self._wanted = address, link, wanted
        self._claimed, self._largest = claimed, largest
        self._known: Reader | None = None

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
        shape = self._known.shape if self._known else self._link.shape()
        return shape.capabilities(self._claimed) if shape else self._claimed

    def describe(self) -> Collection:
        """Return what is there now. Raises NoSuchCollection when it is not there."""
        shape = self._link.shape()
        if shape is None:
            raise self._missing()
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
        start: PointId | None = None
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
        if self._wanted.text is None and shape.layout is not None:
            return shape.layout
        sampled = self._link.scroll(None, _SAMPLED, None, None)
        found = layout_of(sampled.payloads)
        if self._wanted.text in (None, found.text):
            return found
        return Layout(self._wanted.text)

    def _missing(self) -> NoSuchCollection:
        return NoSuchCollection(
            f"there is no collection {self._address.collection!r}",
            where=self.address,
            left="nothing was created",
            next="check the name and the place",
        )


class QdrantStore(QdrantSource):
    """A collection to be written."""

    def describe(self) -> Collection:
        """Return what is there now, which may be nothing yet."""
        if self._link.shape() is None:
            return Collection(self._address.collection, False, 0, Space(), volume=self._link.volume)
        return super().describe()

    def prepare(self, space: Space, index: Index, rows: int) -> None:
        """Create the collection if it is not there. Raises UnknownMetric, SpaceMismatch, Unsupported."""
        shape = self._link.shape()
        if shape is not None:
            shape.require_writable(self.address)
            shape.space.require_same(space, self.address, "the records")
            self._require_layout(shape)
            return
        dimension, metric = required(space, self.address)
        m, ef_construct = hnsw_of(index)
        card = card_of(space, Layout(self._wanted.text or "text"), index)
        self._link.make(Making(dimension, metric, m, ef_construct, self._wanted.vector or "", card))
        self._known = None

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        """Store records; payload and vector of a known point are replaced whole.

        Raises Rejected for another dimension and for two ids that go to one point.
        """
        reader = self._writer()
        self._require_dimension(batch, reader.shape)
        if batch.num_rows == 0:
            return
        record_ids, vectors = batch.column("id").to_pylist(), vectors_of(batch)
        self._require_finite(record_ids, vectors)
        points = names.points_of(record_ids)
        self._require_apart(record_ids, points)
        payloads = self._payloads(batch, record_ids, points, reader.codec)
        if reader.shape.metric is Metric.COSINE:
            vectors, norms = to_unit(vectors)
            _keep(norms, payloads)
        self._link.put(points, vectors, payloads, reader.shape.vector)

    def delete(self, ids: pa.Array) -> None:
        """Delete records; ids that are not there are ignored."""
        self._writer()
        wanted = {names.point_of(record_id): record_id for record_id in ids.to_pylist()}
        taken = self._taken(list(wanted))
        points = [point for point, record_id in wanted.items() if taken.get(point, record_id) == record_id]
        if points:
            self._link.remove(points)

    def finish(self, space: Space, index: Index) -> None:
        """Build the vector index and the payload indexes asked for, and wait until they serve."""
        self._writer()
        self._link.settle(self._wanted.fields)
        self._known = None

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the collection against other writers that share the state folder."""
        with locked(f"{self.identity} writer", self.address):
            yield

    def _writer(self) -> Reader:
        if self._known is None:
            self._reader().shape.require_writable(self.address)
        return self._reader()

    def _payloads(
        self, batch: pa.RecordBatch, record_ids: list[str], points: list[PointId], codec: Codec
    ) -> list[Payload]:
        try:
            payloads = codec.encode(batch.column("text"), batch.column("metadata"))
        except (BadMetadata, ValueError):
            raise BadRecord(
                "the metadata of a record is no JSON object",
                where=self.address,
                left="nothing of the batch was written",
            ) from None
        for record_id, point, payload in zip(record_ids, points, payloads, strict=True):
            if names.is_hashed(point) and point != record_id:
                payload[ID_KEY] = record_id
        return payloads

    def _require_dimension(self, batch: pa.RecordBatch, shape: Shape) -> None:
        if dimension_of(batch) != shape.dimension:
            raise Rejected(
                f"{dimension_of(batch)} components, the collection has {shape.dimension}",
                where=self.address,
                left="nothing of the batch was written",
            )

    def _require_finite(self, record_ids: list[str], vectors: np.ndarray) -> None:
        # The engine would take them, and under cosine turn infinities into NaN.
        rows = not_finite(vectors)
        if len(rows):
            raise BadRecord(
                f"{len(rows)} vectors hold NaN or an infinity, the first is that of {record_ids[rows[0]]!r}",
                where=self.address,
                left="nothing of the batch was written",
            )

    def _require_apart(self, record_ids: list[str], points: list[PointId]) -> None:
        clash = names.clash_in(record_ids, points)
        if clash is None:
            taken = self._taken(points)
            pairs = zip(record_ids, points, strict=True)
            clash = next(((taken[p], i) for i, p in pairs if taken.get(p, i) != i), None)
        if clash is not None:
            raise Rejected(
                f"the ids {clash[0]!r} and {clash[1]!r} go to the same point",
                where=self.address,
                left="nothing of the batch was written",
                next="give one of the two records another id",
            )

    def _taken(self, points: Sequence[PointId]) -> dict[PointId, str]:
        """Return who holds those of the points that a hash may lead to."""
        doubtful = [point for point in points if names.is_hashed(point)]
        if not doubtful:
            return {}
        held = self._link.retrieve(doubtful, (ID_KEY,), None)
        owners = zip(held.ids, held.payloads, strict=True)
        return {point: str(payload.get(ID_KEY, point)) for point, payload in owners}

    def _require_layout(self, shape: Shape) -> None:
        kept, wanted = shape.layout, self._wanted.text
        if kept is not None and wanted not in (None, kept.text):
            raise BadAddress(
                f"the collection keeps its texts under {kept.text!r}, not {wanted!r}",
                where=self.address,
                next=f"leave ?text= out or write ?text={kept.text}",
            )


def required(space: Space, where: str) -> tuple[int, Metric]:
    """Return dimension and metric of a space. Raises UnknownMetric or Unsupported when one is missing."""
    if space.metric is None:
        raise UnknownMetric(where=where, left="nothing was created", next="say it with ?metric= at the source")
    if space.dimension is None:
        raise Unsupported("a collection of unknown dimension cannot be made", where=where, left="nothing was created")
    if not 1 <= space.dimension <= MAX_DIMENSION:
        raise Unsupported(
            f"{space.dimension} components per vector, the engine holds {MAX_DIMENSION}",
            where=where,
            left="nothing was created",
        )
    return space.dimension, space.metric


def _keep(norms: np.ndarray, payloads: list[Payload]) -> None:
    for row in np.flatnonzero(norms > 0).tolist():
        payloads[row][NORM_KEY] = float(norms[row])


def _notes(shape: Shape, layout: Layout) -> Iterator[str]:
    if shape.layout is None:
        yield f"another tool made it: texts are read from the payload key {layout.text!r}" + (
            ", metadata from 'metadata' (LangChain's shape)" if layout.nested else ", the other keys are metadata"
        )
    if shape.vector:
        yield f"the vector read is {shape.vector!r}"
    if shape.others:
        yield f"its points hold further vectors that are not read: {', '.join(map(repr, shape.others))}"


def options(*more: str) -> set[str]:
    """Return the names of the options an address of Qdrant may have."""
    return {"text", "vector", "index", *more}
