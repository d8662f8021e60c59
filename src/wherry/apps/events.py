"""Answers that arrive in pieces: server-sent events, one JSON object each.

The format is that of the HTML standard, section "Server-sent events": `data: ...` and an empty line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from starlette.responses import StreamingResponse

from wherry.errors import WherryError

_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def events(pieces: Iterable[dict[str, Any]]) -> StreamingResponse:
    """Return an answer that sends each object as it comes.

    An error on the way ends it with {"done": true, "error": {"code", "message"}}: what was sent cannot be taken
    back, so the reader is told that the rest is missing.
    """
    return StreamingResponse(_lines(pieces), media_type="text/event-stream", headers=_HEADERS)


def _lines(pieces: Iterable[dict[str, Any]]) -> Iterator[str]:
    try:
        for piece in pieces:
            yield _line(piece)
    except WherryError as error:
        # The kind alone: what a store says may name hosts and other tenants' things.
        message = (type(error).__doc__ or "").strip().splitlines()[0]
        yield _line({"done": True, "error": {"code": type(error).__name__, "message": message}})
    except Exception:
        yield _line({"done": True, "error": {"code": "Unexpected", "message": "this is a bug"}})
        # The log of the service has it by its number.
        raise


def _line(piece: dict[str, Any]) -> str:
    return f"data: {json.dumps(piece, ensure_ascii=False, default=str)}\n\n"
