"""A Qdrant collection to be written, whichever way leads to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pyarrow as pa

from wherry.canonical import BadMetadata
from wherry.errors import BadAddress, BadRecord, Rejected, UnknownMetric, Unsupported
from wherry.record import dimension_of, vectors_of
from wherry.space import Metric, Space
from wherry.state import locked
from wherry.stores.base import Collection, Index
from wherry.stores.qdrant import ids as names
from wherry.stores.qdrant.ids import ID_KEY, PointId
from wherry.stores.qdrant.link import Making
from wherry.stores.qdrant.payload import NORM_KEY, Codec, Payload
from wherry.stores.qdrant.reading import Reader
from wherry.stores.qdrant.shape import MAX_DIMENSION, Shape, card_of, hnsw_of
from wherry.stores.qdrant.source import QdrantSource
from wherry.stores.qdrant.vectors import not_finite, to_unit

# LlamaIndex deletes a document by it, and has an index for that.
_NODE_FIELDS = {"doc_id": "keyword"}


class QdrantStore(QdrantSource):
    """A collection to be written."""

    _writing = True

    def describe(self) -> Collection:
        """Return what is there now, which may be nothing yet."""
        if self._link.shape() is None:
            said = Space(metric=self._wanted.metric)
            name, layout = self._address.collection, self._new_layout().name
            return Collection(name, False, 0, said, layout=layout, volume=self._link.volume)
        return super().describe()

    def follow(self, layout: str) -> None:
        """Hear the layout of what is to be written: a collection still to be made gets it, if no other is asked for."""
        self._followed, self._known = layout, None

    def prepare(self, space: Space, index: Index, rows: int) -> None:
        """Create the collection if it is not there. Raises UnknownMetric, SpaceMismatch, Unsupported."""
        said, shape = Space(metric=self._wanted.metric), self._link.shape()
        space.require_same(said, "the records", f"?metric= of {self.address}")
        space = space.filled_from(said)
        if shape is not None:
            shape.require_writable(self.address)
            shape.space.require_same(space, self.address, "the records")
            self._require_layout(shape)
            return
        dimension, metric = required(space, self.address)
        m, ef_construct = hnsw_of(index)
        card = card_of(space, self._new_layout(), index)
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
        if reader.codec.records is not None:
            batch = reader.codec.records.written(batch)
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
        nodes = self._reader().codec.layout.nodes
        self._link.settle(_NODE_FIELDS | self._wanted.fields if nodes else self._wanted.fields)
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
        return {names.plain(point): str(payload.get(ID_KEY, point)) for point, payload in owners}

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
        raise UnknownMetric(
            where=where, left="nothing was created", next="state it in the address: ?metric=cosine (or l2, ip, l1)"
        )
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
