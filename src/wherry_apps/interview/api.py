"""Endpoints under /api/interview: six kinds of records, files, search, interviews, results, comparison."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, File, Form, HTTPException, UploadFile
from pydantic import BaseModel, Field

from wherry import READS, WRITES, Caller
from wherry_apps.interview import app, live
from wherry_apps.interview.forms import AnswerForm, SessionForm
from wherry_apps.interview.service import jobs, questions, records, results, searching, sessions, transcripts
from wherry_apps.interview.service.intake import BadFile
from wherry_apps.interview.service.opened import Interview

router = APIRouter(tags=["interview"])
Reads = Annotated[Caller, Depends(READS)]
Writes = Annotated[Caller, Depends(WRITES)]
Service = Annotated[Interview, Depends(app.opened)]
# Checked here, so that an error lists the fields.
Content = Annotated[Any, Body()]


class Search(BaseModel):
    """What to look for. job_id: in one job. metric: cosine, l2 or ip."""

    query: Annotated[str, Field(min_length=1, max_length=20_000)]
    top_k: Annotated[int, Field(ge=1, le=searching.MOST)] = 5
    job_id: int | None = None
    metric: str = "cosine"


def owner_of(caller: Caller) -> str | None:
    """Return whose rows a caller may see: its tenant's; an operator sees all."""
    return None if caller.operator else caller.tenant


@router.post("/jobs/upload", status_code=201)
def upload(
    caller: Writes,
    service: Service,
    file: Annotated[UploadFile, File(description="PDF or text, 10 MB at most")],
    company_id: Annotated[int, Form()],
    title: Annotated[str, Form(min_length=1, max_length=500)],
    force: Annotated[bool, Form()] = False,
) -> dict[str, Any]:
    """Take in a job post; the same file of the same company and title is the job that is there."""
    data = file.file.read()
    try:
        return jobs.upload(service, owner_of(caller), company_id, title, data, file.filename or "", force).to_dict()
    except BadFile as error:
        raise HTTPException(400, error.what) from None


@router.post("/jobs/search")
def search(caller: Reads, service: Service, wanted: Search) -> dict[str, Any]:
    """Find chunks of job posts by meaning."""
    return searching.told(service, owner_of(caller), wanted.query, wanted.top_k, wanted.job_id, wanted.metric.lower())


@router.post("/jobs/reembed")
def reembed(caller: Writes, service: Service, job_id: int | None = None, everything: bool = False) -> dict[str, Any]:
    """Embed the chunks that have no vector; everything: those of another embedder too."""
    return jobs.reembed(service, owner_of(caller), job_id, everything)


@router.post("/jobs/{job_id}/questions", status_code=201)
def make_questions(caller: Writes, service: Service, job_id: int) -> dict[str, Any]:
    """Make questions from what the job post asks for."""
    return {"questions": questions.make(service, owner_of(caller), job_id)}


@router.post("/jobs/{job_id}/questions/import", status_code=201)
def import_questions(caller: Writes, service: Service, job_id: int, content: Content) -> dict[str, Any]:
    """Take in a file of interviewers with their questions."""
    return {"questions": questions.read_file(service, owner_of(caller), job_id, content)}


@router.get("/jobs/{job_id}/comparison")
def comparison(caller: Reads, service: Service, job_id: int) -> dict[str, Any]:
    """Put the applicants that were interviewed for a job side by side."""
    return results.compare(service, owner_of(caller), job_id)


@router.post("/sessions/start", status_code=201)
def start(caller: Writes, service: Service, form: SessionForm) -> dict[str, Any]:
    """Make a session and begin it; the first question comes back."""
    return sessions.start(service, owner_of(caller), form)


@router.post("/sessions/{session_id}/begin")
def begin(caller: Writes, service: Service, session_id: int) -> dict[str, Any]:
    """Begin a session that is pending."""
    return sessions.begin(service, owner_of(caller), session_id)


