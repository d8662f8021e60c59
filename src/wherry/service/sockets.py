"""Talking over a web socket: opening one that a rule let in, and its messages, one JSON object each."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from wherry.errors import WherryError
from wherry.service.failing import Refusal, told

PROTOCOL = "wherry"
# RFC 6455: a message that cannot be understood, one that is not allowed; the registry of IANA: try again later.
_UNREADABLE, _FORBIDDEN, _LATER = 1003, 1008, 1013


async def open_socket(socket: WebSocket) -> None:
    """Accept a socket. Browsers offer the subprotocol `wherry` beside the one that carries the key; it is taken."""
    offered = [one.strip() for one in socket.headers.get("sec-websocket-protocol", "").split(",")]
    await socket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)


async def socket_messages(socket: WebSocket) -> AsyncIterator[dict[str, Any]]:
    """Yield each message as an object until the other side is gone.

    Every message counts as a request of the key, which must still open what it opened. A key that was removed, that
    sends too many, or what is no JSON object, is told so and the socket is closed.
    """
    limits, caller = socket.app.state.service.limits, socket.scope["wherry.caller"]
    while socket.client_state is WebSocketState.CONNECTED:
        try:
            text = await socket.receive_text()
            limits.take(caller.key)
            message = json.loads(text)
        except (WebSocketDisconnect, RuntimeError):
            # Starlette raises RuntimeError for what comes after the end.
            return
        except Refusal as refused:
            await _farewell(socket, refused.error, refused.what, _LATER)
            return
        except (ValueError, KeyError):
            # KeyError: the message is binary.
            message = None
        if not await run_in_threadpool(socket.scope["wherry.still"]):
            await _farewell(socket, "Unauthorized", "this key opens nothing any more", _FORBIDDEN)
            return
        if not isinstance(message, dict):
            await _farewell(socket, "Usage", "a message is one JSON object", _UNREADABLE)
            return
        yield message


async def send_error(socket: WebSocket, error: WherryError) -> None:
    """Tell what is wrong, in the words that an HTTP answer would have; the socket stays open."""
    caller = socket.scope.get("wherry.caller")
    await socket.send_json({"type": "error", **told(error, caller is not None and caller.operator)})


async def _farewell(socket: WebSocket, error: str, what: str, code: int) -> None:
    await socket.send_json({"type": "error", "error": error, "what": what})
    await socket.close(code, what)
