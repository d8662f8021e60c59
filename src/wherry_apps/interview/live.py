"""The interview over a web socket, at /api/interview/sessions/{session_id}/live.

The server says {"type": "question", turn, index, of, question_text, follow_up, ...}; the applicant answers
{"type": "answer", "turn": N, "text": "..."} and hears {"type": "saved", turn, again} and the next question, or
{"type": "completed"}. A connection that was lost is opened anew: the question at current_question_index comes first,
and an answer whose "saved" got lost may be sent again with its turn; it is stored once.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, WebSocket
from fastapi.concurrency import run_in_threadpool

import wherry
from wherry import WRITES, Caller, open_socket, send_error, socket_messages
from wherry_apps.interview import app
from wherry_apps.interview.forms import AnswerForm, validated
from wherry_apps.interview.service import sessions
from wherry_apps.interview.service.opened import Interview

router = APIRouter()


@router.websocket("/sessions/{session_id}/live")
async def live(
    socket: WebSocket,
    session_id: int,
    caller: Annotated[Caller, Depends(WRITES)],
    service: Annotated[Interview, Depends(app.opened)],
) -> None:
    """Hold an interview; one that waits begins, one that was interrupted goes on."""
    owner = None if caller.operator else caller.tenant
    here = await run_in_threadpool(sessions.resume, service, owner, session_id)
    await open_socket(socket)
    await _say(socket, here)
    async for message in socket_messages(socket):
        try:
            here = await run_in_threadpool(_answered, service, owner, session_id, message)
        except wherry.WherryError as error:
            await send_error(socket, error)
            continue
        if "saved" in here:
            await socket.send_json({"type": "saved", "turn": here["turn"] - 1, "again": here["again"]})
        await _say(socket, here)


def _answered(service: Interview, owner: str | None, session_id: int, message: dict[str, Any]) -> dict[str, Any]:
    kind = message.pop("type", "answer")
    if kind == "state":
        return sessions.state(service, owner, session_id)
    if kind != "answer":
        raise wherry.BadRecord("a message is an answer, or asks for the state", fields=["type"])
    form = validated(AnswerForm, message)
    return sessions.answer(service, owner, session_id, form.text, form.turn)


async def _say(socket: WebSocket, here: dict[str, Any]) -> None:
    """Send the question that is asked now, or how the interview stands."""
    if here["question"] is None:
        await socket.send_json({"type": here["status"], "turn": here["turn"], "interview_id": here["id"]})
    else:
        await socket.send_json({"type": "question", "turn": here["turn"], **here["question"]})
