"""Errors as HTTP answers: the error's own words for the one who asked, never a traceback.

A tenant is told what is wrong with its question. What is wrong with the service (a store that is down, a model
that is missing) names hosts, files and other tenants' things: of that it learns the kind alone, and operators
find the rest in the log by the number of the request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wherry import errors
from wherry.errors import RateLimited, WherryError

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response

# The nearest class of the error decides.
_STATUS: dict[type[WherryError], int] = {
    errors.Different: 409,
    errors.Usage: 422,
    errors.UnknownStore: 500,
    errors.UnknownModel: 500,
    errors.MissingExtra: 500,
    errors.BadAddress: 500,
    errors.NoModel: 409,
    errors.NoSuchRoute: 404,
    errors.NotFound: 404,
    errors.Refused: 409,
    errors.StoreError: 502,
    errors.Unreachable: 503,
    errors.TimedOut: 504,
    errors.RateLimited: 503,
    errors.SourceChanged: 503,
    errors.NoSuchCollection: 503,
    errors.DiskFull: 507,
    errors.BadRecord: 422,
    errors.Integrity: 500,
    errors.Busy: 503,
    errors.Interrupted: 503,
}
_NAMES = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 405: "MethodNotAllowed", 413: "TooLarge"}
_LATER = "ask again later; if it goes on, tell the operator the number of this request"
_RETRY_S = "5"


class Refusal(Exception):
    """A request that is turned away. status: of HTTP. wait_s: seconds until it may be asked again."""

    def __init__(self, status: int, error: str, what: str, next: str = "", wait_s: float | None = None) -> None:
        super().__init__(what)
        self.status, self.error, self.what, self.next, self.wait_s = status, error, what, next, wait_s

    def answer(self) -> Response:
        """Return it as an HTTP answer."""
        headers = {} if self.wait_s is None else {"Retry-After": str(max(1, int(self.wait_s + 0.999)))}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return _json(self.status, {"error": self.error, "what": self.what, "next": self.next}, headers)


def not_found() -> Refusal:
    """Return the answer for what is not there, or not there for this caller: nobody can tell which."""
    return Refusal(404, "NotFound", "there is nothing here for this key", "GET /api/v1/routes lists what there is")


def no_key() -> Refusal:
    """Return the answer for who sends no key that opens anything."""
    return Refusal(401, "Unauthorized", "no valid key was sent", "send the header Authorization: Bearer KEY")


def status_of(error: WherryError) -> int:
    """Return the HTTP status of an error."""
    return next(_STATUS[kind] for kind in (*type(error).__mro__, errors.StoreError) if kind in _STATUS)


def told(error: WherryError, operator: bool) -> dict[str, Any]:
    """Return what the caller is told of an error."""
    whole = error.to_dict()
    if operator:
        return whole
    hidden = status_of(error) >= 500
    kind = (type(error).__doc__ or "").strip().splitlines()[0]
    return {
        **whole,
        "what": kind if hidden else whole["what"],
        # The name of a parameter is the caller's own; an address is not.
        "where": whole["where"] if whole["where"].isidentifier() and not hidden else "",
        "left_behind": "" if hidden else whole["left_behind"],
        "next": _LATER if hidden else whole["next"],
    }


def answer_in_words(app: FastAPI) -> None:
    """Make an application answer every error as a JSON object."""
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    async def refused(request: Request, error: Refusal) -> Response:
        return error.answer()

    async def failed(request: Request, error: WherryError) -> Response:
        request.scope["wherry.error"] = error
        status = status_of(error)
        if status == 404:
            return not_found().answer()
        caller = request.scope.get("wherry.caller")
        headers = {"Retry-After": _retry_after(error)} if status == 503 else {}
        return _json(status, told(error, caller is not None and caller.operator), headers)

    async def misread(request: Request, error: RequestValidationError) -> Response:
        if "wherry.caller" not in request.scope and not await _known(request):
            # A body is read before a key is looked at; what is wrong with it is told to callers alone.
            return no_key().answer()
        # Without the input: a body is never repeated, not even to the one who sent it.
        wrong = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()]
        return Refusal(422, "Usage", "; ".join(wrong)[:2_000], "see /docs for what is expected").answer()

    async def plain(request: Request, error: HTTPException) -> Response:
        name = _NAMES.get(error.status_code, "Refused")
        return Refusal(error.status_code, name, str(error.detail), "see /docs for what there is").answer()

    app.add_exception_handler(Refusal, refused)  # type: ignore[arg-type]
    app.add_exception_handler(WherryError, failed)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, misread)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, plain)  # type: ignore[arg-type]


async def _known(request: Request) -> bool:
    from fastapi.concurrency import run_in_threadpool

    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    find = request.app.state.service.keys.find
    return scheme.lower() == "bearer" and await run_in_threadpool(find, key) is not None


def _retry_after(error: WherryError) -> str:
    wait_s = error.retry_after_s if isinstance(error, RateLimited) else None
    return _RETRY_S if wait_s is None else str(max(1, int(wait_s + 0.999)))


def _json(status: int, value: dict[str, Any], headers: dict[str, str]) -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse(value, status, headers)
