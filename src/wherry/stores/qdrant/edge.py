"""Qdrant's engine in this process: one directory per collection, `qdrant:./folder#name`.

The engine has no way to open a directory for reading only: it takes the lock, replays its log and
rewrites files of its own bookkeeping even for a source. The records stay as they are.
"""

from __future__ import annotations

import array
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import numpy as np
from qdrant_edge import (
    CountRequest,
    Distance,
    EdgeConfig,
    EdgeShard,
    EdgeVectorParams,
    HnswIndexConfig,
    PayloadSchemaType,
    Point,
    Record,
    ScrollRequest,
    UpdateOperation,
)

from wherry.errors import BadAddress, Integrity
from wherry.stores.packing import packer
from wherry.stores.qdrant.edge_asking import nearest
from wherry.stores.qdrant.ids import Found, PointId
from wherry.stores.qdrant.link import Making, Points
from wherry.stores.qdrant.searching import Scored, Wanted
from wherry.stores.qdrant.shape import DISTANCES, Shape, shape_of
from wherry.stores.qdrant.shards import CONFIG_FILE, borrow, create, give_back, is_shard, translated

CARD_FILE = "wherry_space.json"
# The engine's own default, in kilobytes of vectors per segment.
_FULL_SCAN_THRESHOLD = 10_000
# Larger operations are slower: the write-ahead log copies each one whole.
_ROWS = 256
_LONGEST_NAME = 240
_Pack = Callable[..., bytes]
_KINDS = {
    "keyword": PayloadSchemaType.Keyword,
    "integer": PayloadSchemaType.Integer,
    "float": PayloadSchemaType.Float,
    "bool": PayloadSchemaType.Bool,
    "datetime": PayloadSchemaType.Datetime,
    "uuid": PayloadSchemaType.Uuid,
    "text": PayloadSchemaType.Text,
    "geo": PayloadSchemaType.Geo,
}


