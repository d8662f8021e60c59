"""What was asked by a route and what was found, where somebody wants it: WHERRY_QUERY_LOG=FILE.

A line of JSON each, as `wherry compare --queries` reads it, also with the answers as a side of its own (`recorded`).
Nothing is put down unless the variable is set: questions are personal. The file is made for its owner's eyes alone.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from wherry.routing.sides import Asked

VARIABLE = "WHERRY_QUERY_LOG"


class QueryLog:
    """A file that questions are appended to; processes and threads may share it."""

    def __init__(self, path: str) -> None:
        self._path = path

    @classmethod
    def wanted(cls) -> QueryLog | None:
        """Return the log that the environment asks for, None where it asks for none."""
        path = os.environ.get(VARIABLE, "").strip()
        return cls(path) if path else None

    def add(self, asked: Asked) -> bool:
        """Put a question down with what was found; tell whether that could be done."""
        line = json.dumps(_entry(asked), ensure_ascii=False) + "\n"
        try:
            file = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
            try:
                # One call, so that lines of several writers do not run into each other.
                os.write(file, line.encode(errors="backslashreplace"))
            finally:
                os.close(file)
        except OSError:
            # A reader must not fail because nobody can take notes.
            return False
        return True


def _entry(asked: Asked) -> dict[str, Any]:
    text = isinstance(asked.query, str)
    question = {"query": asked.query} if text else {"vector": np.asarray(asked.query, dtype=np.float32).tolist()}
    hits = [{"id": hit.id, "similarity": hit.similarity} for hit in asked.hits or ()]
    return {**question, "route": asked.route.name, "hits": hits, "seconds": round(asked.seconds, 6)}
