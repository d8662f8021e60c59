"""What surrounds every request: its size, its time, a line in the log, numbers."""

from __future__ import annotations

import asyncio
import secrets
import time
import traceback
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from wherry.errors import WherryError
from wherry.service.failing import Refusal
from wherry.service.metrics import Meters

_UNEXPECTED = Refusal(500, "Unexpected", "this is a bug of Wherry", "tell the operator the number of this request")


class Sized:
    """Turns requests away whose body is larger than the limit, before it is held in memory.

    larger: limits of the paths that begin so, where they are above the general one.
    """

    def __init__(self, app: ASGIApp, limit_bytes: int, larger: Mapping[str, int] = MappingProxyType({})) -> None:
        self._app, self._limit, self._larger = app, limit_bytes, larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        limit = max([self._limit, *(most for path, most in self._larger.items() if scope["path"].startswith(path))])
        if scope["type"] == "websocket":
            await self._app(scope, _each_small(receive, send, limit), send)
            return
        words = f"the request is larger than {limit:,} bytes"
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        if not stated.isdigit() or int(stated) > limit:
            await Refusal(413, "TooLarge", words, "send less").answer()(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:
                raise HTTPException(413, words)
            return message

        await self._app(scope, counted, send)


def _each_small(receive: Receive, send: Send, limit: int) -> Receive:
    """Return what ends a socket (1009, too big) at the first message above the limit."""

    async def heard() -> Message:
        message = await receive()
        if len(message.get("bytes") or b"") > limit or len((message.get("text") or "").encode()) > limit:
            await send({"type": "websocket.close", "code": 1009, "reason": f"larger than {limit:,} bytes"})
            return {"type": "websocket.disconnect", "code": 1009}
        return message

    return heard


class Timed:
    """Answers 504 when no answer has begun in time; what is still at work ends by itself, unheard."""

    def __init__(self, app: ASGIApp, limit_s: float) -> None:
        self._app, self._limit_s = app, limit_s
        # Tasks that nobody refers to may vanish before they end.
        self._late: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = asyncio.Event()
        late = False

        async def heard(message: Message) -> None:
            if not late:
                begun.set()
                await send(message)

        task = asyncio.create_task(self._answer(scope, receive, heard))
        beginning = asyncio.create_task(begun.wait())
        try:
            await asyncio.wait({task, beginning}, timeout=self._limit_s, return_when=asyncio.FIRST_COMPLETED)
            if task.done() or begun.is_set():
                await task
                return
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            beginning.cancel()
        late = True
        self._leave(task)
        what = f"no answer within {self._limit_s:g} s; whether it acted is unknown"
        await Refusal(504, "TimedOut", what, "ask for less, or again later").answer()(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def _leave(self, task: asyncio.Task[None]) -> None:
        self._late.add(task)
        # Never cancelled: that would free the place of the key while its thread is still at work.
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()


class Watched:
    """Numbers and logs every request, and answers 500 without a traceback when something unforeseen happens."""

    def __init__(self, app: ASGIApp, log: Any, meters: Meters, paths: Mapping[Any, str]) -> None:
        # paths: of each endpoint, with its prefix, which a request that was routed does not know.
        self._app, self._log, self._meters, self._paths = app, log, meters, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
            return
        number, started, status = secrets.token_hex(8), time.perf_counter(), 0

        async def heard(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", number.encode())]
            await send(message)

        self._meters.under_way.inc()
        try:
            await self._app(scope, receive, heard)
        except Exception as error:
            self._log.error("unexpected", request=number, error=type(error).__name__, at=_places(error))
            if not status:
                await _UNEXPECTED.answer()(scope, receive, heard)
        finally:
            self._meters.under_way.dec()
            self._note(scope, number, status, time.perf_counter() - started)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Follow a web socket from its opening to its end; one that fails is closed with 1011, an internal error."""
        number, started, seen = secrets.token_hex(8), time.perf_counter(), {"open": False, "code": 0}

        async def heard(message: Message) -> None:
            seen["open"] |= message["type"] == "websocket.accept"
            seen["code"] = message.get("code", message.get("status", seen["code"]))
            await send(message)

        try:
            await self._app(scope, receive, heard)
        except WebSocketDisconnect as gone:
            # The other side left while it was spoken to.
            seen["code"] = gone.code
        except Exception as error:
            self._log.error("unexpected", request=number, error=type(error).__name__, at=_places(error))
            if seen["open"]:
                await heard({"type": "websocket.close", "code": 1011, "reason": f"unexpected; number {number}"})
            else:
                await _UNEXPECTED.answer()(scope, receive, heard)
        finally:
            caller = scope.get("wherry.caller")
            self._log.info(
                "socket",
                request=number,
                path=self._paths.get(scope.get("endpoint"), "(none)"),
                status=seen["code"] or 1000,
                ms=round((time.perf_counter() - started) * 1000, 1),
                **({} if caller is None else {"tenant": caller.tenant, "key": caller.key}),
            )

    def _note(self, scope: Scope, number: str, status: int, seconds: float) -> None:
        # The path of the endpoint, never the one that was asked for: anything can be written into that.
        path = self._paths.get(scope.get("endpoint"), "(none)")
        # Methods are the caller's words too; an unknown one must not become a name of its own.
        method = scope["method"] if scope["method"] in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD") else "(other)"
        self._meters.answered(method, path, status, seconds)
        caller, error = scope.get("wherry.caller"), scope.get("wherry.error")
        who = {} if caller is None else {"tenant": caller.tenant, "key": caller.key}
        # The words of a refused question may quote it.
        why = {} if not isinstance(error, WherryError) else {"error": type(error).__name__}
        if why and status >= 500:
            why |= {"what": error.what, "where": error.where}
        self._log.info(
            "request",
            request=number,
            method=method,
            path=path,
            status=status,
            ms=round(seconds * 1000, 1),
            **who,
            **why,
        )


def _places(error: Exception) -> list[str]:
    """Return where an error passed, without its words or any value."""
    return [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-8:]]
