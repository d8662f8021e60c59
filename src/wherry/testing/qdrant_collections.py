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

from qdrant_edge import (
    CountRequest,
    EdgeShard,
    PayloadSchemaType,
    Point,
    Query,
    ScrollRequest,
    SearchParams,
    SearchRequest,
    UpdateOperation,
)

from wherry.testing.qdrant_forms import (
    Refusal,
    answering,
    check_name,
    config_of,
    filter_in,
    given,
    plain_id,
    point_id,
    refuse_filters,
    rows_of,
    selector_of,
    shown,
    type_name,
    vector_of,
)

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
        check_name(name)
        with self._lock:
            if name in self.held or name in self.aliases:
                raise Refusal(409, f"Wrong input: Collection `{name}` already exists!")
            params = {"vectors": body.get("vectors") or {}, "sparse_vectors": body.get("sparse_vectors")}
            hnsw = {**_DEFAULT_HNSW, **given(body.get("hnsw_config"))}
            self._made += 1
            folder = self.folder / str(self._made)
            folder.mkdir(parents=True)
            shard = answering(lambda: EdgeShard.create(str(folder), config_of(params, hnsw)))
            self.held[name] = Served(
                folder, shard, params, hnsw, {**_OPTIMISER, **given(body.get("optimizers_config"))},
                body.get("strict_mode_config"), body.get("metadata"),
            )  # fmt: skip
        return True

    def update(self, name: str, body: dict[str, Any]) -> bool:
        """Change settings; the graph is built anew, and some looks find the server at it."""
        served = self.find(name)
        with self._lock:
            served.optimiser.update(given(body.get("optimizers_config")))
            served.metadata = {**(served.metadata or {}), **(body.get("metadata") or {})} or None
            if body.get("strict_mode_config"):
                served.strict = {**(served.strict or {}), **body["strict_mode_config"]}
            if body.get("hnsw_config"):
                served.hnsw.update(given(body["hnsw_config"]))
                served.shard.close()
                served.shard = EdgeShard.load(str(served.folder), config_of(served.params, served.hnsw))
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
                key: {"data_type": type_name(schema), "points": schema.points}
                for key, schema in state.payload_schema.items()
            },
        }

    def put(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Store points given as a list or as columns."""
        served = self.find(name)
        rows = rows_of(body)
        _check_strict(served, len(rows))
        points = answering(lambda: [Point(point_id(i), vector_of(v), p or {}) for i, v, p in rows])
        return self._apply(served, UpdateOperation.upsert_points(points))

    def delete(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Delete points by their ids, or those that pass a filter."""
        served, wanted = self.find(name), filter_in(body)
        if wanted is not None:
            return self._apply(served, UpdateOperation.delete_points_by_filter(wanted))
        if "points" not in body:
            raise Refusal(400, "neither points nor a filter say what to delete")
        return self._apply(served, UpdateOperation.delete_points([point_id(i) for i in body["points"]]))

    def index(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Make a payload index."""
        schema = body.get("field_schema")
        kind = schema if isinstance(schema, str) else (schema or {}).get("type", "keyword")
        made = UpdateOperation.create_field_index(body["field_name"], getattr(PayloadSchemaType, kind.capitalize()))
        return self._apply(self.find(name), made)

    def count(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Count points."""
        refuse_filters(body)
        return {"count": self.find(name).shard.count(CountRequest(exact=bool(body.get("exact", True))))}

    def retrieve(self, name: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        """Read points by their ids."""
        served = self.find(name)
        found = served.shard.retrieve(
            [point_id(i) for i in body["ids"]], selector_of(body, True), body.get("with_vector") or False
        )
        return [shown(record, body) for record in found]

    def scroll(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Read points in the order of their ids, those that pass a filter."""
        start = body.get("offset")
        request = ScrollRequest(
            offset=None if start is None else point_id(start),
            limit=body.get("limit") or 10,
            filter=filter_in(body),
            with_payload=selector_of(body, True),
            with_vector=body.get("with_vector") or False,
        )
        found, following = self.find(name).shard.scroll(request)
        return {"points": [shown(r, body) for r in found], "next_page_offset": plain_id(following)}

    def query(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Find the nearest points to one dense vector, those that pass a filter."""
        wanted = body.get("query")
        vector = wanted.get("nearest") if isinstance(wanted, dict) else wanted
        if not isinstance(vector, list):
            raise Refusal(501, "this test server searches with one dense vector only")
        request = SearchRequest(
            query=Query.Nearest(vector, using=body.get("using") or ""),
            limit=body.get("limit") or 10,
            filter=filter_in(body),
            params=SearchParams(exact=bool((body.get("params") or {}).get("exact"))),
            with_payload=selector_of(body, False),
            with_vector=body.get("with_vector") or False,
        )
        found = answering(lambda: self.find(name).shard.search(request))
        return {"points": [{**shown(r, body), "score": r.score, "version": 0} for r in found]}

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
            answering(lambda: served.shard.update(operation))
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


def _check_strict(served: Served, rows: int) -> None:
    strict = served.strict or {}
    limit = strict.get("upsert_max_batchsize")
    if strict.get("enabled") and limit is not None and rows > limit:
        raise Refusal(400, f"Bad request: Limit exceeded {rows} > {limit} for upsert limit")
