"""The endpoints under /api/evals: runs, search, questions, the state of the index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field

from wherry import OPERATES, READS, WRITES, Caller, events
from wherry_apps.evals import app
from wherry_apps.evals.asking import Asked
from wherry_apps.evals.service import Evals

router = APIRouter(tags=["evals"])
Service = Annotated[Evals, Depends(app.opened)]
Reader = Annotated[Caller, Depends(READS)]
Writer = Annotated[Caller, Depends(WRITES)]
Operator = Annotated[Caller, Depends(OPERATES)]
RunId = Annotated[str, Field(min_length=1, max_length=300)]
Kind = Annotated[
    str | None,
    Field(pattern="^(run_summary|run_failures|run_retrieval|test_case|feedback|report|guide|doc)$"),
]


class Search(BaseModel):
    """A search over guide and runs. run_id: only this run, the guide and documents."""

    query: str = Field(min_length=1, max_length=4000)
    k: int = Field(5, ge=1, le=100)
    run_id: RunId | None = None
    kind: Kind = None
    case_id: str | None = Field(None, max_length=300)
    metric: str | None = Field(None, max_length=200, description="Only cases that failed this metric.")

    def filters(self) -> dict[str, Any]:
        """Return the conditions on metadata."""
        return {"kind": self.kind, "case_id": self.case_id, "failed_metrics": self.metric}


class Question(BaseModel):
    """A question. run_id, category: what was selected when it was asked."""

    question: str = Field(min_length=1, max_length=4000)
    run_id: RunId | None = None
    category: str | None = Field(None, max_length=200)

    def asked(self) -> Asked:
        """Return it as the app takes it."""
        return Asked(self.question, self.run_id, self.category)


@router.get("/runs")
def list_runs(
    service: Service, caller: Reader, limit: Annotated[int, Query(ge=1, le=500)] = 100,
    after: Annotated[str | None, Query(max_length=400)] = None,
) -> dict[str, Any]:  # fmt: skip
    """List the caller's runs, newest first; `next` is the `after` of the page behind."""
    return service.runs(owner_of(caller), limit, after)


@router.post("/runs", status_code=201)
def save_run(run: dict[str, Any], service: Service, caller: Writer) -> dict[str, Any]:
    """Store a run and index it at once."""
    return service.save(run, caller.tenant)


@router.get("/runs/{run_id}")
def get_run(run_id: str, service: Service, caller: Reader) -> dict[str, Any]:
    """Return a run with its cases."""
    return service.run(run_id, owner_of(caller))


@router.delete("/runs/{run_id}")
def delete_run(run_id: str, service: Service, caller: Writer) -> dict[str, Any]:
    """Remove a run and its documents."""
    return service.delete(run_id, owner_of(caller))


@router.post("/search")
def search(asked: Search, service: Service, caller: Reader) -> dict[str, Any]:
    """Search guide and runs."""
    return service.search(asked.query, owner_of(caller), asked.run_id, asked.k, asked.filters()).to_dict()


@router.post("/ask")
def ask(question: Question, service: Service, caller: Reader) -> dict[str, Any]:
    """Answer a question over guide and runs, with where the answer stands."""
    return service.ask(question.asked(), owner_of(caller)).to_dict()


@router.post("/chat")
def chat(question: Question, service: Service, caller: Reader) -> Response:
    """Answer like `ask`, piece by piece as server-sent events; the last one holds the whole answer."""
    asked, owner = question.asked(), owner_of(caller)
    asked.require()
    if asked.run_id is not None:
        service.run(asked.run_id, owner)

    def pieces() -> Iterator[dict[str, Any]]:
        for piece in service.stream(asked, owner):
            yield {"text": piece} if isinstance(piece, str) else {"done": True, **piece.to_dict()}

    return events(pieces())


@router.get("/index/status")
def index_status(service: Service, caller: Reader) -> dict[str, Any]:
    """Tell per source whether it is indexed as it is today, and the totals."""
    found = service.status(owner_of(caller))
    if not caller.operator:
        # Paths and what a server said are the operator's.
        for source in found["sources"]:
            source.pop("place")
            source["error"] = source["error"] and "this source could not be indexed"
        return {"totals": found["totals"], "sources": found["sources"]}
    return {**found, "warming": service.warming.last}


@router.post("/index/rebuild", status_code=202)
def index_rebuild(service: Service, caller: Operator, recreate: Annotated[bool, Query()] = False) -> dict[str, Any]:
    """Check everything in the background; with `recreate`, embed everything again."""
    return service.rebuild(recreate)


def owner_of(caller: Caller) -> str | None:
    """Return whose runs a caller sees: the tenant's, all of them for an operator."""
    return None if caller.operator else caller.tenant
