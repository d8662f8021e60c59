"""The endpoints of the notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel

import wherry
from tests.apps.notes import app
from tests.apps.notes.service import Notes

router = APIRouter(tags=["notes"])
Reading = Annotated[wherry.Caller, Depends(wherry.READS)]
Writing = Annotated[wherry.Caller, Depends(wherry.WRITES)]
Service = Annotated[Notes, Depends(app.opened)]


class New(BaseModel):
    """A note."""

    title: str
    body: str


@router.post("/notes", status_code=201)
def add(body: New, notes: Service, caller: Writing) -> dict[str, int]:
    """Keep a note."""
    return {"id": notes.add(caller.tenant, body.title, body.body)}


@router.get("/notes/{number}")
def get(number: int, notes: Service, caller: Reading) -> dict[str, Any]:
    """Return a note."""
    return {"title": notes.get(caller.tenant, number).title}


@router.get("/stream")
def stream(caller: Reading, fail: bool = False) -> Any:
    """Answer in pieces."""

    def pieces() -> Iterator[dict[str, Any]]:
        yield {"answer": "하나", "done": False}
        if fail:
            raise wherry.StoreError("postgresql://user:hunter2@host failed")
        yield {"answer": "", "done": True}

    return wherry.events(pieces())


@router.get("/bad")
def bad(caller: Reading) -> None:
    """Refuse a record."""
    raise wherry.BadRecord("two fields cannot be taken", fields=["height", "weight"], next="correct them")
