"""The record of runs: which act, when, with what outcome."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict

from wherry.errors import WherryError
from wherry.indexing.results import Statistics
from wherry.postgres.database import Database

_BEGIN = "INSERT INTO wherry.runs (id, \"index\", generation, act, state) VALUES ($1, $2, $3, $4, 'running')"
_END = "UPDATE wherry.runs SET state = $2, ended_at = now(), statistics = $3, error = $4 WHERE id = $1"


@contextmanager
def recorded(
    database: Database, run: str, index: int, generation: int, act: str, statistics: Statistics
) -> Iterator[None]:
    """Record a run and how the block ended, with its statistics; what ended it is raised on."""
    database.tell(_BEGIN, [run, index, generation, act])
    try:
        yield
    except BaseException as error:
        what = error.what if isinstance(error, WherryError) else type(error).__name__
        # What went wrong is told; a run without an end is shown as what it is.
        with suppress(WherryError):
            database.tell(_END, [run, "failed", _json(statistics), what])
        raise
    database.tell(_END, [run, "done", _json(statistics), None])


def _json(statistics: Statistics) -> str:
    return json.dumps(asdict(statistics))
