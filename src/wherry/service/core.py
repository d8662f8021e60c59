"""The core endpoints, under /api/v1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from wherry.apps.events import events
from wherry.errors import NoSuchCollection
from wherry.indexing.public import index_status
from wherry.indexing.status import indexes
from wherry.routing.reader import Reader
from wherry.service.access import OPERATES, READS
from wherry.service.keys import Caller
from wherry.service.runs import runs as all_runs
from wherry.service.settings import LONGEST_QUERY, MOST_COMPONENTS, MOST_K, Settings

router = APIRouter(tags=["core"])
Reading = Annotated[Caller, Depends(READS)]
Operating = Annotated[Caller, Depends(OPERATES)]
Text = Annotated[str, Field(min_length=1, max_length=LONGEST_QUERY)]
Vector = Annotated[list[float], Field(min_length=1, max_length=MOST_COMPONENTS)]
# What a tenant may know of an index: numbers and the model, no places and no names of documents.
_OF_AN_INDEX = ("generation", "embedder", "dimension", "documents", "chunks", "coverage", "stale", "failed", "backlog")
K = Annotated[int, Field(ge=1, le=MOST_K)]
Condition = dict[str, Any] | Annotated[str, Field(max_length=LONGEST_QUERY)] | None


class Search(BaseModel):
    """A search. query: a text, or a vector of the collection's space. where: a condition on metadata."""

    model_config = ConfigDict(extra="forbid")
    query: Text | Vector
    k: K = 5
    mode: Literal["hybrid", "vector", "lexical"] | None = None
    where: Condition = None


class Question(BaseModel):
    """A question to be answered from the records of a route. where: a condition on metadata."""

    model_config = ConfigDict(extra="forbid")
    question: Text
    k: K = 5
    where: Condition = None


@router.get("/routes")
def list_routes(request: Request, caller: Reading) -> dict[str, Any]:
    """Return the routes of the caller; operators see all, with where they lead."""
    found = [route for route in request.app.state.service.book.all() if caller.may_see(route.name)]
    if caller.operator:
        return {"routes": [route.to_dict() for route in found]}
    return {"routes": [{"name": route.name, "version": route.version} for route in found]}


@router.post("/routes/{route}/search")
def search(route: str, body: Search, request: Request, caller: Reading) -> dict[str, Any]:
    """Return the k best records of a route, best first."""
    reader = request.app.state.service.readers.get(route)
    found = reader.search(body.query, body.k, body.mode, body.where)
    return _named(found.to_dict(), route)


@router.post("/routes/{route}/ask")
def ask(route: str, body: Question, request: Request, caller: Reading) -> dict[str, Any]:
    """Answer a question from the records of a route, with citations that were checked."""
    from wherry.answering.ask import ask as answer

    service = request.app.state.service
    limit_s = service.settings.time_s
    with service.readers.get(route).side() as searcher:
        found = answer(body.question, searcher, service.settings.chat, body.k, body.where, timeout_s=limit_s)
    return _named(found.to_dict(), route)


@router.post("/routes/{route}/ask/stream", response_class=StreamingResponse)
def ask_in_pieces(route: str, body: Question, request: Request, caller: Reading) -> StreamingResponse:
    """Answer a question piece by piece, as server-sent events: {"text"} ..., then {"done": true, "answer"}."""
    service = request.app.state.service
    # Opened before the answer begins: what cannot be opened is an HTTP error, not an event.
    return events(_pieces(service.readers.get(route), route, body, service.settings))


@router.get("/collections/{route}")
def describe(route: str, request: Request, caller: Reading) -> dict[str, Any]:
    """Describe the collection a route leads to: how many records, which vectors, which index."""
    with request.app.state.service.readers.get(route).side() as searcher:
        found, address = searcher.store.describe(), searcher.store.address
    described = {
        "route": route,
        "count": found.count,
        "space": found.space.to_dict(),
        "index": dict(found.index.__dict__),
        "layout": found.layout,
    }
    if caller.operator:
        described |= {"address": address, "name": found.name, "bytes": found.bytes, "notes": list(found.notes)}
    return described


@router.get("/indexes")
def list_indexes(request: Request, caller: Operating) -> dict[str, Any]:
    """Return every index of the database with what it holds and what failed; for operators."""
    return {"indexes": [one.to_dict() for one in indexes(request.app.state.service.book.database)]}


@router.get("/indexes/{route}")
def index(route: str, request: Request, caller: Reading) -> dict[str, Any]:
    """Tell how the index behind a route stands: coverage, backlog, last run; index is null where it was only moved."""
    try:
        found = index_status(request.app.state.service.readers.get(route).address).to_dict()
    except NoSuchCollection:
        return {"route": route, "index": None}
    if not caller.operator:
        found = {name: found[name] for name in _OF_AN_INDEX}
    return {"route": route, "index": found}


@router.get("/runs")
def list_runs(caller: Operating, last: Annotated[int, Query(ge=1, le=1_000)] = 100) -> dict[str, Any]:
    """Return the latest runs that were made on this machine; for operators."""
    return all_runs(last)


def _pieces(reader: Reader, route: str, body: Question, settings: Settings) -> Iterator[dict[str, Any]]:
    from wherry.answering.ask import ask_stream

    with reader.side() as searcher:
        for piece in ask_stream(body.question, searcher, settings.chat, body.k, body.where, timeout_s=settings.time_s):
            if isinstance(piece, str):
                yield {"text": piece, "done": False}
            else:
                yield {"done": True, "answer": _named(piece.to_dict(), route)}


def _named(value: dict[str, Any], route: str) -> dict[str, Any]:
    """Put the name of the route where the address of the collection was: it is not the tenant's to know."""
    return {**value, "in": route}
