"""A collection as it will be after the next publishing: the live generation with a log laid over it.

Rows are numbered through both: first those of the generation, then those of the log, in order of
arrival. A row that was replaced or deleted is dead; its bytes stay where they are until `publish`
writes the next generation without them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from wherry.errors import SpaceMismatch
from wherry.record import Page, make_batch, schema, vectors_of
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.faiss.files import STAGING, writing
from wherry.stores.faiss.flat import are_unit, header_bytes
from wherry.stores.faiss.generation import Generation
from wherry.stores.faiss.log import DELETE, UPSERT, Frame, Log
from wherry.stores.faiss.rows import LATEST, Rows, Segment, split
from wherry.stores.faiss.sidecar import SCHEMA, joined, pieces
from wherry.stores.faiss.vectors import StagedVectors


class Staging:
    """What is staged over one generation (or over nothing)."""

    def __init__(self, folder: Path, shown: str, base: Generation | None, metric: Metric, name: str = STAGING) -> None:
        """Open the staging of the collection in `folder`, making it if needed; `begin` or `recover` follows.

        name: of its folder there. The vectors are in the same file whatever the name.
        """
        self.folder, self.shown, self.base = folder, shown, base
        self.name, self.space, self.index = "", Space(), Index()
        self.published_as = ""
        path = folder / name
        with writing(folder, shown):
            for place in (path, folder / STAGING):
                place.mkdir(exist_ok=True)
            self.log = Log(path, shown)
            self.vectors_file = StagedVectors(folder / STAGING, shown, header_bytes(metric))
        self.rows, self.deletes = Rows(base, self._words), 0
        self._decoded: dict[int, pa.RecordBatch] = {}
        # One batch at a time is written; what is known of the rows can be asked meanwhile.
        self._turn, self._lock = threading.Lock(), threading.RLock()

    def begin(self, name: str, space: Space, index: Index) -> None:
        """Note what the collection is. `space` has a metric."""
        facts = {"name": name, "space": space.to_dict(), "index": vars(index)}
        for _ in self.log.replay(self.vectors_file.size):
            pass
        self._learn(facts)
        with writing(self.folder, self.shown):
            self.log.note(facts)

    def recover(self) -> None:
        """Read what a crash left."""
        with writing(self.folder, self.shown):
            for frame in self.log.replay(self.vectors_file.size):
                if frame.kind == UPSERT:
                    self._add(frame)
                elif frame.kind == DELETE:
                    self._kill(self.log.read(frame).column(0))
                else:
                    self._learn(self.log.facts(frame))

    def _learn(self, facts: dict[str, Any]) -> None:
        if "name" in facts:
            self.name, self.space = facts["name"], Space.from_dict(facts["space"])
            self.index = Index(**facts["index"])
            self._require_room_for_both()
        self.published_as = facts.get("publishing", self.published_as)

    def _require_room_for_both(self) -> None:
        """A staging may outlive the generation it was made over; the next one must be of its kind."""
        if self.base is None:
            return
        try:
            self.base.card.space.require_same(self.space, self.shown, "what an unfinished run staged beside it")
        except SpaceMismatch as error:
            error.next = f"restore the collection, or remove {self.folder / STAGING}"
            raise

    @property
    def dimension(self) -> int:
        """Components per vector, 0 until that is known."""
        return self.space.dimension or 0

    @property
    def pending(self) -> bool:
        """Whether records were written or deleted."""
        return bool(self.rows.segments) or self.deletes > 0

    @property
    def count(self) -> int:
        """How many records there are."""
        with self._lock:
            self.rows.settle()
            return self.rows.end - self.rows.dead

    @property
    def is_plain(self) -> bool:
        """Whether the staged vectors, as they lie in their file, are all the records there are."""
        used = sum(segment.frame.vector_bytes for segment in self.rows.segments)
        whole = self.vectors_file.reserved + used == self.vectors_file.size
        return whole and not self.rows.base_rows and not self.rows.dead

    @property
    def bytes(self) -> int:
        """Bytes on disk."""
        return self.log.bytes + self.vectors_file.size

    @property
    def unit(self) -> bool:
        """Whether all vectors of the log have length 1."""
        return all(segment.frame.unit for segment in self.rows.segments)

    def upsert(self, batch: pa.RecordBatch) -> None:
        """Store records of the right dimension, each replacing what was under its id; durable on return."""
        if len(batch.column("id").unique()) < batch.num_rows:
            batch = _last_of_each(batch)
        vectors = np.ascontiguousarray(vectors_of(batch), dtype="<f4")
        unit = self.space.metric is not Metric.COSINE or are_unit(vectors)
        words = pa.RecordBatch.from_arrays([batch.column(name) for name in SCHEMA.names], schema=SCHEMA)
        data = vectors.data.cast("B") if vectors.size else memoryview(b"")
        with self._turn:
            with writing(self.folder, self.shown), self.vectors_file.room(len(data)) as at:
                self.vectors_file.write(data, at)
                frame = self.log.upsert(words, vectors.shape[1], at, xxhash.xxh3_64_intdigest(data), unit)
            with self._lock:
                self._add(frame)

    def delete(self, ids: pa.Array) -> None:
        """Delete records; durable on return."""
        with self._turn:
            with self._lock:
                found = self.rows.find(ids)
            if not len(found):
                return
            with writing(self.folder, self.shown):
                self.log.delete(ids)
            with self._lock:
                self._kill(ids)

    def absorb(self, portion: Path) -> None:
        """Take over what was staged beside this, in a folder of the same kind, and remove that one."""
        other = Log(portion, self.shown)
        with self._turn, writing(self.folder, self.shown):
            frames = self.log.extend(other, self.vectors_file.size)
            with self._lock:
                for frame in frames:
                    self._add(frame)
            other.remove()

    def trim(self) -> None:
        """Cut off what a crash left behind the vectors. Only while nobody stages beside this."""
        ends = [segment.frame.vectors_end for segment in self.rows.segments]
        with writing(self.folder, self.shown):
            self.vectors_file.cut_off(max(ends, default=self.vectors_file.reserved))

    def settle(self) -> None:
        """See to it that no two records have one id."""
        with self._lock:
            self.rows.settle()

    def _add(self, frame: Frame) -> None:
        self.space = self.space.filled_from(Space(dimension=frame.dimension))
        self.rows.add(frame)

    def _kill(self, ids: pa.Array) -> None:
        self.deletes += 1
        self.rows.delete(ids)

    def _words(self, segment: Segment) -> pa.RecordBatch:
        """Return ids, texts and metadata of a segment as they are on disk; the last few are kept."""
        found = self._decoded.get(segment.first)
        if found is None:
            found = self.log.read(segment.frame)
            with self._lock:
                self._decoded[segment.first] = found
                while len(self._decoded) > LATEST:
                    self._decoded.pop(next(iter(self._decoded)))
        return found

    def fetch(self, ids: pa.Array) -> pa.RecordBatch:
        """Return the records with these ids."""
        with self._lock:
            rows, segments = self.rows.find(ids.unique()), list(self.rows.segments)
        old, new = rows[rows < self.rows.base_rows], rows[rows >= self.rows.base_rows]
        parts = []
        if self.base is not None and len(old):
            parts.append(self.base.take(old))
        parts += [self._taken(segment, part) for segment, part in split(segments, new)]
        return joined(parts, schema(self.dimension))

    def _taken(self, segment: Segment, rows: np.ndarray) -> pa.RecordBatch:
        """Return some records of a segment; the rows are counted within it and ascend."""
        start, stop = int(rows[0]), int(rows[-1]) + 1
        near = self._vectors(segment, start, stop)
        return _batch(self._words(segment).take(pa.array(rows)), near if len(near) == len(rows) else near[rows - start])

    def _vectors(self, segment: Segment, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Return the vectors of a segment, of all its rows or some that lie together."""
        frame = segment.frame
        rows = (frame.rows if stop is None else stop) - start
        return self.vectors_file.floats_at(frame.vectors_at + 4 * frame.dimension * start, rows, frame.dimension)

    def _snapshot(self) -> tuple[list[Segment], np.ndarray]:
        with self._lock:
            self.rows.settle()
            return list(self.rows.segments), self.rows.living(0, self.rows.end).copy()

    def pages(self, rows: int) -> Iterator[Page]:
        """Yield all records as of the moment of the first page, at most about 16 MiB at a time."""
        for batch in self.records(rows):
            yield Page(batch)

    def records(self, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield all records, as of the moment of the first batch."""
        segments, live = self._snapshot()
        if self.base is not None:
            for start, batch in self.base.pages(rows):
                yield from _living(batch, live[start : start + batch.num_rows])
        for segment in segments:
            words, vectors = self.log.read(segment.frame), self._vectors(segment)
            start = 0
            for part in pieces(words, rows, 4 * self.dimension):
                stop = start + part.num_rows
                alive = live[segment.first + start : segment.first + stop]
                yield from _living(_batch(part, vectors[start:stop]), alive)
                start = stop

    def words(self) -> Iterator[pa.RecordBatch]:
        """Yield ids, texts and metadata of all records, in the order of `vectors`."""
        for start, batch in self.base.sidecar.groups() if self.base is not None else ():
            yield from _living(batch, self.rows.living(start, start + batch.num_rows))
        for segment in self.laid():
            yield from _living(self.log.read(segment.frame), self.rows.living(segment.first, segment.end))

    def vectors(self, size: int) -> Iterator[np.ndarray]:
        """Yield the vectors of all records as they lie in their files, float32 (n, d), about `size` bytes at a time."""
        step = max(1, size // max(1, 4 * self.dimension))
        for start in range(0, self.rows.base_rows, step):
            stop = min(start + step, self.rows.base_rows)
            alive = self.rows.living(start, stop)
            part = self.base.vectors(start, stop - start) if self.base is not None else np.empty((0, 0))
            yield part if alive.all() else part[alive]
        for segment in self.laid():
            for start in range(0, segment.frame.rows, step):
                stop = min(start + step, segment.frame.rows)
                alive = self.rows.living(segment.first + start, segment.first + stop)
                part = self._vectors(segment, start, stop)
                yield part if alive.all() else part[alive]

    def laid(self) -> list[Segment]:
        """Return the segments as their vectors lie in the file: those of several workers lie mixed."""
        return sorted(self.rows.segments, key=lambda segment: segment.frame.vectors_at)

    @property
    def kept_rows(self) -> int:
        """How many rows of the generation come first and unchanged: all of them, or none."""
        base_rows = self.rows.base_rows
        return base_rows if self.rows.living(0, base_rows).all() else 0

    def ids(self, rows: int) -> Iterator[pa.Array]:
        """Yield every id."""
        for ids in self.rows.ids(*self._snapshot()):
            yield from _cut(ids, rows)

    def announce(self, generation: str) -> None:
        """Note which generation is about to hold all this: after a crash it is known that it does."""
        with writing(self.folder, self.shown):
            self.log.note({"publishing": generation})
        self.published_as = generation

    def close(self) -> None:
        """Close the files for writing and keep them."""
        self.log.close()
        self.vectors_file.close()

    def remove(self) -> None:
        """Close and delete the files."""
        self.close()
        self.log.remove()


def _batch(words: pa.RecordBatch, vectors: np.ndarray) -> pa.RecordBatch:
    return make_batch(words.column(0), vectors, words.column(1), words.column(2))


def _living(batch: pa.RecordBatch, alive: np.ndarray) -> Iterator[pa.RecordBatch]:
    if alive.all():
        yield batch
    elif alive.any():
        yield batch.filter(pa.array(alive))


def _cut(ids: pa.Array, rows: int) -> Iterator[pa.Array]:
    for start in range(0, len(ids), rows):
        yield ids.slice(start, rows)


def _last_of_each(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the last record of every id."""
    rows = pa.table({"id": batch.column("id"), "row": np.arange(batch.num_rows)})
    last = rows.group_by("id").aggregate([("row", "max")]).column("row_max")
    return batch.take(pa.array(np.sort(last.to_numpy())))
