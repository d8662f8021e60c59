"""The staging on disk: what is to be added and removed, each batch durable when `upsert` returns.

Two files. `vectors` begins as the file of a flat index does and takes the vectors as they come. `log`
takes one frame per batch, written after its vectors are durable: a header with checksums, then ids,
texts and metadata (or the ids to be deleted) as an Arrow message. A frame that a crash cut is not there.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from wherry.errors import ArchiveCorrupt
from wherry.stores.durable import sync_folder, write_all
from wherry.stores.faiss.files import CHUNK, Stored, corrupt
from wherry.stores.faiss.sidecar import SCHEMA

LOG_FILE, STAGED_VECTORS = "log", "vectors"
FACTS, UPSERT, DELETE = 0, 1, 2
_HEAD = struct.Struct("<4sBBHIIQQQ")
_MAGIC = b"wfs1"
_IDS = pa.schema([SCHEMA.field("id")])
_SCHEMAS = {UPSERT: SCHEMA, DELETE: _IDS}


@dataclass(frozen=True)
class Frame:
    """One entry of the log. unit: all its vectors have length 1. digest: XXH3-64 of its vectors."""

    kind: int
    unit: bool
    dimension: int
    rows: int
    at: int
    length: int
    digest: int

    @property
    def vector_bytes(self) -> int:
        """Bytes of its vectors."""
        return 4 * self.rows * self.dimension if self.kind == UPSERT else 0


class Log:
    """The two files of a staging, open for appending and for reading."""

    def __init__(self, folder: Path, shown: str, reserved: int) -> None:
        """Open the staging in `folder`. reserved: bytes kept free before the vectors."""
        self.folder, self.shown, self.reserved = folder, shown, reserved
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._log = os.open(folder / LOG_FILE, flags, 0o666)
        self._vectors = os.open(folder / STAGED_VECTORS, flags, 0o666)
        # Readers of their own, which a scan may go on using after the staging was published.
        self.frames_file = Stored(folder / LOG_FILE, shown)
        self.vectors_file = Stored(folder / STAGED_VECTORS, shown)
        self._end, self._vectors_end = 0, reserved
        if os.fstat(self._vectors).st_size < reserved:
            os.ftruncate(self._vectors, reserved)

    def replay(self) -> Iterator[Frame]:
        """Yield every whole frame; what a crash left of a last one is cut off. Raises ArchiveCorrupt."""
        size = os.fstat(self._log).st_size
        room = os.fstat(self._vectors).st_size
        while (frame := self._frame(self._end, size)) is not None:
            if self._vectors_end + frame.vector_bytes > room:
                raise self._cut_off()
            self._end = frame.at + frame.length
            self._vectors_end += frame.vector_bytes
            yield frame
        self._require_end(size)
        os.ftruncate(self._log, self._end)
        os.ftruncate(self._vectors, self._vectors_end)
        os.lseek(self._log, self._end, os.SEEK_SET)
        os.lseek(self._vectors, self._vectors_end, os.SEEK_SET)

    def _cut_off(self) -> ArchiveCorrupt:
        return corrupt(self.shown, "the staged vectors end before their log", f"remove the folder {self.folder}")

    def _require_end(self, size: int) -> None:
        """Raise ArchiveCorrupt when whole frames follow a broken one: a crash breaks nothing but the last."""
        rest = os.pread(self._log, size - self._end, self._end)
        at = rest.find(_MAGIC, 1)
        while at >= 0:
            if self._frame(self._end + at, size) is not None:
                raise corrupt(
                    self.shown,
                    "a batch in the middle of what was staged is damaged",
                    f"remove the folder {self.folder}, then sync with --level deep",
                )
            at = rest.find(_MAGIC, at + 1)

    def first(self) -> Frame | None:
        """Return the first frame, None when there is no whole one."""
        return self._frame(0, os.fstat(self._log).st_size)

    def _frame(self, at: int, size: int) -> Frame | None:
        if at + _HEAD.size > size:
            return None
        head = os.pread(self._log, _HEAD.size, at)
        magic, kind, unit, _, dimension, rows, length, digest, check = _HEAD.unpack(head)
        if magic != _MAGIC or at + _HEAD.size + length > size:
            return None
        payload = os.pread(self._log, length, at + _HEAD.size)
        if check != _check(head, payload):
            return None
        return Frame(kind, bool(unit), dimension, rows, at + _HEAD.size, length, digest)

    def note(self, facts: dict[str, Any]) -> None:
        """Append facts (a JSON object), durably."""
        with self._whole():
            self._append(FACTS, json.dumps(facts).encode(), 0, 0, 0, False)

    def upsert(self, batch: pa.RecordBatch, vectors: np.ndarray, unit: bool) -> Frame:
        """Append records: a batch of `SCHEMA` and its vectors, float32 (n, d), in C order."""
        data = vectors.data.cast("B") if vectors.size else memoryview(b"")
        with self._whole():
            write_all(self._vectors, data)
            os.fdatasync(self._vectors)
            self._vectors_end += len(data)
            digest = xxhash.xxh3_64_intdigest(data)
            return self._append(UPSERT, batch.serialize(), vectors.shape[1], len(vectors), digest, unit)

    def delete(self, ids: pa.Array) -> Frame:
        """Append a deletion."""
        batch = pa.RecordBatch.from_arrays([ids], schema=_IDS)
        with self._whole():
            return self._append(DELETE, batch.serialize(), 0, len(ids), 0, False)

    def extend(self, other: Log) -> list[Frame]:
        """Append every batch of another log, all or none of them and durably; return their frames here."""
        frames = [frame for frame in other.replay() if frame.kind == UPSERT]
        size = sum(frame.vector_bytes for frame in frames)
        with self._whole():
            self._copy_vectors(other, size)
            os.fdatasync(self._vectors)
            self._vectors_end += size
            found = [self._carried(frame, os.pread(other._log, frame.length, frame.at)) for frame in frames]
            os.fdatasync(self._log)
        return found

    def _copy_vectors(self, other: Log, size: int) -> None:
        """Append the first `size` bytes of another log's vectors."""
        # One room for all of it: memory that is new for each piece costs as much as the copying.
        room = memoryview(bytearray(min(CHUNK, size)))
        at, end = other.reserved, other.reserved + size
        while at < end:
            read = os.preadv(other._vectors, [room[: end - at]], at)
            if not read:
                raise other._cut_off()
            write_all(self._vectors, room[:read])
            at += read

    def _carried(self, frame: Frame, payload: bytes) -> Frame:
        return self._append(frame.kind, payload, frame.dimension, frame.rows, frame.digest, frame.unit, durable=False)

    def _append(
        self, kind: int, payload: Any, dimension: int, rows: int, digest: int, unit: bool, durable: bool = True
    ) -> Frame:
        data = memoryview(payload).cast("B")
        values = (_MAGIC, kind, unit, 0, dimension, rows, len(data), digest)
        head = _HEAD.pack(*values, _check(_HEAD.pack(*values, 0), data))
        write_all(self._log, head)
        write_all(self._log, data)
        if durable:
            os.fdatasync(self._log)
        frame = Frame(kind, unit, dimension, rows, self._end + len(head), len(data), digest)
        self._end = frame.at + frame.length
        return frame

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Take back what a failed append has written, so that the next one follows the last whole frame."""
        ends = self._end, self._vectors_end
        try:
            yield
        except BaseException:
            self._end, self._vectors_end = ends
            for descriptor, end in zip((self._log, self._vectors), ends, strict=True):
                os.ftruncate(descriptor, end)
                os.lseek(descriptor, end, os.SEEK_SET)
            raise

    def read(self, frame: Frame) -> pa.RecordBatch:
        """Return the records or the ids of a frame."""
        data = self.frames_file.read_at(frame.at, frame.length)
        return pa.ipc.read_record_batch(pa.py_buffer(data), _SCHEMAS[frame.kind])

    def facts(self, frame: Frame) -> dict[str, Any]:
        """Return the facts of a frame."""
        found: dict[str, Any] = json.loads(self.frames_file.read_at(frame.at, frame.length))
        return found

    @property
    def bytes(self) -> int:
        """Bytes on disk."""
        return self._end + self._vectors_end

    def vectors_path(self) -> Path:
        """Where the vectors are."""
        return self.folder / STAGED_VECTORS

    def close(self) -> None:
        """Close the files and keep them; a second call does nothing."""
        if self._log >= 0:
            os.close(self._log)
            os.close(self._vectors)
            self._log = self._vectors = -1

    def remove(self) -> None:
        """Close and delete the files."""
        self.close()
        remove(self.folder)


def opening(folder: Path, shown: str) -> dict[str, Any] | None:
    """Return the facts a staging begins with; None when there is no staging, or none that was begun."""
    if not (folder / LOG_FILE).is_file():
        return None
    log = Log(folder, shown, 0)
    try:
        first = log.first()
        return None if first is None or first.kind != FACTS else log.facts(first)
    finally:
        log.close()


def remove(folder: Path) -> None:
    """Delete a staging: its log first, without which the rest means nothing."""
    (folder / LOG_FILE).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    if folder.parent.is_dir():
        sync_folder(folder.parent)


def _check(head: bytes, payload: Any) -> int:
    """Return the checksum of a frame; in `head` its own place is left out."""
    digest = xxhash.xxh3_64(head[: _HEAD.size - 8])
    digest.update(payload)
    return digest.intdigest()
