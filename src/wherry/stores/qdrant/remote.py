"""A Qdrant server, through the official client: `qdrant+http://`, `qdrant+https://`, `qdrant+grpc://`."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from qdrant_client import QdrantClient, models

from wherry.address import Address, secrets_of
from wherry.errors import AuthFailed, BadAddress, NoSuchCollection, Rejected, TimedOut
from wherry.stores.packing import packer
from wherry.stores.qdrant.failures import Failures
from wherry.stores.qdrant.ids import Found, PointId, plain
from wherry.stores.qdrant.link import Making, Points
from wherry.stores.qdrant.searching import Scored, Wanted
from wherry.stores.qdrant.sending import slices
from wherry.stores.qdrant.shape import DISTANCES, Shape, shape_of

_KEY_VARIABLE = "QDRANT_API_KEY"
_TIMEOUT_S = 60
_HTTP_PORT, _GRPC_PORT = 6333, 6334
_ROWS_PER_READ = 512
_LONGEST_INDEXING_S = 6 * 3600
_FIRST_LOOK_S, _LONGEST_LOOK_S = 0.05, 2.0
# An optimiser does not start at once: one green answer proves nothing after a change of settings.
_GREEN_IN_A_ROW = 3


class ServerLink:
    """One collection, or one alias of a collection, of a server."""

    booleans = True

    def __init__(self, address: Address, wanted_vector: str | None) -> None:
        self._name, self._wanted, self._where = address.collection, wanted_vector, str(address)
        if not self._name:
            raise BadAddress("which collection is meant?", where=self._where, next="write …//HOST:PORT#NAME")
        self._key = address.option("api_key") or os.environ.get(_KEY_VARIABLE) or None
        if self._key and not self._key.isascii():
            raise BadAddress("the API key holds a character that no HTTP header can carry", where=self._where)
        self._host, self._port, self._scheme = _place(address)
        # Points per write, as the collection's strict mode said when its settings were last read.
        self._limit: int | None = None
        self._dimension = 0
        self._failures = Failures(self._where, (*secrets_of(address), self._key or ""))
        with self._failures.translated(), warnings.catch_warnings():
            # The client warns of a key on an open wire; `notes` says so to the one who should know.
            warnings.simplefilter("ignore", UserWarning)
            self._client = QdrantClient(**_arguments(address, self._key), check_compatibility=False)

    @property
    def identity(self) -> str:
        """Server and collection; an alias has the identity of what it stands for."""
        return self._identity_of(self._collection)

    @property
    def own_name(self) -> str:
        """The collection's own name, whatever alias led to it."""
        return self._collection

    def take_over(self, name: str, identity: str) -> bool:
        """Let an alias of the collection of `identity` stand for this one, in one step; tell whether it was one."""
        with self._failures.translated():
            held = {alias.alias_name: alias.collection_name for alias in self._client.get_aliases().aliases}
            if name not in held or self._identity_of(held[name]) != identity:
                return False
            away = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=name))
            here = models.CreateAliasOperation(
                create_alias=models.CreateAlias(collection_name=self._collection, alias_name=name)
            )
            self._client.update_collection_aliases([away, here])
        return True

    def _identity_of(self, collection: str) -> str:
        return f"qdrant://{self._host}:{self._port}#{collection}"

    @property
    def volume(self) -> str | None:
        """The server's disk is not ours to see."""
        return None

    def shape(self) -> Shape | None:
        """Ask the server for the collection's settings."""
        info = self._info()
        if info is None:
            return None
        config = info.config.model_dump(mode="json")
        shape = shape_of(config["params"] | {"hnsw_config": config["hnsw_config"]}, self._wanted, self._where)
        self._dimension = shape.dimension
        strict = config.get("strict_mode_config") or {}
        self._limit = strict.get("upsert_max_batchsize") if strict.get("enabled") else None
        return replace(
            shape, card=config.get("metadata") or {}, indexed=tuple(info.payload_schema or {}), max_batch=self._limit
        )

    def count(self) -> int:
        """Ask for the exact number of points."""
        with self._failures.translated():
            return self._client.count(self._collection, exact=True).count

    def size(self) -> int | None:
        """A server does not say."""
        return None

    def notes(self) -> tuple[str, ...]:
        """Tell of an alias, and of a key on an open wire."""
        real = self._collection
        found = [f"{self._name!r} is an alias of {real!r}"] if real != self._name else []
        if self._key and self._scheme == "http":
            found.append("the API key travels unencrypted; qdrant+https:// protects it")
        return tuple(found)

    def scroll(self, start: Found | None, rows: int, keys: Sequence[str] | None, vector: str | None) -> Points:
        """Read points in the order of their ids."""
        with self._failures.translated():
            records, following = self._client.scroll(
                self._collection, limit=rows, offset=start, with_payload=_keys(keys), with_vectors=_vectors(vector)
            )
        return _points(records, vector, self._dimension, None if following is None else plain(following))

    def retrieve(self, points: Sequence[PointId], keys: Sequence[str] | None, vector: str | None) -> Points:
        """Read these points, some hundred per request."""
        found = Points([], [], [])
        for first in range(0, len(points), _ROWS_PER_READ):
            with self._failures.translated():
                records = self._client.retrieve(
                    self._collection,
                    list(points[first : first + _ROWS_PER_READ]),
                    with_payload=_keys(keys),
                    with_vectors=_vectors(vector),
                )
            part = _points(records, vector, self._dimension, None)
            found = Points(found.ids + part.ids, found.payloads + part.payloads, found.vectors + part.vectors)
        return found

    def nearest(self, wanted: Wanted) -> Sequence[Scored]:
        """Find points near a vector."""
        with self._failures.translated():
            found = self._client.query_points(
                self._collection,
                models.NearestQuery(nearest=wanted.vector),
                using=wanted.using or None,
                query_filter=None if wanted.filter is None else models.Filter.model_validate(wanted.filter),
                search_params=models.SearchParams(hnsw_ef=wanted.breadth, exact=wanted.exact),
                limit=wanted.limit,
                with_payload=True,
            )
        return [Scored(plain(point.id), point.payload or {}, point.score) for point in found.points]

    def make(self, settings: Making) -> None:
        """Create the collection without a graph; `settle` builds it when the points are there."""
        params = models.VectorParams(size=settings.dimension, distance=models.Distance(DISTANCES[settings.metric]))
        with self._failures.translated():
            self._client.create_collection(
                self._collection,
                vectors_config={settings.vector: params} if settings.vector else params,
                hnsw_config=models.HnswConfigDiff(m=0, ef_construct=settings.ef_construct),
                metadata=settings.card,
            )

    def put(
        self, points: Sequence[PointId], vectors: np.ndarray, payloads: Sequence[dict[str, Any]], vector: str
    ) -> None:
        """Store points in requests the server takes, each applied before the next one goes."""
        for first, end in slices(payloads, vectors.shape[1], self._limit):
            rows: Any = vectors[first:end].tolist()
            batch = models.Batch(
                ids=list(points[first:end]),
                vectors={vector: rows} if vector else rows,
                payloads=list(payloads[first:end]),
            )
            with self._failures.translated():
                self._client.upsert(self._collection, batch, wait=True)

    def remove(self, points: Sequence[PointId]) -> None:
        """Delete points."""
        with self._failures.translated():
            self._client.delete(self._collection, models.PointIdsList(points=list(points)), wait=True)

    def settle(self, fields: dict[str, str]) -> None:
        """Let the server build what was put off, and wait until it says that all is done."""
        shape = self.shape()
        if shape is None:
            raise NoSuchCollection(f"there is no collection {self._collection!r}", where=self._where)
        with self._failures.translated():
            for key in fields.keys() - set(shape.indexed):
                self._client.create_payload_index(
                    self._collection, key, models.PayloadSchemaType(fields[key]), wait=True
                )
            if shape.wanted_m != shape.m:
                diff = models.HnswConfigDiff(m=shape.wanted_m, ef_construct=shape.ef_construct)
                self._client.update_collection(self._collection, hnsw_config=diff)
        self._wait()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _wait(self) -> None:
        """Return when the server reports green. Raises Rejected when its optimiser failed."""
        deadline, pause, greens = time.monotonic() + _LONGEST_INDEXING_S, _FIRST_LOOK_S, 0
        while time.monotonic() < deadline:
            info = self._info()
            if info is None:
                raise NoSuchCollection(f"the collection {self._collection!r} is gone", where=self._where)
            if info.status == models.CollectionStatus.RED:
                raise Rejected("the server's optimiser failed", where=self._where, left="the points are stored")
            if info.status == models.CollectionStatus.GREY:
                self._wake()
            greens = greens + 1 if info.status == models.CollectionStatus.GREEN else 0
            if greens and (greens >= _GREEN_IN_A_ROW or not _worth_a_graph(info)):
                return
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_LOOK_S)
        raise TimedOut("the index was not ready in time", where=self._where, left="the points are stored")

    def _wake(self) -> None:
        # After a restart the optimisers sleep until somebody changes the collection.
        with self._failures.translated():
            self._client.update_collection(self._collection, optimizers_config=models.OptimizersConfigDiff())

    def _info(self) -> models.CollectionInfo | None:
        try:
            with self._failures.translated():
                return self._client.get_collection(self._collection)
        except NoSuchCollection:
            return None

    @cached_property
    def _collection(self) -> str:
        """The collection behind the name, looked up once: an alias that moves moves no run with it."""
        try:
            with self._failures.translated():
                aliases = self._client.get_aliases().aliases
        except AuthFailed:
            # A key for one collection may not list the aliases of all; a wrong key fails next anyway.
            return self._name
        return next((a.collection_name for a in aliases if a.alias_name == self._name), self._name)


