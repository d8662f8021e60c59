"""A folder of the Qdrant client's local mode, read as it lies on the disk.

That mode is a stand-in written in Python, not the engine: it takes ids the server refuses and is
never written here. Its points are pickles, and a pickle can run anything when it is loaded; they are
read with every name they ask for bound to an inert class. Vectors come as they were given to the
client, which itself shows those of a cosine collection at length 1.
"""

from __future__ import annotations

import base64
import io
import json
import pickle
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from wherry.address import Address
from wherry.errors import BadAddress, Integrity, StoreError, Unsupported
from wherry.stores.qdrant.ids import Found, PointId
from wherry.stores.qdrant.link import Making, Points
from wherry.stores.qdrant.shape import Shape, shape_of

META_FILE = "meta.json"
_CLASSES = "qdrant_client.http.models"
_ROWS_PER_QUERY = 500


class _Inert:
    """Holds the state of a pickled object and can do nothing."""

    state: dict[str, Any]

    def __setstate__(self, state: Any) -> None:
        inner = state.get("__dict__") if isinstance(state, dict) else None
        self.state = inner if isinstance(inner, dict) else {}


class _Unpickler(pickle.Unpickler):
    """Loads numbers, texts, lists and objects; refuses every name but those of the client's models."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the inert class for a model of the client. Raises UnpicklingError for anything else."""
        if module == _CLASSES or module.startswith(_CLASSES + "."):
            return _Inert
        raise pickle.UnpicklingError("a name that no point needs")


class LocalLink:
    """One collection of a local folder, read only."""

    def __init__(self, folder: Path, name: str, wanted_vector: str | None, where: str) -> None:
        self._folder, self._wanted, self._where = folder.resolve(), wanted_vector, where
        self._meta: dict[str, Any] = json.loads((folder / META_FILE).read_text(encoding="utf-8"))
        self._name = self._meta.get("aliases", {}).get(name, name)
        self._rows: dict[PointId, int] = {}
        self._order: list[PointId] = []

    @property
    def identity(self) -> str:
        """Folder and collection."""
        return f"qdrant-local:{self._folder}#{self._name}"

    @property
    def volume(self) -> str | None:
        """The folder."""
        return str(self._folder)

    @property
    def _file(self) -> Path:
        return self._folder / "collection" / self._name / "storage.sqlite"

    def shape(self) -> Shape | None:
        """Return the settings the client wrote down."""
        config = self._meta.get("collections", {}).get(self._name)
        if config is None or not self._file.is_file():
            return None
        shape = shape_of(config, self._wanted, self._where)
        return replace(shape, card=config.get("metadata") or {})

    def count(self) -> int:
        """Return the number of points."""
        self._index()
        return len(self._order)

    def size(self) -> int | None:
        """Return the size of the file."""
        return self._file.stat().st_size

    def notes(self) -> tuple[str, ...]:
        """Say what this folder is."""
        return ("a folder of the Qdrant client's local mode, not of Qdrant's engine; it can only be read",)

    def scroll(self, start: Found | None, rows: int, keys: Sequence[str] | None, vector: str | None) -> Points:
        """Read points in the engine's order: integers upwards, then UUIDs."""
        if start is None:
            self._index()
        first = 0 if start is None else self._order.index(start)
        following = self._order[first + rows : first + rows + 1]
        found = self.retrieve(self._order[first : first + rows], keys, vector)
        return replace(found, next=following[0] if following else None)

    def retrieve(self, points: Sequence[PointId], keys: Sequence[str] | None, vector: str | None) -> Points:
        """Read these points."""
        if not self._rows:
            self._index()
        wanted = [self._rows[point] for point in points if point in self._rows]
        states = [_loaded(blob, self._where).state for blob in self._blobs(wanted)]
        payloads = [_part(state.get("payload") or {}, keys) for state in states]
        vectors = [self._vector(state, vector) for state in states] if vector is not None else []
        return Points([_plain(state["id"]) for state in states], payloads, vectors)

    def make(self, settings: Making) -> None:
        """Refuse."""
        raise self._read_only()

    def put(self, points: Sequence[PointId], vectors: np.ndarray, payloads: Sequence[Any], vector: str) -> None:
        """Refuse."""
        raise self._read_only()

    def remove(self, points: Sequence[PointId]) -> None:
        """Refuse."""
        raise self._read_only()

    def settle(self, fields: dict[str, str]) -> None:
        """Refuse."""
        raise self._read_only()

    def close(self) -> None:
        """Nothing is held open."""

    def _index(self) -> None:
        """List the points, by row; of several spellings of one UUID the last written counts."""
        with self._opened() as db:
            found = db.execute("SELECT rowid, id FROM points ORDER BY rowid").fetchall()
        self._rows = {_plain(_loaded(base64.b64decode(key), self._where)): row for row, key in found}
        self._order = sorted(self._rows, key=lambda point: (isinstance(point, str), point))

    def _blobs(self, rows: list[int]) -> Iterable[bytes]:
        with self._opened() as db:
            for start in range(0, len(rows), _ROWS_PER_QUERY):
                part = rows[start : start + _ROWS_PER_QUERY]
                marks = ",".join("?" * len(part))
                found = dict(db.execute(f"SELECT rowid, point FROM points WHERE rowid IN ({marks})", part))
                yield from (found[row] for row in part if row in found)

    def _opened(self) -> closing[sqlite3.Connection]:
        try:
            return closing(sqlite3.connect(f"{self._file.as_uri()}?mode=ro", uri=True))
        except sqlite3.Error as error:
            raise StoreError(f"the folder cannot be read: {error}", where=self._where) from None

    def _vector(self, state: dict[str, Any], name: str) -> bytes | None:
        found = state.get("vector")
        if isinstance(found, dict):
            found = found.get(name)
        if not isinstance(found, list):
            return None
        shape = self.shape()
        if shape is None or len(found) != shape.dimension:
            raise Integrity("a vector has another dimension than its collection", where=self._where)
        with np.errstate(over="ignore"):
            return np.array(found, dtype=np.float64).astype(np.float32).tobytes()

    def _read_only(self) -> Unsupported:
        return Unsupported("a folder of the client's local mode can only be read", where=self._where)


def is_local(address: Address) -> bool:
    """Tell whether an address leads into a folder of the client's local mode."""
    return address.scheme == "qdrant" and (Path(address.path) / META_FILE).is_file()


def link_to(address: Address, wanted_vector: str | None) -> LocalLink:
    """Return the way to a collection of such a folder. Raises BadAddress without a name."""
    if not address.collection:
        raise BadAddress("which collection is meant?", where=str(address), next="write qdrant:FOLDER#NAME")
    return LocalLink(Path(address.path), address.collection, wanted_vector, str(address))


def _loaded(blob: bytes, where: str) -> Any:
    try:
        return _Unpickler(io.BytesIO(blob)).load()
    except Exception as error:
        # A damaged or hostile pickle fails in any way it likes; none of them gets further than here.
        raise Integrity(f"a stored point cannot be read ({type(error).__name__})", where=where) from None


def _plain(point: Any) -> PointId:
    if isinstance(point, str):
        try:
            return str(UUID(point))
        except ValueError:
            return point
    return int(point)


def _part(payload: dict[str, Any], keys: Sequence[str] | None) -> dict[str, Any]:
    return dict(payload) if keys is None else {key: payload[key] for key in keys if key in payload}
