"""The errors of a server and of the official client, as Wherry's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
import httpx
from pydantic import ValidationError
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from wherry.address import redact
from wherry.errors import (
    AuthFailed,
    DiskFull,
    NoSuchCollection,
    RateLimited,
    Rejected,
    StoreError,
    TimedOut,
    Unreachable,
    WherryError,
)

_LONGEST = 200
_BY_STATUS: dict[int, type[StoreError]] = {
    401: AuthFailed,
    403: AuthFailed,
    404: NoSuchCollection,
    408: TimedOut,
    429: RateLimited,
    500: Rejected,
    502: Unreachable,
    503: Unreachable,
    504: TimedOut,
    507: DiskFull,
}
_BY_CODE: dict[grpc.StatusCode, type[StoreError]] = {
    grpc.StatusCode.UNAUTHENTICATED: AuthFailed,
    grpc.StatusCode.PERMISSION_DENIED: AuthFailed,
    grpc.StatusCode.NOT_FOUND: NoSuchCollection,
    grpc.StatusCode.DEADLINE_EXCEEDED: TimedOut,
    grpc.StatusCode.UNAVAILABLE: Unreachable,
    grpc.StatusCode.RESOURCE_EXHAUSTED: RateLimited,
}
_NEXT: dict[type[StoreError], str] = {
    AuthFailed: "check the key: ?api_key= or QDRANT_API_KEY",
    NoSuchCollection: "check the name",
    Unreachable: "check host, port and scheme, and that the server runs",
    DiskFull: "make room on the server, then run again",
}


@dataclass(frozen=True)
class Failures:
    """Translates errors. where: for people. secrets: never to be shown."""

    where: str
    secrets: tuple[str, ...]

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn what the client raises into an error of Wherry."""
        try:
            yield
        except WherryError:
            raise
        except (ResourceExhaustedResponse, UnexpectedResponse, ResponseHandlingException, QdrantException) as error:
            raise self._of_client(error) from None
        except grpc.RpcError as error:
            raise self._of_grpc(error) from None
        except AssertionError:
            # How the client tells of an answer without a result.
            raise self._error(Rejected, "the answer is not one of Qdrant's") from None
        except (ValidationError, ValueError, TypeError) as error:
            # What the client itself refuses before anything is sent.
            raise self._error(Rejected, f"the client refused: {type(error).__name__}") from None

    def _of_client(self, error: Exception) -> WherryError:
        if isinstance(error, ResourceExhaustedResponse):
            return self._limited(str(error), float(error.retry_after_s))
        if isinstance(error, UnexpectedResponse):
            return self._of_response(error)
        if isinstance(error, ResponseHandlingException):
            return self._of_transport(error.source)
        return self._limited(str(error), None)

    def _of_response(self, error: UnexpectedResponse) -> WherryError:
        status, said = error.status_code or 0, _said(error.content)
        if status == 404 and not said:
            return self._error(Rejected, "what answers there does not speak as Qdrant does")
        if "No space left" in said:
            return self._error(DiskFull, said)
        kind = _BY_STATUS.get(status, Rejected)
        if kind is RateLimited:
            return self._limited(said, None)
        return self._error(kind, f"the server answered {status}: {said or 'no explanation'}")

    def _of_transport(self, source: Exception) -> WherryError:
        if isinstance(source, httpx.TimeoutException):
            return self._error(TimedOut, "the server did not answer in time")
        if isinstance(source, httpx.TransportError):
            return self._error(Unreachable, f"the server does not answer ({type(source).__name__})")
        return self._error(Rejected, f"the answer is not one of Qdrant's ({type(source).__name__})")

    def _of_grpc(self, error: grpc.RpcError) -> WherryError:
        code = error.code() if isinstance(error, grpc.Call) else None
        said = (error.details() or "") if isinstance(error, grpc.Call) else ""
        if code is None:
            return self._error(Unreachable, type(error).__name__)
        kind = _BY_CODE.get(code, Rejected)
        return self._limited(said, None) if kind is RateLimited else self._error(kind, f"{code.name}: {said}")

    def _limited(self, said: str, wait_s: float | None) -> RateLimited:
        return RateLimited(self._shown(f"the server asked to wait: {said}"), retry_after_s=wait_s, where=self.where)

    def _error(self, kind: type[StoreError], what: str) -> StoreError:
        return kind(self._shown(what), where=self.where, next=_NEXT.get(kind, ""))

    def _shown(self, text: str) -> str:
        return redact(text.strip().partition("\n")[0][:_LONGEST], *self.secrets)


def _said(content: bytes) -> str:
    """Return the server's own words out of its JSON answer, "" where there are none."""
    try:
        status = json.loads(content)["status"]
        return str(status["error"]) if isinstance(status, dict) else str(status)
    except (ValueError, KeyError, TypeError):
        return ""
