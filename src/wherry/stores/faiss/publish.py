"""Turning a staging into the next generation, so that a crash leaves the old one or the new one.

step                                              a crash right after it leaves
1 write index, sidecar and card into a new folder   the old generation, the staging, a folder to be swept
2 read them back, compare                           the same
3 note the folder's name in the staging             the same
4 point `current` at it  (commit point)             the new generation; the staging knows that by the name
5 remove the staging and the old generation         the new generation

Index and sidecar lie in one folder, so there is no moment at which one of them is newer than the other.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import xxhash

from wherry.errors import ReadBackDiffers, WherryError
from wherry.space import Metric
from wherry.stores.base import Index
from wherry.stores.durable import sync_folder
from wherry.stores.faiss.card import INDEX_FILE, RECORDS_FILE, VECTORS_FILE, Card, Mark, Stamp
from wherry.stores.faiss.files import CHUNK, Output, Stored, point, sweep, writing
from wherry.stores.faiss.flat import header, settled, to_unit, write_graph
from wherry.stores.faiss.generation import Generation
from wherry.stores.faiss.sidecar import SCHEMA, write_sidecar
from wherry.stores.faiss.staging import Staging

# Of what it is given at once FAISS puts several vectors into a graph side by side.
_ADDED_BYTES = 16 << 20
_NO_LINKS = {errno.EPERM, errno.EXDEV, errno.ENOTSUP, errno.EMLINK}


def publish(folder: Path, shown: str, staging: Staging, index: Index) -> Generation:
    """Write what is staged as the next generation, read it back, and put it in place.

    Raises DiskFull, ReadBackDiffers or StoreError; the live generation stays, and so does the staging.
    """
    staging.settle()
    number = 1 if staging.base is None else staging.base.card.mark.number + 1
    mark = Mark(number, uuid4().hex[:8])
    path = folder / mark.folder
    try:
        with writing(folder, shown):
            path.mkdir()
            writer = _Writer(path, staging, mark, index)
            writer.write()
            sync_folder(path)
        generation = _read_back(path, shown, writer.compared)
        staging.announce(mark.folder)
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
    with writing(folder, shown):
        point(folder, mark.folder)
        staging.remove()
        sweep(folder, mark.folder)
    return generation


class _Writer:
    """Writes the files of one generation."""

    def __init__(self, path: Path, staging: Staging, mark: Mark, index: Index) -> None:
        self.path, self.staging = path, staging
        self.metric = staging.space.metric or Metric.L2
        self.index = settled(index) if staging.dimension else Index("flat")
        base = staging.base
        # Only under cosine does the index hold other bits than came, and only for vectors of other lengths.
        whole = staging.unit and (base is None or not base.card.keeps_originals)
        self.beside = self.metric is Metric.COSINE and not whole
        # Files that are read while they are made: nobody has to do it again.
        self.compared = {INDEX_FILE}
        self.card = Card(staging.name, staging.count, staging.space, self.index, mark)

    def write(self) -> None:
        """Write sidecar, vectors, index and card."""
        files = {RECORDS_FILE: self._records()}
        if self.beside:
            files[VECTORS_FILE] = self._originals()
        files[INDEX_FILE] = self._graph() if self.index.kind == "hnsw" else self._flat()
        held = VECTORS_FILE if self.beside else INDEX_FILE
        # In an index file the vectors come last, whatever its kind.
        at = files[held].bytes - 4 * self.card.count * self.card.dimension
        replace(self.card, vectors_in=held, vectors_at=at, files=files).write(self.path)

    def _records(self) -> Stamp:
        out = Output(self.path / RECORDS_FILE)
        try:
            write_sidecar(out, (batch.select(SCHEMA.names) for batch in self.staging.words()))
        finally:
            out.close()
        return Stamp(out.position, out.hexdigest())

    def _parts(self, size: int = CHUNK) -> Iterator[np.ndarray]:
        """Yield the vectors as the index is to hold them, at most about `size` bytes at a time."""
        for part in self.staging.vectors(size):
            yield to_unit(part) if self.beside else part

    def _originals(self) -> Stamp:
        """Keep the vectors as they came, as a flat index too: FAISS can read them."""
        if self.staging.is_plain:
            return self._linked(VECTORS_FILE)
        return self._raw(VECTORS_FILE, self.staging.vectors(CHUNK))

    def _flat(self) -> Stamp:
        if self.staging.is_plain and not self.beside:
            return self._linked(INDEX_FILE)
        stamp = self._raw(INDEX_FILE, self._parts())
        if Stored(self.path / INDEX_FILE, self.staging.shown).digest() != stamp.xxh3:
            raise _differs(self.staging.shown, "its checksum does not match")
        return stamp

    def _head(self) -> bytes:
        return header(self.metric, self.card.dimension, self.card.count)

    def _raw(self, name: str, parts: Iterable[np.ndarray]) -> Stamp:
        out = Output(self.path / name)
        try:
            out.write(self._head())
            for part in parts:
                if part.size:
                    out.write(part)
        finally:
            out.close()
        return Stamp(out.position, out.hexdigest())

    def _linked(self, name: str) -> Stamp:
        """Make the staged vectors, which lie as in a flat index, a file of the generation: no byte is copied."""
        source, target, head = self.staging.vectors_file.path, self.path / name, self._head()
        try:
            target.hardlink_to(source)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            shutil.copyfile(source, target)
        descriptor = os.open(target, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(descriptor, head, 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self.compared.add(name)
        return self._stamp(target, head)

    def _stamp(self, path: Path, head: bytes) -> Stamp:
        """Read linked vectors and compare them, batch by batch, with the digests taken when each was staged."""
        file = Stored(path, self.staging.shown)
        digest = xxhash.xxh3_128(head)
        for segment in self.staging.laid():
            part = file.read_at(segment.frame.vectors_at, segment.frame.vector_bytes)
            if xxhash.xxh3_64_intdigest(part) != segment.frame.digest:
                raise _differs(self.staging.shown, "a staged batch of vectors is not what was written")
            digest.update(part)
        return Stamp(file.size, digest.hexdigest())

    def _graph(self) -> Stamp:
        """Let FAISS build the graph; what its file holds as vectors must be what it was given."""
        path, given = self.path / INDEX_FILE, xxhash.xxh3_128()
        write_graph(
            path, self.metric, self.index, self.card.dimension, _seen(self._parts(_ADDED_BYTES), given), self._begun()
        )
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        file = Stored(path, self.staging.shown)
        found = xxhash.xxh3_128()
        for offset in range(file.size - 4 * self.card.count * self.card.dimension, file.size, CHUNK):
            found.update(file.read_at(offset, min(CHUNK, file.size - offset)))
        if found.digest() != given.digest():
            raise _differs(self.staging.shown, "the graph holds other vectors than it was given")
        return Stamp(file.size, file.digest())

    def _begun(self) -> tuple[Path, int] | None:
        """Return the live graph and its size when it only has to grow."""
        base, kept = self.staging.base, self.staging.kept_rows
        if base is None or not kept or base.card.index != self.index:
            return None
        return base.folder / INDEX_FILE, kept


def _seen(parts: Iterable[np.ndarray], digest: xxhash.xxh3_128) -> Iterator[np.ndarray]:
    for part in parts:
        if part.size:
            digest.update(np.ascontiguousarray(part).data.cast("B"))
        yield part


def _read_back(path: Path, shown: str, compared: set[str]) -> Generation:
    """Open the next generation as anybody would. compared: files that were read when they were made."""
    try:
        return Generation(path, shown, frozenset(compared))
    except WherryError as error:
        raise _differs(shown, error.what) from error


def _differs(shown: str, words: str) -> ReadBackDiffers:
    return ReadBackDiffers(
        f"the new index does not read back as it was written: {words}",
        where=shown,
        left="the collection is as it was; what was to be written is kept beside it",
        next="check the disk, then run the same command again",
    )
