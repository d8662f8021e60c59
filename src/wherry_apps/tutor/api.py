"""The endpoints under /api/tutor. A student has an ordinary key, a professor or operator an operator's key.

A student sees approved questions without their answers, and sessions that the own key's tenant started; what belongs
to somebody else is not there.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from wherry import OPERATES, READS, WRITES, Caller, Document, Part, events
from wherry_apps.tutor import app
from wherry_apps.tutor.importing import read_paper
from wherry_apps.tutor.service import Tutor

router = APIRouter(tags=["tutor"])
Reading = Annotated[Caller, Depends(READS)]
Writing = Annotated[Caller, Depends(WRITES)]
Operating = Annotated[Caller, Depends(OPERATES)]
Service = Annotated[Tutor, Depends(app.opened)]


def _clean(value: str) -> str:
    """Return a text that a database can hold. Raises ValueError."""
    if "\x00" in value or any("\ud800" <= one <= "\udfff" for one in value):
        raise ValueError("it holds a character that is none")
    return value


Clean = Annotated[str, AfterValidator(_clean)]
Number = Annotated[int, Field(ge=1, lt=1 << 31)]
Short = Annotated[Clean, Field(min_length=1, max_length=200)]
Long = Annotated[Clean, Field(min_length=1, max_length=4_000)]
K = Annotated[int, Query(ge=1, le=50)]
Wish = Annotated[Clean | None, Query(max_length=200)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Import(_Body):
    """A file to import. data: what it holds; name: what messages call it."""

    name: Short
    data: Any
    department: Short | None = None
    allow_incomplete: bool = False
    accept_warnings: bool = False


class Ids(_Body):
    """Questions by number."""

    ids: Annotated[list[Number], Field(min_length=1, max_length=1_000)]


class Rejection(Ids):
    """Questions to take out of use."""

    status: Literal["rejected", "archived"] = "rejected"


class Start(_Body):
    """The test to start."""

    test: Number


class Submit(_Body):
    """Answers by question number; what is not there is unanswered. seconds: what each took, where it was measured."""

    answers: Annotated[dict[Number, Annotated[Clean, Field(max_length=10)] | None], Field(max_length=1_000)]
    seconds: Annotated[dict[Number, int], Field(max_length=1_000)] = Field(default_factory=dict)


class Wanted(_Body):
    """What a drafted question shall be about."""

    topic: Long
    department: Short | None = None
    subject: Short | None = None
    difficulty: Annotated[int, Field(ge=1, le=5)] = 3


class Explain(_Body):
    """The question to explain. anew: ask the model even where an explanation of it is kept; for operators."""

    question: Number
    anew: bool = False


class NewDocument(_Body):
    """A study document as text."""

    title: Short
    text: Annotated[Clean, Field(min_length=1, max_length=10_000_000)]
    department: Short | None = None
    subject: Short | None = None


def _owner(caller: Caller) -> str | None:
    return None if caller.operator else caller.tenant


@router.get("/questions")
def list_questions(
    service: Service,
    caller: Reading,
    department: Wish = None,
    subject: Wish = None,
    area: Wish = None,
    difficulty: Annotated[int | None, Query(ge=1, le=5)] = None,
    year: Annotated[int | None, Query(ge=0, le=9_999)] = None,
    status: Annotated[Literal["pending", "approved", "rejected", "archived"] | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
    after: Annotated[int, Query(ge=0, lt=1 << 31)] = 0,
) -> dict[str, Any]:
    """Return questions by number; for students the approved ones, without answers."""
    wanted = {"department": department, "subject": subject, "area": area, "difficulty": difficulty, "year": year}
    return service.bank.list(not caller.operator, status, limit, after, **wanted)


@router.post("/questions/import")
def import_questions(body: Import, service: Service, caller: Operating) -> dict[str, Any]:
    """Import a file of one of the three shapes; all of it or nothing."""
    paper = read_paper(body.data, body.name, body.department, body.allow_incomplete)
    return service.import_paper(paper, body.accept_warnings)


@router.post("/questions/approve")
def approve_questions(body: Ids, service: Service, caller: Operating) -> dict[str, Any]:
    """Approve questions; `indexed` says whether each has a stored vector now."""
    return service.approve(body.ids, caller.tenant)


@router.post("/questions/reject")
def reject_questions(body: Rejection, service: Service, caller: Operating) -> dict[str, Any]:
    """Reject or archive questions and take them out of the collection."""
    return service.reject(body.ids, body.status)


@router.get("/questions/{number}")
def get_question(number: int, service: Service, caller: Reading) -> dict[str, Any]:
    """Return a question; for students an approved one, without its answer."""
    return service.bank.get(number, not caller.operator)


@router.patch("/questions/{number}")
def edit_question(number: int, changes: dict[str, Any], service: Service, caller: Operating) -> dict[str, Any]:
    """Change columns of a question; an object is replaced whole."""
    return service.edit(number, changes)


@router.post("/index")
def index(service: Service, caller: Operating) -> dict[str, Any]:
    """Bring the collection in line with the approved questions and the documents."""
    return service.index().to_dict()


@router.get("/tests")
def list_tests(service: Service, caller: Reading) -> dict[str, Any]:
    """Return the tests; for students the open ones."""
    return {"tests": service.diagnosis.tests(not caller.operator)}


@router.post("/tests/{number}/activate")
def activate_test(number: int, service: Service, caller: Operating) -> dict[str, Any]:
    """Open a test to students; every question of it has to be approved."""
    return service.diagnosis.activate(number)


@router.post("/tests/{number}/archive")
def archive_test(number: int, service: Service, caller: Operating) -> dict[str, Any]:
    """Close a test."""
    return service.diagnosis.archive(number)


@router.get("/sessions")
def list_sessions(service: Service, caller: Reading) -> dict[str, Any]:
    """Return the caller's sessions, latest first; an operator sees all."""
    return {"sessions": service.diagnosis.sessions(_owner(caller))}


