"""What happened, as one JSON line per event: never a body, a question, a key or a password."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from wherry.address import redact


def logger(to: TextIO | None = None) -> Any:
    """Return what writes events to a stream, stderr by default."""
    import structlog

    return structlog.wrap_logger(
        structlog.PrintLogger(to or sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _redacted,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        cache_logger_on_first_use=False,
    )


def _redacted(log: Any, method: str, event: Any) -> Any:
    return {name: redact(value) if isinstance(value, str) else value for name, value in event.items()}
