"""The collections behind the test server: Qdrant's own engine, one shard per collection.

Ids, payloads, normalisation and order are therefore the engine's; what a server adds around it
(settings, aliases, strict mode, the states of the optimiser) is here, as its REST interface shows it.
"""

from __future__ import annotations

import copy
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import Any
from uuid import UUID

import numpy as np
from qdrant_edge import (
    CountRequest,
    Distance,
    EdgeConfig,
    EdgeShard,
    EdgeSparseVectorParams,
    EdgeVectorParams,
    HnswIndexConfig,
    PayloadSchemaType,
    Point,
    Query,
    ScrollRequest,
    SearchRequest,
    SparseVector,
    UpdateOperation,
)

MAX_DIMENSION = 65_536
_DEFAULT_HNSW = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000, "max_indexing_threads": 0}
_OPTIMISER = {
    "deleted_threshold": 0.2,
    "vacuum_min_vector_number": 1000,
    "default_segment_number": 0,
    "max_segment_size": None,
    "memmap_threshold": None,
    "indexing_threshold": 10_000,
    "flush_interval_sec": 5,
    "max_optimization_threads": None,
}
_NAME_CHARACTERS = set('<>:"/\\|?*\x00\x1f')


class Refusal(Exception):
    """An answer other than "ok": a status code and the server's words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


@dataclass
class Served:
    """One collection: its shard, its settings as they were sent, and how often it will say "yellow"."""

    folder: Path
    shard: EdgeShard
    params: dict[str, Any]
    hnsw: dict[str, Any]
    optimiser: dict[str, Any]
    strict: dict[str, Any] | None
    metadata: dict[str, Any] | None
    operations: int = 0
    busy: int = 0
    history: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The dense vectors' names, [""] for the one without."""
        vectors = self.params["vectors"]
        return [""] if "size" in vectors else list(vectors)