def _place(address: Address) -> tuple[str, int, str]:
    """Return (host, REST port, scheme of the wire). Raises BadAddress."""
    scheme = address.scheme.removeprefix("qdrant+")
    parts = urlsplit(f"{scheme}:{address.location}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.username is not None:
        raise BadAddress(
            "a server's address is HOST or HOST:PORT",
            where=str(address),
            next=f"write {address.scheme}://HOST:{_HTTP_PORT}#NAME; a key goes into QDRANT_API_KEY or ?api_key=",
        )
    if scheme == "grpc":
        # Both wires lead to one server: the usual pair of ports counts as one place.
        return host, _HTTP_PORT if port in (None, _GRPC_PORT) else port or _HTTP_PORT, scheme
    return host, port or _HTTP_PORT, scheme


def _arguments(address: Address, key: str | None) -> dict[str, Any]:
    scheme = address.scheme.removeprefix("qdrant+")
    parts = urlsplit(f"{scheme}:{address.location}")
    try:
        timeout = int(address.option("timeout") or _TIMEOUT_S)
    except ValueError:
        raise BadAddress("timeout is a number of seconds", where=str(address)) from None
    shared = {"api_key": key, "timeout": timeout, "host": parts.hostname, "prefix": parts.path.strip("/") or None}
    if scheme == "https":
        return shared | {"port": parts.port or _HTTP_PORT, "https": True}
    # On an open wire there is nothing to verify, and reading the certificates takes a while.
    shared |= {"https": False, "verify": False}
    if scheme == "grpc":
        return shared | {"grpc_port": parts.port or _GRPC_PORT, "prefer_grpc": True}
    return shared | {"port": parts.port or _HTTP_PORT}


def _worth_a_graph(info: models.CollectionInfo) -> bool:
    """Tell whether any segment may be large enough for the server to build a graph."""
    threshold = info.config.optimizer_config.indexing_threshold
    vectors = info.config.params.vectors
    params = vectors if isinstance(vectors, models.VectorParams) else next(iter((vectors or {}).values()), None)
    if params is None or not threshold:
        return False
    return (info.points_count or 0) * params.size * 4 // 1024 >= threshold


def _points(records: list[models.Record], vector: str | None, dimension: int, following: PointId | None) -> Points:
    payloads = [record.payload or {} for record in records]
    return Points([plain(r.id) for r in records], payloads, _held(records, vector, dimension), following)


def _held(records: list[models.Record], name: str | None, dimension: int) -> list[bytes | None]:
    if name is None:
        return []
    pack, found = packer(dimension), [record.vector for record in records]
    rows: list[Any] = [vector.get(name) if isinstance(vector, dict) else vector for vector in found]
    return [pack(*row) if row else None for row in rows]


def _keys(keys: Sequence[str] | None) -> Any:
    return True if keys is None else list(keys)


def _vectors(vector: str | None) -> Any:
    if vector is None:
        return False
    return [vector] if vector else True
