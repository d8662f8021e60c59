"""A store of another engine as the place of an index: the manifest is in PostgreSQL, intents go before each write.

Such a store joins no transaction. A reader may see a document between two versions while it is written; what a
crash leaves is known from the intents, and the next run puts it right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa

from wherry.address import Address
from wherry.errors import Integrity, NoSuchCollection, Refused, Unsupported
from wherry.indexing import cache, intents
from wherry.indexing.diff import Change, Known
from wherry.indexing.fingerprints import chunk_ids, embed_fp
from wherry.indexing.lease import Lease
from wherry.indexing.manifest import Generation, Manifest, Target
from wherry.indexing.preparing import Piece
from wherry.postgres.database import Database
from wherry.postgres.link import server_of
from wherry.record import make_batch, vectors_of
from wherry.space import Space
from wherry.stores.base import Index, Writable
from wherry.stores.registry import open_target

_BATCH = 1024
# What an engine that brings vectors to unit length may change of a component.
_CLOSE = 1e-4


class StorePlace:
    """A collection of any engine that can be written."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.database = Database(server_of(Address("pgvector", ""), set()))
        self._store: Writable | None = None
        self._written = False
        self._working_on: tuple[int, int] | None = None

    @property
    def store(self) -> Writable:
        """The store, opened when it is first needed."""
        if self._store is None:
            self._store = open_target(self.address)
        return self._store

    @property
    def target(self) -> Target:
        """What the manifest looks for."""
        return Target(str(self.address), key=self.store.identity)

    def make(self, connection: psycopg.Connection, space: Space) -> tuple[dict[str, Any], None]:
        """Make the collection, or take an empty one. Raises Refused when it holds records that no index made."""
        found = self.store.describe()
        if found.exists and found.count:
            raise Refused(
                "the collection holds records that no index made",
                where=str(self.address),
                left="nothing was touched",
                next="index into another collection, or empty this one first",
            )
        self.store.prepare(self._stated(space), Index("hnsw"), 0)
        return {"address": str(self.address)}, None

    def make_beside(
        self, connection: psycopg.Connection, live: dict[str, Any], space: Space, number: int
    ) -> tuple[dict[str, Any], None]:
        """Raise Unsupported: a name of these engines cannot be moved at once."""
        raise self._no_switch()

    def switch(
        self, connection: psycopg.Connection, live: Generation, other: Generation
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Raise Unsupported, like `make_beside`."""
        raise self._no_switch()

    def remove(self, connection: psycopg.Connection, place: dict[str, Any]) -> None:
        """Raise Unsupported, like `make_beside`."""
        raise self._no_switch()

    def open(self, place: dict[str, Any]) -> None:
        """Work on the collection. Raises NoSuchCollection when it is gone."""
        if not self.store.describe().exists:
            raise NoSuchCollection(
                "the collection of this index is gone",
                where=str(self.address),
                left="what is known about its documents, and the vectors that were paid for, stay",
                next=f"wherry index repair '{self.address}' makes it again",
            )

    def exclusive(self) -> AbstractContextManager[None]:
        """Hold the collection against other writers."""
        return self.store.exclusive()

    def recover(self, database: Database, lease: Lease, generation: int) -> None:
        """Put up what a run that ended early may have left half done, and remove what nobody would find."""
        found = intents.left(database, lease.index, generation)
        self._working_on = (lease.index, generation)
        for source in sorted({intent.source for intent in found}):
            mine = [intent for intent in found if intent.source == source]
            manifest = Manifest(lease.index, generation, source)
            known = manifest.known(database, [intent.document for intent in mine])
            kept = {name for one in known.values() for name in chunk_ids(source, one.id, one.chunk_fps)}
            self._delete([n for intent in mine for n in (*intent.put, *intent.drop) if n not in kept])
            with database.begin() as connection:
                lease.require(connection)
                intents.mark(connection, manifest.key, [intent.document for intent in mine])

    def announce(
        self, database: Database, lease: Lease, manifest: Manifest, changes: Sequence[Change], settings: bytes
    ) -> None:
        """Note what is about to be written, and write it."""
        with database.begin() as connection:
            lease.require(connection)
            named = intents.note(connection, manifest.key, changes)
        self._written = True
        self._upsert(database, changes, settings)
        gone = [change.old_ids[position] for change in changes for position in change.drop]
        gone += [
            change.old_ids[before]
            for change in changes
            for before, after in change.move
            if change.old_ids[before] != change.document.pieces[after].id
        ]
        self._delete(gone)
        intents.ready(database, manifest.key, named)

    def change(
        self, connection: psycopg.Connection, manifest: Manifest, changes: Sequence[Change], settings: bytes
    ) -> None:
        """Do nothing more: the notes are kept until `finish`, for the manifest is ahead of the store until then."""

    def announce_gone(self, database: Database, lease: Lease, manifest: Manifest, documents: Sequence[Known]) -> None:
        """Note which documents are about to be removed, and remove them."""
        with database.begin() as connection:
            lease.require(connection)
            intents.note_gone(connection, manifest.key, documents)
        self._written = True
        self._delete([name for one in documents for name in self.row_ids(manifest.key[2], one)])
        intents.ready(database, manifest.key, [one.id for one in documents])

    def drop(self, connection: psycopg.Connection, manifest: Manifest, documents: Sequence[Known]) -> None:
        """Do nothing more, like `change`."""

    def row_ids(self, source: str, document: Known) -> list[str]:
        """Return the ids of a document's chunks, in order."""
        return chunk_ids(source, document.id, document.chunk_fps)

    def keys(self, connection: psycopg.Connection) -> Iterator[list[str]]:
        """Yield the ids of the collection."""
        for part in self.store.ids():
            yield part.to_pylist()

    def texts(self, connection: psycopg.Connection, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Return (text, metadata as JSON text) of some records, by id."""
        batch = self.store.fetch(pa.array(ids, pa.string())).records
        told = zip(batch["id"].to_pylist(), batch["text"].to_pylist(), batch["metadata"].to_pylist(), strict=True)
        return {name: (text or "", metadata or "{}") for name, text, metadata in told}

    def wrong_vectors(
        self, connection: psycopg.Connection, ids: Sequence[str], keys: Sequence[bytes], unit: bool
    ) -> set[str]:
        """Return which records have a vector of another direction than the one that was paid for, or none."""
        batch = self.store.fetch(pa.array(ids, pa.string())).records
        paid = cache.read(self.database, keys)
        wanted = dict(zip(ids, keys, strict=True))
        return {
            name
            for name, vector in zip(batch["id"].to_pylist(), vectors_of(batch), strict=True)
            if _differs(vector, paid.get(wanted[name]))
        }

    def health(self) -> tuple[int, str]:
        """Return how many records the collection has, and the kind of its index."""
        found = self.store.describe()
        return found.count, found.index.kind

    def mend(self) -> None:
        """Do nothing: these engines mend their own indexes."""

    def finish(self, space: Space, rows: int) -> None:
        """Make what was written durable and searchable."""
        if self._written:
            self.store.finish(self._stated(space), Index("hnsw"))
            self._written = False
        if self._working_on is not None:
            intents.settle(self.database, *self._working_on)

    def close(self) -> None:
        """Close the store and the connection; a second call does nothing."""
        store, self._store = self._store, None
        if store is not None:
            store.close()
        self.database.close()

    def _stated(self, space: Space) -> Space:
        return space.with_metric(self.address.stated_metric(), str(self.address))

    def _upsert(self, database: Database, changes: Sequence[Change], settings: bytes) -> None:
        pieces = [piece for change in changes for piece in change.pieces]
        pieces += [change.document.pieces[after] for change in changes for _, after in change.move]
        most = min(_BATCH, self.store.capabilities.max_batch or _BATCH)
        for start in range(0, len(pieces), most):
            self.store.upsert(self._batch(database, pieces[start : start + most], settings))

    def _batch(self, database: Database, pieces: list[Piece], settings: bytes) -> pa.RecordBatch:
        keys = [embed_fp(piece.fp, settings) for piece in pieces]
        vectors = cache.read(database, keys)
        lost = sum(1 for key in keys if key not in vectors)
        if lost:
            raise Integrity(
                f"{lost} vectors vanished from the cache",
                where=str(self.address),
                left="their documents are marked to be written again",
                next="run the same command again: what is missing is embedded again",
            )
        return make_batch(
            [piece.id for piece in pieces],
            np.stack([vectors[key] for key in keys]),
            [piece.text for piece in pieces],
            [piece.metadata for piece in pieces],
        )

    def _delete(self, ids: list[str]) -> None:
        if ids:
            self.store.delete(pa.array(ids, pa.string()))

    def _no_switch(self) -> Unsupported:
        return Unsupported(
            "this engine cannot give a name to another collection at once",
            where=str(self.address),
            left="the index serves as before",
            next="index into a second collection with the new model, then let a route lead to it",
        )


def _differs(vector: np.ndarray, paid: np.ndarray | None) -> bool:
    """Tell whether a stored vector is not the one that was paid for; only its direction, where there is none."""
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0:
        return True
    if paid is None:
        return False
    return bool(np.abs(vector / length - paid / np.linalg.norm(paid)).max() > _CLOSE)