@router.post("/sessions/{session_id}/answers", status_code=201)
def answer(caller: Writes, service: Service, session_id: int, form: AnswerForm) -> dict[str, Any]:
    """Answer the current question; what comes next comes back."""
    return sessions.answer(service, owner_of(caller), session_id, form.text, form.turn)


@router.post("/sessions/{session_id}/evaluate")
def evaluate(caller: Writes, service: Service, session_id: int, force: bool = False) -> dict[str, Any]:
    """Score the answers; once, unless forced."""
    return results.evaluate(service, owner_of(caller), session_id, force)


@router.get("/sessions/{session_id}/results")
def results_of(caller: Reads, service: Service, session_id: int) -> dict[str, Any]:
    """Return the results of a session with what they sum to."""
    return results.results(service, owner_of(caller), session_id)


@router.get("/sessions/{session_id}/transcript")
def transcript_of(caller: Reads, service: Service, session_id: int) -> dict[str, Any]:
    """Return every turn of a session in order."""
    return {"turns": sessions.transcript(service, owner_of(caller), session_id)}


@router.post("/transcripts", status_code=201)
def import_transcript(
    caller: Writes,
    service: Service,
    content: Content,
    applicant_id: int | None = None,
    job_id: int | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Take in a transcript of any of the three shapes, and score it."""
    return transcripts.import_transcript(service, owner_of(caller), content, applicant_id, job_id, force)


def _records(kind: str) -> None:
    """Add the five endpoints of a kind of records."""
    form = records.KINDS[kind].form
    expected = {
        "requestBody": {"required": True, "content": {"application/json": {"schema": form.model_json_schema()}}}
    }

    def create(caller: Writes, service: Service, content: Content) -> dict[str, Any]:
        return records.create(service, owner_of(caller), kind, content, caller.tenant)

    def read(caller: Reads, service: Service, id: int, reveal: bool = False) -> dict[str, Any]:
        return records.one(service, owner_of(caller), kind, id, reveal)

    def change(caller: Writes, service: Service, id: int, content: Content) -> dict[str, Any]:
        return records.change(service, owner_of(caller), kind, id, content)

    def remove(caller: Writes, service: Service, id: int) -> None:
        records.remove(service, owner_of(caller), kind, id)

    def add(path: str, method: str, act: Callable[..., Any], about: str, **how: Any) -> None:
        router.add_api_route(path, act, methods=[method], name=f"{act.__name__}_{kind}", description=about, **how)

    add(f"/{kind}", "POST", create, f"Store one of the {kind}.", status_code=201, openapi_extra=expected)
    add(f"/{kind}", "GET", _lists(kind), f"List {kind} by id.")
    add(f"/{kind}/{{id}}", "GET", read, f"Return one of the {kind}.")
    add(f"/{kind}/{{id}}", "PATCH", change, f"Change some fields of one of the {kind}.")
    add(f"/{kind}/{{id}}", "PUT", change, f"Change some fields of one of the {kind}.")
    add(f"/{kind}/{{id}}", "DELETE", remove, f"Delete one of the {kind} with all below it.", status_code=204)


def _lists(kind: str) -> Callable[..., Any]:
    """Return the endpoint that lists a kind, with a parameter for each of its filters."""

    def listed(caller: Reads, service: Service, limit: int = 100, after: int = -1, **filters: Any) -> dict[str, Any]:
        return {kind: records.listed(service, owner_of(caller), kind, filters, limit, after)}

    return narrowed(listed, records.KINDS[kind].filters)


def narrowed(act: Callable[..., Any], filters: tuple[str, ...]) -> Callable[..., Any]:
    """Return an endpoint whose `**filters` became parameters of their own: ids are numbers, the others words."""
    import inspect

    signature = inspect.signature(act, eval_str=True)
    own = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    added = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=int | None if name.endswith("_id") else str | None,
        )
        for name in filters
    ]
    act.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    return act


for _kind in records.KINDS:
    _records(_kind)
router.include_router(live.router)
