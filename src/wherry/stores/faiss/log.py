"""What is to be added and removed, on disk: one frame per batch, durable when it was appended.

A frame is a header with checksums, then ids, texts and metadata (or the ids to be deleted) as an Arrow message. It is
appended after its vectors, which lie elsewhere (`vectors`), are durable. A frame that a crash cut is not there.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import xxhash

from wherry.errors import ArchiveCorrupt
from wherry.stores.durable import sync_folder, write_all
from wherry.stores.faiss.files import Stored, corrupt
from wherry.stores.faiss.sidecar import SCHEMA

LOG_FILE = "log"
FACTS, UPSERT, DELETE = 0, 1, 2
_HEAD = struct.Struct("<4sBBHIIQQQQ")
_MAGIC = b"wfs2"
# Of versions whose frames did not tell where their vectors are.
_EARLIER = b"wfs1"
_IDS = pa.schema([SCHEMA.field("id")])
_SCHEMAS = {UPSERT: SCHEMA, DELETE: _IDS}


@dataclass(frozen=True)
class Frame:
    """One entry of the log.

    unit: all its vectors have length 1. vectors_at: where they begin in their file. digest: XXH3-64 of them.
    at, length: of its message, in bytes of the log.
    """

    kind: int
    rows: int = 0
    dimension: int = 0
    unit: bool = False
    vectors_at: int = 0
    digest: int = 0
    at: int = 0
    length: int = 0

    @property
    def vector_bytes(self) -> int:
        """Bytes of its vectors."""
        return 4 * self.rows * self.dimension if self.kind == UPSERT else 0

    @property
    def vectors_end(self) -> int:
        """Where its vectors end in their file."""
        return self.vectors_at + self.vector_bytes


class Log:
    """One log, open for appending and for reading."""

    def __init__(self, folder: Path, shown: str) -> None:
        """Open the log in `folder`, making it if needed. Raises ArchiveCorrupt for one of an earlier version."""
        self.folder, self.shown = folder, shown
        self._log = os.open(folder / LOG_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        # A reader of its own, which a scan may go on using after the staging was published.
        self._reader = Stored(folder / LOG_FILE, shown)
        self._end = 0
        if os.pread(self._log, len(_EARLIER), 0) == _EARLIER:
            self.close()
            raise self._broken("what is staged was written by an earlier version")

    def replay(self, room: int) -> Iterator[Frame]:
        """Yield every whole frame; what a crash left of a last one is cut off. Raises ArchiveCorrupt.

        room: bytes of the vectors' file.
        """
        size = os.fstat(self._log).st_size
        while (frame := self._frame(self._end, size)) is not None:
            if frame.vectors_end > room:
                raise self._broken("the staged vectors end before their log")
            self._end = frame.at + frame.length
            yield frame
        self._require_end(size)
        os.ftruncate(self._log, self._end)
        os.lseek(self._log, self._end, os.SEEK_SET)

    def _broken(self, what: str) -> ArchiveCorrupt:
        return corrupt(self.shown, what, f"remove the folder {self.folder}, then sync with --level deep")

    def _require_end(self, size: int) -> None:
        """Raise ArchiveCorrupt when whole frames follow a broken one: a crash breaks nothing but the last."""
        rest = os.pread(self._log, size - self._end, self._end)
        at = rest.find(_MAGIC, 1)
        while at >= 0:
            if self._frame(self._end + at, size) is not None:
                raise self._broken("a batch in the middle of what was staged is damaged")
            at = rest.find(_MAGIC, at + 1)

    def first(self) -> Frame | None:
        """Return the first frame, None when there is no whole one."""
        return self._frame(0, os.fstat(self._log).st_size)

    def _frame(self, at: int, size: int) -> Frame | None:
        if at + _HEAD.size > size:
            return None
        head = os.pread(self._log, _HEAD.size, at)
        magic, kind, unit, _, dimension, rows, length, vectors_at, digest, check = _HEAD.unpack(head)
        if magic != _MAGIC or at + _HEAD.size + length > size:
            return None
        payload = os.pread(self._log, length, at + _HEAD.size)
        if check != _check(head, payload):
            return None
        return Frame(kind, rows, dimension, bool(unit), vectors_at, digest, at + _HEAD.size, length)

    def note(self, facts: dict[str, Any]) -> None:
        """Append facts (a JSON object), durably."""
        self._append(Frame(FACTS), json.dumps(facts).encode())

    def upsert(self, batch: pa.RecordBatch, dimension: int, vectors_at: int, digest: int, unit: bool) -> Frame:
        """Append records: a batch of `SCHEMA`, and what `Frame` tells of their vectors, which are durable."""
        frame = Frame(UPSERT, batch.num_rows, dimension, unit, vectors_at, digest)
        return self._append(frame, batch.serialize())

    def delete(self, ids: pa.Array) -> Frame:
        """Append a deletion."""
        batch = pa.RecordBatch.from_arrays([ids], schema=_IDS)
        return self._append(Frame(DELETE, len(ids)), batch.serialize())

    def extend(self, other: Log, room: int) -> list[Frame]:
        """Append every batch of another log, all or none of them and durably; return their frames here."""
        frames = [frame for frame in other.replay(room) if frame.kind == UPSERT]
        with self._whole():
            found = [self._written(frame, os.pread(other._log, frame.length, frame.at)) for frame in frames]
        return found

    def _append(self, frame: Frame, payload: Any) -> Frame:
        with self._whole():
            return self._written(frame, payload)

    def _written(self, frame: Frame, payload: Any) -> Frame:
        """Write a frame like the given one at the end."""
        data = memoryview(payload).cast("B")
        values = (_MAGIC, frame.kind, frame.unit, 0, frame.dimension, frame.rows, len(data))
        values += (frame.vectors_at, frame.digest)
        head = _HEAD.pack(*values, _check(_HEAD.pack(*values, 0), data))
        write_all(self._log, head)
        write_all(self._log, data)
        found = replace(frame, at=self._end + len(head), length=len(data))
        self._end = found.at + found.length
        return found

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Make durable what is appended, or take it back, so that the next frame follows the last whole one."""
        end = self._end
        try:
            yield
            os.fdatasync(self._log)
        except BaseException:
            self._end = end
            os.ftruncate(self._log, end)
            os.lseek(self._log, end, os.SEEK_SET)
            raise

    def read(self, frame: Frame) -> pa.RecordBatch:
        """Return the records or the ids of a frame."""
        data = self._reader.read_at(frame.at, frame.length)
        return pa.ipc.read_record_batch(pa.py_buffer(data), _SCHEMAS[frame.kind])

    def facts(self, frame: Frame) -> dict[str, Any]:
        """Return the facts of a frame."""
        found: dict[str, Any] = json.loads(self._reader.read_at(frame.at, frame.length))
        return found

    @property
    def bytes(self) -> int:
        """Bytes on disk."""
        return self._end

    def close(self) -> None:
        """Close the file and keep it; a second call does nothing."""
        if self._log >= 0:
            os.close(self._log)
            self._log = -1

    def remove(self) -> None:
        """Close the log and delete its folder."""
        self.close()
        remove(self.folder)


def opening(folder: Path, shown: str) -> dict[str, Any] | None:
    """Return the facts a staging begins with; None when there is no staging, or none that was begun."""
    if not (folder / LOG_FILE).is_file():
        return None
    log = Log(folder, shown)
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
