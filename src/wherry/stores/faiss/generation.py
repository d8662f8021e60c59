"""One published state of a collection, opened: three files that are never changed once they are live."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from wherry.errors import Integrity, NoSuchCollection
from wherry.record import make_batch
from wherry.stores.faiss.card import CARD_FILE, INDEX_FILE, RECORDS_FILE, Card, Stamp
from wherry.stores.faiss.files import Stored, corrupt, pointed
from wherry.stores.faiss.flat import count_in
from wherry.stores.faiss.idmap import IdMap, hashes
from wherry.stores.faiss.sidecar import Sidecar, pieces

_ATTEMPTS = 20
_HEAD = 45


class Generation:
    """The records of one generation, by row number. Readable as long as somebody refers to it."""

    def __init__(self, folder: Path, shown: str, checked: frozenset[str] = frozenset()) -> None:
        """Open and check the generation in `folder`. Raises ArchiveCorrupt or Integrity.

        checked: files that were read and compared just now.
        """
        self.folder, self.shown = folder, shown
        raw = _opened(folder / CARD_FILE, shown)
        self.card = Card.read(raw.read_at(0, raw.size), shown)
        self.files = {name: _opened(folder / name, shown) for name in self.card.files}
        self._check(checked)
        self.sidecar = Sidecar(self.files[RECORDS_FILE])
        self._require_as_many()
        self._vectors = self.files[self.card.vectors_in]
        self._lock = threading.Lock()
        self._map: IdMap | None = None

    @classmethod
    def live(cls, folder: Path, shown: str) -> Generation | None:
        """Open the live generation of a collection, None when there is none."""
        for attempt in range(_ATTEMPTS):
            name = pointed(folder)
            if name is None:
                return None
            try:
                return cls(folder / name, shown)
            except Integrity:
                # A writer may have put the next one in its place and removed this one meanwhile.
                if pointed(folder) == name or attempt == _ATTEMPTS - 1:
                    raise
        return None

    def _check(self, checked: frozenset[str]) -> None:
        for name, stamp in self.card.files.items():
            file = self.files[name]
            if name not in checked and Stamp(file.size, file.digest()) != stamp:
                raise corrupt(self.shown, f"{name} is not what Wherry wrote: {self._difference(file, stamp)}")

    def _difference(self, file: Stored, stamp: Stamp) -> str:
        words = "its checksum does not match"
        if file.size != stamp.bytes:
            words = f"{file.size:,} bytes instead of {stamp.bytes:,}"
        if file.path.name == INDEX_FILE and file.size >= _HEAD:
            count = count_in(file.read_at(0, _HEAD))
            if count != self.card.count:
                words += f"; it announces {count:,} vectors, there are {self.card.count:,} ids"
        return words

    def _require_as_many(self) -> None:
        card = self.card
        room = (self.files[card.vectors_in].size - card.vectors_at) // max(1, 4 * card.dimension)
        vectors = min(room, card.count) if card.dimension else card.count
        if not self.sidecar.rows == vectors == card.count:
            raise Integrity(
                f"{vectors:,} vectors, {self.sidecar.rows:,} ids and a card that says {card.count:,}",
                where=self.shown,
                left="nothing was read from it",
                next="restore the whole folder from one backup",
            )

    @property
    def rows(self) -> int:
        """How many records there are."""
        return self.card.count

    def vectors(self, first: int, rows: int) -> np.ndarray:
        """Return the vectors of `rows` rows from `first` on, as they came: float32 (rows, d), read-only."""
        width = 4 * self.card.dimension
        return self._vectors.floats_at(self.card.vectors_at + first * width, rows, self.card.dimension)

    def pages(self, rows: int, wanted: range | None = None) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield (number of the first row, records), at most `rows` records and about 16 MiB at a time.

        wanted: the numbers of the sidecar's row groups, None for all.
        """
        for start, group in self.sidecar.groups(wanted=wanted):
            for part in pieces(group, rows, 4 * self.card.dimension):
                yield start, self._batch(part, self.vectors(start, part.num_rows))
                start += part.num_rows

    def ids(self) -> Iterator[tuple[int, pa.Array]]:
        """Yield (number of the first row, ids)."""
        for start, group in self.sidecar.groups(["id"]):
            yield start, group.column(0)

    def take(self, rows: np.ndarray) -> pa.RecordBatch:
        """Return some records; `rows` ascend."""
        return self._batch(self.sidecar.take(rows), self._picked(rows))

    def _picked(self, rows: np.ndarray) -> np.ndarray:
        vectors = np.empty((len(rows), self.card.dimension), dtype=np.float32)
        # Neighbours are read together.
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        for at, run in zip([0, *breaks.tolist()], np.split(rows, breaks), strict=True):
            if len(run):
                vectors[at : at + len(run)] = self.vectors(int(run[0]), len(run))
        return vectors

    def find(self, ids: pa.Array, keys: np.ndarray, live: np.ndarray | None = None) -> np.ndarray:
        """Return the rows of some ids, ascending; the first call makes the map."""
        with self._lock:
            if self._map is None:
                found = IdMap()
                for start, part in self.ids():
                    found.add(hashes(part), start)
                self._map = found
        return self._map.find(ids, keys, lambda rows: self.sidecar.take(rows, ["id"]).column(0), live)

    @staticmethod
    def _batch(part: pa.RecordBatch, vectors: np.ndarray) -> pa.RecordBatch:
        return make_batch(part.column(0), vectors, part.column(1), part.column(2))


def _opened(path: Path, shown: str) -> Stored:
    try:
        return Stored(path, shown)
    except NoSuchCollection:
        raise Integrity(f"{path.name} is missing", where=shown, next="restore the folder from a backup") from None
