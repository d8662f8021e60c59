"""What happened, one JSON line per event on stderr: never a question, a text of a run, a key or a password."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

_LOG = logging.getLogger("wherry.evals")


class _Stderr(logging.Handler):
    """Writes to stderr as it is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr, flush=True)


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            **getattr(record, "told", {}),
        }
        return json.dumps(told, ensure_ascii=False, default=str)


def info(event: str, **told: Any) -> None:
    """Tell that something was done; shown by the service, not by commands."""
    _LOG.info(event, extra={"told": told})


def warning(event: str, **told: Any) -> None:
    """Tell that something is not as it should be, although work goes on."""
    _LOG.warning(event, extra={"told": told})


def error(event: str, **told: Any) -> None:
    """Tell that something failed."""
    _LOG.error(event, extra={"told": told})


def begin(level: int = logging.WARNING) -> None:
    """Write events of a level and above to stderr from now on."""
    if not _LOG.handlers:
        handler = _Stderr()
        handler.setFormatter(_Lines())
        _LOG.addHandler(handler)
        _LOG.propagate = False
    _LOG.setLevel(level)
