"""The gRPC side of the Qdrant test server: the same collections, spoken to as `qdrant+grpc://`.

    with QdrantServer(folder) as server, QdrantGrpc(server.collections) as wire:
        QdrantClient(grpc_port=wire.port, prefer_grpc=True)

Messages are those of Qdrant's protocol files, as the official client carries them; a call that is not
written here answers UNIMPLEMENTED.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Self

import grpc as wire
from qdrant_client import grpc, models
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc
from qdrant_client.grpc.collections_service_pb2_grpc import (
    CollectionsServicer,
    add_CollectionsServicer_to_server,
)
from qdrant_client.grpc.points_service_pb2_grpc import PointsServicer, add_PointsServicer_to_server

from wherry.testing.qdrant_collections import Collections
from wherry.testing.qdrant_forms import Refusal

_CODES = {
    400: wire.StatusCode.INVALID_ARGUMENT,
    401: wire.StatusCode.UNAUTHENTICATED,
    404: wire.StatusCode.NOT_FOUND,
    409: wire.StatusCode.ALREADY_EXISTS,
    422: wire.StatusCode.INVALID_ARGUMENT,
    501: wire.StatusCode.UNIMPLEMENTED,
}
_MESSAGE_BYTES = 32 << 20


class QdrantGrpc:
    """A gRPC listener on the loopback address, on a port of its own."""

    def __init__(self, collections: Collections, api_key: str | None = None) -> None:
        limits = [("grpc.max_receive_message_length", _MESSAGE_BYTES), ("grpc.max_send_message_length", -1)]
        self._server = wire.server(ThreadPoolExecutor(4), options=limits)
        add_PointsServicer_to_server(_Points(collections, api_key), self._server)
        add_CollectionsServicer_to_server(_Collections(collections, api_key), self._server)
        self.port: int = self._server.add_insecure_port("127.0.0.1:0")

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait(5)


class _Spoken:
    """What both services share: the collections, the key, and how a refusal is said."""

    def __init__(self, collections: Collections, api_key: str | None) -> None:
        self.held, self.api_key = collections, api_key

    @contextmanager
    def call(self, context: wire.ServicerContext) -> Iterator[None]:
        """Check the key, and turn a refusal into a status."""
        given = dict(context.invocation_metadata()).get("api-key")
        if self.api_key is not None and given != self.api_key:
            context.abort(wire.StatusCode.UNAUTHENTICATED, "Invalid API key or JWT")
        try:
            yield
        except Refusal as refusal:
            context.abort(_CODES[refusal.status], str(refusal))


class _Points(_Spoken, PointsServicer):
    def Upsert(self, request: Any, context: wire.ServicerContext) -> Any:
        with self.call(context):
            points = [_plain(GrpcToRest.convert_point_struct(point)) for point in request.points]
            return _operated(self.held.put(request.collection_name, {"points": points}))

    def Delete(self, request: Any, context: wire.ServicerContext) -> Any:
        with self.call(context):
            selector = _plain(GrpcToRest.convert_points_selector(request.points))
            return _operated(self.held.delete(request.collection_name, selector))

    def Get(self, request: Any, context: wire.ServicerContext) -> Any:
        with self.call(context):
            body = {"ids": [GrpcToRest.convert_point_id(i) for i in request.ids], **_wanted(request)}
            found = self.held.retrieve(request.collection_name, body)
            return grpc.GetResponse(result=[_record(record) for record in found])

    def Scroll(self, request: Any, context: wire.ServicerContext) -> Any:
        with self.call(context):
            body = {"limit": request.limit, **_wanted(request)}
            if request.HasField("offset"):
                body["offset"] = GrpcToRest.convert_point_id(request.offset)
            found = self.held.scroll(request.collection_name, body)
            following = found["next_page_offset"]
            return grpc.ScrollResponse(
                result=[_record(record) for record in found["points"]],
                next_page_offset=None if following is None else RestToGrpc.convert_extended_point_id(following),
            )

    def Query(self, request: Any, context: wire.ServicerContext) -> Any:
        with self.call(context):
            asked = GrpcToRest.convert_filter(request.filter) if request.HasField("filter") else None
            body = {
                "query": _plain(GrpcToRest.convert_query(request.query)),
                "using": request.using,
                "limit": request.limit,
                "filter": None if asked is None else asked.model_dump(mode="json", exclude_none=True),
                "params": {"exact": request.params.exact},
                "with_payload": _wanted(request)["with_payload"],
            }
            found = self.held.query(request.collection_name, body)["points"]
            points = [models.ScoredPoint(**{"payload": {}, **point}) for point in found]
            return grpc.QueryResponse(result=[RestToGrpc.convert_scored_point(point) for point in points])

    def Count(self, request: Any, context: wire.ServicerContext) -> Any:
        with self.call(context):
            found = self.held.count(request.collection_name, {"exact": request.exact})
            return grpc.CountResponse(result=grpc.CountResult(count=found["count"]))

    def CreateFieldIndex(self, request: Any, context: wire.ServicerContext) -> Any:
        with self.call(context):
            kind = grpc.FieldType.Name(request.field_type).removeprefix("FieldType").lower()
            body = {"field_name": request.field_name, "field_schema": kind}
            return _operated(self.held.index(request.collection_name, body))


class _Collections(_Spoken, CollectionsServicer):
    def Get(self, request: Any, context: wire.ServicerContext) -> Any:
        with self.call(context):
            info = models.CollectionInfo.model_validate(self.held.info(request.collection_name))
            return grpc.GetCollectionInfoResponse(result=RestToGrpc.convert_collection_info(info))

    def Create(self, request: Any, context: wire.ServicerContext) -> Any:
        with self.call(context):
            body: dict[str, Any] = {"vectors": _vectors(GrpcToRest.convert_vectors_config(request.vectors_config))}
            if request.HasField("hnsw_config"):
                body["hnsw_config"] = _plain(GrpcToRest.convert_hnsw_config_diff(request.hnsw_config))
            if request.metadata:
                body["metadata"] = GrpcToRest.convert_payload(request.metadata)
            return _changed(lambda: self.held.create(request.collection_name, body))

    def Update(self, request: Any, context: wire.ServicerContext) -> Any:
        with self.call(context):
            body: dict[str, Any] = {}
            if request.HasField("hnsw_config"):
                body["hnsw_config"] = _plain(GrpcToRest.convert_hnsw_config_diff(request.hnsw_config))
            return _changed(lambda: self.held.update(request.collection_name, body))

    def Delete(self, request: Any, context: wire.ServicerContext) -> Any:
        with self.call(context):
            return _changed(lambda: self.held.drop(request.collection_name))

    def ListAliases(self, request: Any, context: wire.ServicerContext) -> Any:
        with self.call(context):
            found = self.held.listed_aliases()["aliases"]
            return grpc.ListAliasesResponse(aliases=[grpc.AliasDescription(**alias) for alias in found])


def _plain(model: Any) -> dict[str, Any]:
    # A null inside a payload is a value; only the fields of the message itself are left out.
    return {key: value for key, value in model.model_dump(mode="json").items() if value is not None}


def _vectors(config: Any) -> dict[str, Any]:
    if isinstance(config, dict):
        return {name: _plain(params) for name, params in config.items()}
    return _plain(config)


def _wanted(request: Any) -> dict[str, Any]:
    payload = GrpcToRest.convert_with_payload_selector(request.with_payload)
    return {
        "with_payload": payload if isinstance(payload, (bool, list)) else _plain(payload),
        "with_vector": GrpcToRest.convert_with_vectors_selector(request.with_vectors),
    }


def _record(shown: dict[str, Any]) -> Any:
    vector = shown.get("vector")
    listed = {k: v.tolist() for k, v in vector.items()} if isinstance(vector, dict) else vector
    held = models.Record(
        id=shown["id"],
        payload=shown.get("payload") or {},
        vector=listed.tolist() if hasattr(listed, "tolist") else listed,
    )
    return RestToGrpc.convert_record(held)


def _operated(result: dict[str, Any]) -> Any:
    return grpc.PointsOperationResponse(
        result=grpc.UpdateResult(operation_id=result["operation_id"], status=grpc.UpdateStatus.Completed)
    )


def _changed(act: Callable[[], bool]) -> Any:
    return grpc.CollectionOperationResponse(result=act())