class EdgeLink:
    """A shard directory. Opened when it is first needed, so that looking creates nothing."""

    # The engine's Python takes true for the number 1.
    booleans = False

    def __init__(self, path: Path, wanted_vector: str | None, where: str) -> None:
        self._path, self._wanted, self._where = path.resolve(), wanted_vector, where
        self._shard: EdgeShard | None = None
        self._dimension = 0
        self._lock = Lock()

    @property
    def identity(self) -> str:
        """The directory."""
        return f"qdrant:{self._path}"

    @property
    def volume(self) -> str | None:
        """The directory."""
        return str(self._path)

    def shape(self) -> Shape | None:
        """Return the shard's settings from its own file and the card beside it."""
        if not is_shard(self._path):
            return None
        shape = shape_of(_json(self._path / CONFIG_FILE), self._wanted, self._where)
        self._dimension = shape.dimension
        card_path = self._path / CARD_FILE
        card = _json(card_path) if card_path.exists() else {}
        with translated(self._where):
            indexed = tuple(self._opened().info().payload_schema)
        return replace(shape, card=card, indexed=indexed)

    def count(self) -> int:
        """Return the exact number of points."""
        with translated(self._where):
            return int(self._opened().count(CountRequest(exact=True)))

    def size(self) -> int | None:
        """Return the bytes the directory takes on disk; files are kept sparse."""
        total = 0
        for folder, _, files in os.walk(self._path):
            for name in files:
                try:
                    total += os.lstat(os.path.join(folder, name)).st_blocks * 512  # noqa: PTH118
                except FileNotFoundError:
                    continue  # The engine merges segments while we look.
        return total

    def notes(self) -> tuple[str, ...]:
        """Nothing that a person has to know."""
        return ()

    def scroll(self, start: Found | None, rows: int, keys: Sequence[str] | None, vector: str | None) -> Points:
        """Read points in the order of their ids."""
        wanted = {"with_payload": _selector(keys), "with_vector": _vector_selector(vector)}
        with translated(self._where):
            # Few at a time, and a page of no more: what one is made of stays in the processor's cache.
            request = ScrollRequest(offset=start, limit=min(rows, _ROWS), **wanted)
            records, following = self._opened().scroll(request)
            return _points(records, vector, self._pack(), following)

    def retrieve(self, points: Sequence[PointId], keys: Sequence[str] | None, vector: str | None) -> Points:
        """Read these points."""
        with translated(self._where):
            records = self._opened().retrieve(list(points), _selector(keys), _vector_selector(vector))
            return _points(records, vector, self._pack(), None)

    def nearest(self, wanted: Wanted) -> Sequence[Scored]:
        """Find points near a vector."""
        with translated(self._where):
            return nearest(self._opened(), wanted)

    def make(self, settings: Making) -> None:
        """Create the shard beside its place and move it there: it appears whole, card included."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        building = self._path.parent / f".making-{uuid4().hex}"
        building.mkdir()
        try:
            create(building, _config(settings))
            (building / CARD_FILE).write_text(json.dumps(settings.card, ensure_ascii=False), encoding="utf-8")
            building.rename(self._path)
        finally:
            shutil.rmtree(building, ignore_errors=True)

    def put(
        self, points: Sequence[PointId], vectors: np.ndarray, payloads: Sequence[dict[str, Any]], vector: str
    ) -> None:
        """Store points; each operation is in the write-ahead log when this returns."""
        dimension = vectors.shape[1]
        for start in range(0, len(points), _ROWS):
            end = min(start + _ROWS, len(points))
            flat = array.array("f", np.ascontiguousarray(vectors[start:end], dtype=np.float32).tobytes())
            rows = [flat[i : i + dimension] for i in range(0, len(flat), dimension)]
            named = [{vector: row.tolist()} for row in rows] if vector else rows
            with translated(self._where):
                made = [Point(*part) for part in zip(points[start:end], named, payloads[start:end], strict=True)]
                self._opened().update(UpdateOperation.upsert_points(made))

    def remove(self, points: Sequence[PointId]) -> None:
        """Delete points."""
        with translated(self._where):
            self._opened().update(UpdateOperation.delete_points(list(points)))

    def settle(self, fields: dict[str, str]) -> None:
        """Build indexes, merge segments and bring everything to the disk."""
        with translated(self._where):
            shard = self._opened()
            for key in fields.keys() - shard.info().payload_schema.keys():
                shard.update(UpdateOperation.create_field_index(key, _KINDS[fields[key]]))
            shard.optimize()
            shard.flush()

    def close(self) -> None:
        """Let go of the shard."""
        with self._lock:
            if self._shard is not None:
                self._shard = None
                give_back(self._path)

    def _pack(self) -> _Pack:
        return packer(self._dimension)

    def _opened(self) -> EdgeShard:
        with self._lock:
            if self._shard is None:
                self._shard = borrow(self._path)
            return self._shard


def directory_of(folder: Path, name: str, where: str) -> Path:
    """Return the directory of a collection: its name, with what a file name cannot hold encoded.

    Without a name the folder itself must be a shard. Raises BadAddress.
    """
    if not name:
        if is_shard(folder):
            return folder
        raise BadAddress("which collection is meant?", where=where, next="write qdrant:FOLDER#NAME")
    encoded = "".join(quote(c, safe="") if c in '/\\%:*?"<>|' or c < " " else c for c in name)
    # No hidden directory, and no way up.
    encoded = "%2E" + encoded[1:] if encoded[0] == "." else encoded
    if len(encoded.encode()) > _LONGEST_NAME:
        raise BadAddress(f"the name is longer than {_LONGEST_NAME} bytes as a directory's", where=where)
    return folder / encoded


def _config(settings: Making) -> EdgeConfig:
    params = EdgeVectorParams(size=settings.dimension, distance=getattr(Distance, DISTANCES[settings.metric]))
    return EdgeConfig(
        vectors={settings.vector: params} if settings.vector else params,
        hnsw_config=HnswIndexConfig(settings.m, settings.ef_construct, _FULL_SCAN_THRESHOLD),
    )


def _points(records: list[Record], vector: str | None, pack: _Pack, following: Found | None) -> Points:
    vectors: list[bytes | None] = []
    if vector is not None:
        # One vector without a name comes as a bare list. Everything else is an object, which for a
        # point without this vector lacks it.
        vectors = [pack(*v) if type(v := r.vector) is list else _named(v, vector, pack) for r in records]
    payloads = [record.payload or {} for record in records]
    return Points([record.id for record in records], payloads, vectors, following)


def _named(found: dict[str, list[float]], name: str, pack: _Pack) -> bytes | None:
    return pack(*found[name]) if name in found else None


def _selector(keys: Sequence[str] | None) -> Any:
    return True if keys is None else list(keys)


def _vector_selector(vector: str | None) -> Any:
    if vector is None:
        return False
    return [vector] if vector else True


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Integrity(f"{path.name} is no JSON object", where=str(path.parent))
    return found