@router.post("/sessions")
def start_session(body: Start, service: Service, caller: Writing) -> dict[str, Any]:
    """Start a test, or go on with the session that runs."""
    return service.diagnosis.start(body.test, caller.tenant)


@router.get("/sessions/{number}")
def get_session(number: int, service: Service, caller: Reading) -> dict[str, Any]:
    """Return a session of the caller; the right answers only when it is over."""
    return service.diagnosis.session(number, _owner(caller))


@router.post("/sessions/{number}/submit")
def submit_session(number: int, body: Submit, service: Service, caller: Writing) -> dict[str, Any]:
    """Grade a session and close it; sent again it returns the first result."""
    return service.diagnosis.submit(number, body.answers, _owner(caller), body.seconds)


@router.get("/recommended")
def recommended(
    service: Service,
    caller: Reading,
    session: Annotated[int | None, Query(ge=1, lt=1 << 31)] = None,
    k: K = 5,
) -> dict[str, Any]:
    """Return questions to practise next after a finished test, each with its reason."""
    return service.searching.recommended(_owner(caller), session, k)


@router.post("/generate")
def generate(body: Wanted, service: Service, caller: Operating) -> dict[str, Any]:
    """Draft a question from study documents; it is pending until a professor approves it."""
    return service.drafting.draft(body.topic, caller.tenant, body.department, body.subject, body.difficulty)


@router.post("/explain")
def explain(body: Explain, service: Service, caller: Reading) -> dict[str, Any]:
    """Explain a question; by the rules, and saying so, where no model answers."""
    return service.explain(body.question, _owner(caller), anew=body.anew and caller.operator)


@router.post("/explain/stream")
def explain_stream(body: Explain, service: Service, caller: Reading) -> StreamingResponse:
    """Explain a question piece by piece; the last event is whole and says who wrote it."""
    # What is refused is refused here, before the answer begins.
    pieces = service.explain_stream(body.question, _owner(caller))
    return events(pieces)


@router.get("/documents")
def list_documents(service: Service, caller: Reading) -> dict[str, Any]:
    """Return the study documents; where their files lie is for operators."""
    found = service.documents.list()
    hidden = () if caller.operator else ("path", "sha256")
    return {"documents": [{key: value for key, value in one.items() if key not in hidden} for one in found]}


@router.post("/documents")
def add_document(body: NewDocument, service: Service, caller: Operating) -> dict[str, Any]:
    """Add a study document, replacing the one of its title."""
    document = Document(body.title, (Part(body.text),), body.title)
    return service.add_document(body.title, document, department=body.department, subject=body.subject)


@router.delete("/documents/{number}")
def remove_document(number: int, service: Service, caller: Operating) -> dict[str, Any]:
    """Delete a study document and its points."""
    return service.remove_document(number)


@router.get("/search")
def search(
    service: Service,
    caller: Reading,
    q: Annotated[Clean, Query(min_length=1, max_length=4_000)],
    kind: Literal["question", "document"] = "question",
    department: Wish = None,
    subject: Wish = None,
    difficulty: Annotated[int | None, Query(ge=1, le=5)] = None,
    year: Annotated[int | None, Query(ge=0, le=9_999)] = None,
    threshold: Annotated[float | None, Query(ge=-1, le=1)] = None,
    k: K = 5,
) -> dict[str, Any]:
    """Return questions or passages that are at least as similar as the threshold, nearest first."""
    wanted = {"department": department, "subject": subject, "difficulty": difficulty, "year": year}
    found = service.searching.search(q, kind, k, threshold, **wanted)
    # Where the collection lies is the operator's to know.
    return found if caller.operator else {key: value for key, value in found.items() if key != "in"}


@router.get("/statistics")
def statistics(service: Service, caller: Reading) -> dict[str, Any]:
    """Return counts; for students of their own sessions alone."""
    return service.statistics(_owner(caller))
