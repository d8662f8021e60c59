"""Vectors that are missing, filled batch by batch: what is stored stays stored, so a killed run goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import select

import wherry
from wherry_apps.body.service.context import Context
from wherry_apps.body.service.vectors import Place, Vectors, missing_from
from wherry_apps.body.tables import AnalysisReport

BATCH = 64
Row = tuple[int, int, str]
Progress = Callable[[int], None]


@dataclass
class Embedded:
    """What a run stored. stored: spec -> how many vectors. failures: reports that could not be embedded, and why."""

    stored: dict[str, int] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0, or 5 where reports failed."""
        return wherry.BadRecord.exit_code if self.failures else 0

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {"stored": self.stored, "failures": self.failures}


class Embedding:
    """Fills the vectors of a database."""

    def __init__(self, context: Context, vectors: Vectors) -> None:
        self._context, self._vectors = context, vectors

    def fill(
        self,
        embedders: Sequence[str] | None = None,
        batch: int = BATCH,
        progress: Progress | None = None,
        again: bool = False,
    ) -> Embedded:
        """Store every vector that is missing, or that is of an earlier text. progress: told how many are stored.

        again: replace those that another model made, too.

        Raises what a model raises that cannot be asked at all; what was stored until then stays.
        """
        done = Embedded()
        for spec in embedders or self._context.settings.embedders:
            embedder = self._context.models.embedder(spec)
            place = self._vectors.place(embedder)
            self._fill(spec, embedder, place, missing_from(place, again), batch, done, progress or (lambda _: None))
        return done

    def _fill(
        self,
        spec: str,
        embedder: wherry.Embedder,
        place: Place,
        missing: Any,
        batch: int,
        done: Embedded,
        progress: Progress,
    ) -> None:
        after = 0
        done.stored[spec] = 0
        while rows := self._missing(missing, after, batch):
            after = rows[-1][0]
            # A model is never waited for within a transaction.
            kept, vectors = _embedded(embedder, rows, spec, done)
            if kept:
                with self._context.db.session() as session:
                    self._vectors.store(session, place, kept, vectors)
            done.stored[spec] += len(kept)
            progress(sum(done.stored.values()))

    def _missing(self, missing: Any, after: int, batch: int) -> list[Row]:
        asked = select(AnalysisReport.id, AnalysisReport.user_id, AnalysisReport.llm_output)
        asked = asked.where(AnalysisReport.id > after, missing).order_by(AnalysisReport.id).limit(batch)
        with self._context.db.session() as session:
            return [(row[0], row[1], row[2]) for row in session.execute(asked)]


def _embedded(embedder: wherry.Embedder, rows: list[Row], spec: str, done: Embedded) -> tuple[list[Row], np.ndarray]:
    """Return what could be embedded with its vectors; one bad text does not take the others with it."""
    try:
        return rows, embedder.embed([text for _, _, text in rows])
    except wherry.BadRecord as error:
        if len(rows) == 1:
            done.failures.append({"report_id": rows[0][0], "embedder": spec, "why": error.what})
            return [], np.empty((0, 0), np.float32)
    middle = len(rows) // 2
    halves = [_embedded(embedder, part, spec, done) for part in (rows[:middle], rows[middle:])]
    kept = [row for part, _ in halves for row in part]
    found = [vectors for part, vectors in halves if part]
    return kept, np.concatenate(found) if found else np.empty((0, 0), np.float32)
