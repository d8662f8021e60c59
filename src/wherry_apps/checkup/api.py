"""The endpoints, under /api/checkup."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

import wherry
from wherry_apps.checkup import app
from wherry_apps.checkup.documents import Documents
from wherry_apps.checkup.service import Checkup
from wherry_apps.checkup.tables import CheckupDocument

router = APIRouter(tags=["checkup"])
Reading = Annotated[wherry.Caller, Depends(wherry.READS)]
Writing = Annotated[wherry.Caller, Depends(wherry.WRITES)]
Service = Annotated[Checkup, Depends(app.opened)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Hospital = Annotated[str, Field(pattern=r"^[\w.-]{1,100}$")]
Text = Annotated[str, Field(min_length=1, max_length=4_000)]
Results = Annotated[list[dict[str, Any]], Field(max_length=50)]
Json = dict[str, Any]


class Patient(BaseModel):
    """Who it is about."""

    model_config = ConfigDict(extra="ignore")
    birth_date: str | None = None
    sex: str | None = None


class Message(BaseModel):
    """A question of a person. uuid: who, in the caller's words. Partners send the person's results with it."""

    model_config = ConfigDict(extra="ignore")
    uuid: Name
    message: Text
    hospital_id: Hospital | None = None
    session_id: Annotated[str, Field(max_length=64)] | None = None
    patient_info: Patient | None = None
    health_data: dict[str, Any] | None = None
    checkup_results: Results = []


class Evidence(BaseModel):
    """What evidence is wanted for."""

    model_config = ConfigDict(extra="ignore")
    patient_info: Patient | None = None
    hospital_id: Hospital | None = None
    checkup_results: Results = []
    abnormal_items: Annotated[list[Text], Field(max_length=50)] = []
    family_history: Annotated[list[Text], Field(max_length=50)] = []
    concerns: Annotated[list[Text], Field(max_length=50)] = []


class Search(BaseModel):
    """A search."""

    query: Text
    k: Annotated[int, Field(ge=1, le=50)] = 5
    hospital_id: Hospital | None = None


class New(BaseModel):
    """A document of a hospital: its text, or its bytes in base64."""

    file_name: Name
    title: Name | None = None
    text: Annotated[str, Field(max_length=5_000_000)] | None = None
    content_base64: Annotated[str, Field(max_length=10_000_000)] | None = None


def _sees(caller: wherry.Caller) -> str | None:
    """Return whose things the caller sees: its tenant's own, everybody's for an operator."""
    return None if caller.operator else caller.tenant


@router.post("/message")
def message(body: Message, service: Service, caller: Writing) -> Any:
    """Answer a question, piece by piece as server-sent events; then sources, suggestions and the session."""
    return wherry.events(service.message(body.model_dump(), caller.tenant))


@router.post("/evidence")
def evidence(body: Evidence, service: Service, caller: Reading) -> Json:
    """Return the passages that lie under abnormal results, family history and concerns."""
    return service.evidence(body.model_dump(), _sees(caller))


@router.post("/search")
def search(body: Search, service: Service, caller: Reading) -> Json:
    """Return the passages found for a text."""
    return service.search(body.query, body.k, body.hospital_id, _sees(caller))


@router.get("/diagnose")
def diagnose(service: Service, caller: Reading) -> Json:
    """Return which side answers and what leaves the machine; where things are only for operators."""
    found = service.diagnose()
    shown = ("backend", "offline", "embedder", "chat", "floor", "disk_share", "warning")
    return found if caller.operator else {name: found[name] for name in shown}


@router.get("/sessions/{session}")
def conversation(session: str, uuid: Annotated[str, Query(max_length=200)], service: Service, caller: Reading) -> Json:
    """Return a conversation of a person."""
    return {"session_id": session, "messages": service.messages(session, uuid, _sees(caller))}


@router.delete("/sessions/{session}", status_code=204)
def forget(session: str, uuid: Annotated[str, Query(max_length=200)], service: Service, caller: Writing) -> None:
    """Remove a conversation and everything said in it."""
    service.forget(session, uuid, _sees(caller))


@router.get("/hospitals/{hospital}/documents")
def listed(hospital: str, service: Service, caller: Reading) -> Json:
    """List the documents of a hospital that are the caller's."""
    return {"documents": [_shown(row) for row in service.documents.listed(hospital, _sees(caller))]}


@router.post("/hospitals/{hospital}/documents", status_code=201)
def add(hospital: str, body: New, service: Service, caller: Writing) -> Json:
    """Add a document, or replace the one of its name; it answers from then on."""
    documents: Documents = service.documents
    return _shown(documents.add(hospital, caller.tenant, body.file_name, _bytes(body), body.title))


@router.delete("/hospitals/{hospital}/documents/{number}", status_code=204)
def remove(hospital: str, number: int, service: Service, caller: Writing) -> None:
    """Remove a document; it answers no more from then on."""
    service.documents.remove(hospital, _sees(caller), number)


@router.post("/hospitals/{hospital}/documents/rebuild")
def rebuild(hospital: str, service: Service, caller: Writing) -> Json:
    """Embed the documents anew beside those that serve, then let readers see them."""
    found = service.documents.rebuild(hospital, caller.tenant)
    return {name: found[name] for name in ("scanned", "chunks_embedded", "failed", "generation", "rebuilt")}


@router.get("/hospitals/{hospital}/documents/status")
def status(hospital: str, service: Service, caller: Reading) -> Json:
    """Return how many documents there are and how they fare."""
    return service.documents.status(hospital, _sees(caller))


def _bytes(body: New) -> bytes:
    if (body.text is None) == (body.content_base64 is None):
        raise wherry.BadRecord("a document is a text or content_base64", fields=["text", "content_base64"])
    if body.text is not None:
        return body.text.encode()
    try:
        return base64.b64decode(body.content_base64 or "", validate=True)
    except binascii.Error:
        raise wherry.BadRecord("content_base64 is no base64", fields=["content_base64"]) from None


def _shown(row: CheckupDocument) -> Json:
    indexed = row.indexed_at.isoformat() if row.indexed_at else None
    return {"id": row.id, "hospital_id": row.hospital_id, "file_name": row.file_name, "title": row.title,
            "sha256": row.file_sha256, "status": row.status, "indexed_at": indexed}  # fmt: skip
