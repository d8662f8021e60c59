"""Who may call an endpoint. Every endpoint declares one of the rules; the application refuses to start otherwise.

    @router.post("/routes/{route}/search")
    def search(route: str, caller: Annotated[Caller, Depends(READS)]) -> ...

`OPEN`: anybody. `READS`: any key. `WRITES`: a key that is not read-only. `OPERATES`: an operator's key. A path
parameter called `route` is checked too: a route that was not granted to the caller's tenant is not there.

Web sockets declare the same rules. A browser cannot send headers with one: it offers the subprotocols `wherry` and
`bearer.KEY` instead of the header Authorization. A connection that is refused is answered over HTTP, before it opens.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import iter_route_contexts
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection

from wherry.errors import Usage
from wherry.service.failing import Refusal, no_key, not_found
from wherry.service.keys import Caller


class _Key(HTTPBearer):
    """Finds the key of a request, or of a web socket."""

    async def __call__(self, request: HTTPConnection) -> HTTPAuthorizationCredentials | None:  # type: ignore[override]
        given = await super().__call__(request)  # type: ignore[arg-type]
        if given is not None or request.scope["type"] != "websocket":
            return given
        offered = request.headers.get("sec-websocket-protocol", "").split(",")
        key = next((one.strip()[len(OFFERED) :] for one in offered if one.strip().startswith(OFFERED)), None)
        return None if key is None else HTTPAuthorizationCredentials(scheme="Bearer", credentials=key)


# What a browser offers to carry a key; see `_Key`.
OFFERED = "bearer."
BEARER = _Key(scheme_name="HTTPBearer", auto_error=False, description="A key made with `wherry serve keys add TENANT`.")
# FastAPI's own pages: the documentation.
_DOCUMENTATION = frozenset({"/docs", "/docs/oauth2-redirect", "/openapi.json"})
_RULES: dict[Callable[..., Any], str] = {}
_DOCS = {
    "reads": "Let in any key; gives the endpoint its Caller.",
    "writes": "Let in a key that is not read-only; gives the endpoint its Caller.",
    "operates": "Let in an operator's key; gives the endpoint its Caller.",
}


def OPEN() -> None:
    """Let anybody in."""


def _rule(kind: str) -> Callable[..., AsyncIterator[Caller]]:
    async def ruled(
        request: HTTPConnection, given: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]
    ) -> AsyncIterator[Caller]:
        service = request.app.state.service
        caller = await run_in_threadpool(service.keys.find, given.credentials) if given else None
        if caller is None:
            raise no_key()
        request.scope["wherry.caller"] = caller
        if request.scope["type"] == "websocket":
            # A socket may outlive its key: each message asks again (see sockets.py).
            request.scope["wherry.still"] = lambda: service.keys.find(given.credentials) == caller
        service.limits.take(caller.key)
        _require(kind, caller)
        if "route" in request.path_params and not caller.may_see(request.path_params["route"]):
            raise not_found()
        # An open socket is no request under way: it may last an hour.
        socket = request.scope["type"] == "websocket"
        with service.limits.one(caller.key, service.settings.sockets) if socket else service.limits.one(caller.key):
            yield caller

    # What is declared, and exported, is called as it is written.
    ruled.__name__ = ruled.__qualname__ = kind.upper()
    ruled.__doc__ = _DOCS[kind]
    return ruled


def _require(kind: str, caller: Caller) -> None:
    if kind == "writes" and caller.read_only:
        raise Refusal(403, "Forbidden", "this key may only read", "ask the operator for another one")
    if kind == "operates" and not caller.operator:
        raise Refusal(403, "Forbidden", "this is for operators", "ask with an operator's key")


READS, WRITES, OPERATES = _rule("reads"), _rule("writes"), _rule("operates")
_RULES |= {OPEN: "open", READS: "reads", WRITES: "writes", OPERATES: "operates"}


def rules(app: FastAPI | APIRouter) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Yield every endpoint with its methods, its path, and the rules it declares."""
    for found in iter_route_contexts(app.routes):
        declared = frozenset(_declared(getattr(found, "dependant", None)))
        yield " ".join(sorted(getattr(found, "methods", None) or ())), str(found.path), declared


def paths_of(app: FastAPI) -> dict[Any, str]:
    """Return the whole path of each endpoint, as the documentation writes it."""
    found = ((getattr(one, "endpoint", None), one.path) for one in iter_route_contexts(app.routes))
    return {endpoint: str(path) for endpoint, path in found if endpoint is not None}


def require_rules(app: FastAPI) -> None:
    """Raise Usage, naming the endpoints that declare no rule, or more than one."""
    wrong = [
        f"{methods} {path}" for methods, path, found in rules(app) if len(found) != 1 and path not in _DOCUMENTATION
    ]
    if wrong:
        raise Usage(
            f"who may call these is not said: {', '.join(wrong)}",
            left="the service did not start",
            next="declare one of OPEN, READS, WRITES, OPERATES of wherry.service.access for each",
        )


def _declared(dependant: Any) -> Iterator[str]:
    if dependant is None:
        return
    if dependant.call in _RULES:
        yield _RULES[dependant.call]
    for one in dependant.dependencies:
        yield from _declared(one)
