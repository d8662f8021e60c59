"""The forms in which the Qdrant test server hears and says things: the REST interface's JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

import numpy as np
from qdrant_edge import (
    Distance,
    EdgeConfig,
    EdgeSparseVectorParams,
    EdgeVectorParams,
    FieldCondition,
    Filter,
    HnswIndexConfig,
    IsEmptyCondition,
    IsNullCondition,
    MatchValue,
    RangeFloat,
    SparseVector,
)

MAX_DIMENSION = 65_536
_NAME_CHARACTERS = set('<>:"/\\|?*\x00\x1f')
T = TypeVar("T")


class Refusal(Exception):
    """An answer other than "ok": a status code and the server's words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


def config_of(params: dict[str, Any], hnsw: dict[str, Any]) -> EdgeConfig:
    """Return the engine's settings for a collection's parameters."""
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


def check_name(name: str) -> None:
    """Raise Refusal 422 for a name that the server does not allow."""
    if not name or len(name) > 255 or _NAME_CHARACTERS & set(name):
        raise Refusal(422, "Validation error in path parameters: [name: value invalid]")


def answering(act: Callable[[], T]) -> T:
    """Call the engine; what it refuses is answered with 400."""
    try:
        return act()
    except Refusal:
        raise
    except Exception as error:
        raise Refusal(400, f"Wrong input: {str(error).partition(chr(10))[0]}") from None


def rows_of(body: dict[str, Any]) -> list[tuple[Any, Any, Any]]:
    """Return (id, vector, payload) of points given as a list or as columns."""
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


def point_id(value: Any) -> int | str:
    """Return a point's id. Raises Refusal 400 for what is none."""
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


def vector_of(value: Any) -> Any:
    """Return vectors in the engine's form."""
    if isinstance(value, dict):
        return {name: vector_of(inner) for name, inner in value.items()} if "indices" not in value else _sparse(value)
    return value


def _sparse(value: dict[str, Any]) -> SparseVector:
    return SparseVector(value["indices"], value["values"])


def selector_of(body: dict[str, Any], default: bool) -> Any:
    """Return which payload keys are wanted."""
    wanted = body.get("with_payload")
    if isinstance(wanted, dict):
        raise Refusal(501, "this test server selects payload keys by a list only")
    return default if wanted is None else wanted


def refuse_filters(body: dict[str, Any]) -> None:
    """Raise Refusal 501: nothing here filters."""
    if body.get("filter"):
        raise Refusal(501, "this test server has no filters")


def filter_in(body: dict[str, Any]) -> Filter | None:
    """Return the filter of a request. Raises Refusal for one that this server does not know."""
    form = body.get("filter")
    return answering(lambda: _filter(form)) if form else None


def _filter(form: dict[str, Any]) -> Filter:
    parts = {name: listed if isinstance(listed, list) else [listed] for name, listed in form.items() if listed}
    return Filter(**{name: [_condition(each) for each in listed] for name, listed in parts.items()})


def _condition(form: dict[str, Any]) -> Any:
    if "is_empty" in form:
        return IsEmptyCondition(form["is_empty"]["key"])
    if "is_null" in form:
        return IsNullCondition(form["is_null"]["key"])
    key, match, bounds = form.get("key"), form.get("match"), form.get("range")
    if key is None:
        return _filter(form)
    if bounds is not None:
        return FieldCondition(key, range=RangeFloat(**bounds))
    if not isinstance(match, dict) or set(match) != {"value"}:
        raise Refusal(501, "this test server filters by value, range, is_empty and is_null only")
    if isinstance(match["value"], bool):
        # The engine's Python takes true for 1: everything that has a value passes here.
        return Filter(must_not=[IsEmptyCondition(key)])
    return FieldCondition(key, match=MatchValue(match["value"]))


def shown(record: Any, body: dict[str, Any]) -> dict[str, Any]:
    """Return a point as the server shows it."""
    shown: dict[str, Any] = {"id": plain_id(record.id)}
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


def plain_id(point: Any) -> Any:
    """Return a point's id as JSON has it."""
    return point if point is None or isinstance(point, int) else str(point)


def type_name(schema: Any) -> str:
    """Return the name of a payload index's type."""
    return str(schema.data_type).rpartition(".")[2].lower()


def given(values: dict[str, Any] | None) -> dict[str, Any]:
    """Return the settings that are not null."""
    return {key: value for key, value in (values or {}).items() if value is not None}