class Collections:
    """All collections of one server, kept in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.held: dict[str, Served] = {}
        self.aliases: dict[str, str] = {}
        # How many looks at a changed collection find its optimiser at work.
        self.busy_looks = 0
        self._made = 0
        self._lock = RLock()

    def find(self, name: str) -> Served:
        """Return a collection by its name or alias. Raises Refusal 404."""
        resolved = self.aliases.get(name, name)
        if resolved not in self.held:
            raise Refusal(404, f"Not found: Collection `{name}` doesn't exist!")
        return self.held[resolved]

    def create(self, name: str, body: dict[str, Any]) -> bool:
        """Make a collection."""
        _check_name(name)
        with self._lock:
            if name in self.held or name in self.aliases:
                raise Refusal(409, f"Wrong input: Collection `{name}` already exists!")
            params = {"vectors": body.get("vectors") or {}, "sparse_vectors": body.get("sparse_vectors")}
            hnsw = {**_DEFAULT_HNSW, **_set(body.get("hnsw_config"))}
            self._made += 1
            folder = self.folder / str(self._made)
            folder.mkdir(parents=True)
            shard = _answering(lambda: EdgeShard.create(str(folder), _config(params, hnsw)))
            self.held[name] = Served(
                folder, shard, params, hnsw, {**_OPTIMISER, **_set(body.get("optimizers_config"))},
                body.get("strict_mode_config"), body.get("metadata"),
            )  # fmt: skip
        return True

    def update(self, name: str, body: dict[str, Any]) -> bool:
        """Change settings; the graph is built anew, and some looks find the server at it."""
        served = self.find(name)
        with self._lock:
            served.optimiser.update(_set(body.get("optimizers_config")))
            served.metadata = {**(served.metadata or {}), **(body.get("metadata") or {})} or None
            if body.get("strict_mode_config"):
                served.strict = {**(served.strict or {}), **body["strict_mode_config"]}
            if body.get("hnsw_config"):
                served.hnsw.update(_set(body["hnsw_config"]))
                served.shard.close()
                served.shard = EdgeShard.load(str(served.folder), _config(served.params, served.hnsw))
                served.shard.optimize()
            served.busy = self.busy_looks
            served.history.append("updated")
        return True

    def drop(self, name: str) -> bool:
        """Remove a collection and its aliases."""
        with self._lock:
            served = self.held.pop(name, None)
            if served is None:
                return False
            self.aliases = {alias: of for alias, of in self.aliases.items() if of != name}
            served.shard.close()
            shutil.rmtree(served.folder)
        return True

    def info(self, name: str) -> dict[str, Any]:
        """Return settings and state as GET shows them."""
        served = self.find(name)
        with self._lock:
            state = served.shard.info()
            busy, served.busy = served.busy > 0, max(0, served.busy - 1)
            served.history.append("yellow" if busy else "green")
        return {
            "status": "yellow" if busy else "green",
            "optimizer_status": "ok",
            "indexed_vectors_count": state.indexed_vectors_count,
            "points_count": state.points_count,
            "segments_count": state.segments_count,
            "config": self._settings(served),
            "payload_schema": {
                key: {"data_type": _type_name(schema), "points": schema.points}
                for key, schema in state.payload_schema.items()
            },
        }

    def put(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Store points given as a list or as columns."""
        served = self.find(name)
        rows = _rows(body)
        _check_strict(served, len(rows))
        points = _answering(lambda: [Point(_id(i), _vector(v), p or {}) for i, v, p in rows])
        return self._apply(served, UpdateOperation.upsert_points(points))

    def delete(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Delete points by their ids."""
        if "points" not in body:
            raise Refusal(501, "this test server deletes by ids only")
        served = self.find(name)
        return self._apply(served, UpdateOperation.delete_points([_id(i) for i in body["points"]]))

    def index(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Make a payload index."""
        schema = body.get("field_schema")
        kind = schema if isinstance(schema, str) else (schema or {}).get("type", "keyword")
        made = UpdateOperation.create_field_index(body["field_name"], getattr(PayloadSchemaType, kind.capitalize()))
        return self._apply(self.find(name), made)

    def count(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Count points."""
        _no_filter(body)
        return {"count": self.find(name).shard.count(CountRequest(exact=bool(body.get("exact", True))))}

    def retrieve(self, name: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        """Read points by their ids."""
        served = self.find(name)
        found = served.shard.retrieve(
            [_id(i) for i in body["ids"]], _selector(body, True), body.get("with_vector") or False
        )
        return [_shown(record, body) for record in found]

    def scroll(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Read points in the order of their ids."""
        _no_filter(body)
        start = body.get("offset")
        request = ScrollRequest(
            offset=None if start is None else _id(start),
            limit=body.get("limit") or 10,
            with_payload=_selector(body, True),
            with_vector=body.get("with_vector") or False,
        )
        found, following = self.find(name).shard.scroll(request)
        return {"points": [_shown(r, body) for r in found], "next_page_offset": _plain(following)}

    def query(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Find the nearest points to one dense vector."""
        _no_filter(body)
        wanted = body.get("query")
        vector = wanted.get("nearest") if isinstance(wanted, dict) else wanted
        if not isinstance(vector, list):
            raise Refusal(501, "this test server searches with one dense vector only")
        request = SearchRequest(
            query=Query.Nearest(vector, using=body.get("using") or ""),
            limit=body.get("limit") or 10,
            with_payload=_selector(body, False),
            with_vector=body.get("with_vector") or False,
        )
        found = _answering(lambda: self.find(name).shard.search(request))
        return {"points": [{**_shown(r, body), "score": r.score, "version": 0} for r in found]}

    def change_aliases(self, body: dict[str, Any]) -> bool:
        """Make, delete and rename aliases, all or none."""
        with self._lock:
            changed = dict(self.aliases)
            for action in body["actions"]:
                self._change_alias(changed, action)
            self.aliases = changed
        return True

    def listed_aliases(self, name: str | None = None) -> dict[str, Any]:
        """List aliases, of one collection or of all."""
        pairs = [(alias, of) for alias, of in self.aliases.items() if name in (None, of)]
        return {"aliases": [{"alias_name": alias, "collection_name": of} for alias, of in pairs]}

    def close(self) -> None:
        """Close every shard."""
        for served in self.held.values():
            served.shard.close()
        self.held.clear()

    def _change_alias(self, changed: dict[str, str], action: dict[str, Any]) -> None:
        if "create_alias" in action:
            target = action["create_alias"]["collection_name"]
            self.find(target)
            changed[action["create_alias"]["alias_name"]] = target
        elif "delete_alias" in action:
            changed.pop(action["delete_alias"]["alias_name"], None)
        else:
            renamed = action["rename_alias"]
            changed[renamed["new_alias_name"]] = changed.pop(renamed["old_alias_name"])

    def _apply(self, served: Served, operation: UpdateOperation) -> dict[str, Any]:
        with self._lock:
            _answering(lambda: served.shard.update(operation))
            served.operations += 1
            return {"operation_id": served.operations, "status": "completed"}

    def _settings(self, served: Served) -> dict[str, Any]:
        params = copy.deepcopy(served.params)
        if params["sparse_vectors"] is None:
            del params["sparse_vectors"]
        fixed = {"shard_number": 1, "replication_factor": 1, "write_consistency_factor": 1, "on_disk_payload": True}
        settings: dict[str, Any] = {
            "params": params | fixed,
            "hnsw_config": served.hnsw,
            "optimizer_config": served.optimiser,
            "wal_config": {"wal_capacity_mb": 32, "wal_segments_ahead": 0},
            "quantization_config": None,
        }
        kept = {"strict_mode_config": served.strict, "metadata": served.metadata}
        return settings | {key: value for key, value in kept.items() if value}


def _config(params: dict[str, Any], hnsw: dict[str, Any]) -> EdgeConfig:
    vectors = params["vectors"]
    dense = {"": vectors} if "size" in vectors else vectors
    return EdgeConfig(
        vectors={name: _dense(one) for name, one in dense.items()} or None,
        sparse_vectors={name: EdgeSparseVectorParams() for name in params["sparse_vectors"] or {}} or None,
        hnsw_config=HnswIndexConfig(hnsw["m"], hnsw["ef_construct"], hnsw["full_scan_threshold"]),
    )


def _dense(params: dict[str, Any]) -> EdgeVectorParams:
    if not 1 <= params["size"] <= MAX_DIMENSION:
        raise Refusal(422, f"Validation error in JSON body: [vectors.size: value {params['size']} invalid]")
    return EdgeVectorParams(size=params["size"], distance=getattr(Distance, params["distance"]))


def _check_name(name: str) -> None:
    if not name or len(name) > 255 or _NAME_CHARACTERS & set(name):
        raise Refusal(422, "Validation error in path parameters: [name: value invalid]")


def _check_strict(served: Served, rows: int) -> None:
    strict = served.strict or {}
    limit = strict.get("upsert_max_batchsize")
    if strict.get("enabled") and limit is not None and rows > limit:
        raise Refusal(400, f"Bad request: Limit exceeded {rows} > {limit} for upsert limit")


def _answering(act: Any) -> Any:
    try:
        return act()
    except Refusal:
        raise
    except Exception as error:
        raise Refusal(400, f"Wrong input: {str(error).partition(chr(10))[0]}") from None


def _rows(body: dict[str, Any]) -> list[tuple[Any, Any, Any]]:
    if "batch" not in body:
        return [(point["id"], point["vector"], point.get("payload")) for point in body["points"]]
    batch = body["batch"]
    ids, vectors = batch["ids"], batch["vectors"]
    payloads = batch.get("payloads") or [None] * len(ids)
    if isinstance(vectors, dict):
        vectors = [{name: column[row] for name, column in vectors.items()} for row in range(len(ids))]
    if not len(ids) == len(vectors) == len(payloads):
        raise Refusal(400, "Wrong input: number of ids, vectors and payloads must be equal")
    return list(zip(ids, vectors, payloads, strict=True))


def _id(value: Any) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64:
        return value
    try:
        return str(UUID(value))
    except (ValueError, AttributeError, TypeError):
        raise Refusal(
            400,
            "Format error in JSON body: value is not a valid point ID, "
            "valid values are either an unsigned integer or a UUID",
        ) from None


def _vector(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _vector(inner) for name, inner in value.items()} if "indices" not in value else _sparse(value)
    return value


def _sparse(value: dict[str, Any]) -> SparseVector:
    return SparseVector(value["indices"], value["values"])


def _selector(body: dict[str, Any], default: bool) -> Any:
    wanted = body.get("with_payload")
    if isinstance(wanted, dict):
        raise Refusal(501, "this test server selects payload keys by a list only")
    return default if wanted is None else wanted


def _no_filter(body: dict[str, Any]) -> None:
    if body.get("filter"):
        raise Refusal(501, "this test server has no filters")


def _shown(record: Any, body: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": _plain(record.id)}
    if record.payload is not None:
        shown["payload"] = record.payload
    if body.get("with_vector"):
        shown["vector"] = _floats(record.vector)
    return shown


def _floats(vector: Any) -> Any:
    """Return vectors as 32-bit floats, which go out with their shortest digits."""
    if isinstance(vector, dict):
        return {name: _floats(inner) for name, inner in vector.items()}
    if isinstance(vector, list):
        return np.array(vector, dtype=np.float32)
    return None if vector is None else {"indices": vector.indices, "values": vector.values}


def _plain(point: Any) -> Any:
    return point if point is None or isinstance(point, int) else str(point)


def _type_name(schema: Any) -> str:
    return str(schema.data_type).rpartition(".")[2].lower()


def _set(values: dict[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (values or {}).items() if value is not None}
