"""Finding a person's own reports: near and new by vectors, else the latest, and it says which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import select

import wherry
from wherry_apps.body.ranking import DEPTH, TOP_K, Found, days_since
from wherry_apps.body.service.context import Context, Owner, person, require_text
from wherry_apps.body.service.vectors import Vectors
from wherry_apps.body.tables import AnalysisReport

MOST_K = 50
# What a model that embeds can meet; a failing database is no reason to answer from it.
EMBEDDER_FAILS = (wherry.StoreError, wherry.MissingExtra, wherry.Integrity, wherry.BadRecord)
_LATEST = "the latest reports are shown instead"


@dataclass(frozen=True)
class Search:
    """What was found. retrieval: `vector`, or `latest` where nothing could be compared. notes: why, if so."""

    reports: tuple[Found, ...]
    retrieval: Literal["vector", "latest"]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        found = [report.to_dict() for report in self.reports]
        return {"retrieval": self.retrieval, "notes": list(self.notes), "reports": found}


class Retrieval:
    """Searches among the reports of one person."""

    def __init__(self, context: Context, vectors: Vectors) -> None:
        self._context, self._vectors = context, vectors

    def find(self, owner: Owner, user_id: int, query: str, top_k: int = TOP_K, embedder: str | None = None) -> Search:
        """Return the reports of a person that fit a question. embedder: a spec; the first of the settings by default.

        Raises NotFound, and BadRecord for a question or a number that is none.
        """
        require_text(query, "query", 20_000)
        _require_k(top_k)
        with self._context.db.session() as session:
            person(session, owner, user_id)
        spec = embedder or self._context.settings.embedders[0]
        try:
            opened = self._context.models.embedder(spec, question=True)
            place, vector = self._vectors.place(opened), opened.embed_query(query)
        except EMBEDDER_FAILS as error:
            return self.latest(user_id, top_k, (f"the embedder failed ({_kind(error)}); {_LATEST}",))
        near = self._vectors.nearest(place, user_id, vector, DEPTH * top_k)
        if not near:
            return self.latest(user_id, top_k, (f"no report has a vector of this embedder; {_LATEST}",))
        return Search(tuple(self.ranked(user_id, near)[:top_k]), "vector")

    def latest(self, user_id: int, top_k: int, notes: tuple[str, ...] = ()) -> Search:
        """Return the latest reports of a person, newest first."""
        order = (AnalysisReport.report_date.desc(), AnalysisReport.id.desc())
        asked = select(AnalysisReport).where(AnalysisReport.user_id == user_id).order_by(*order).limit(top_k)
        with self._context.db.session() as session:
            found = tuple(_found(report, None) for report in session.scalars(asked))
        return Search(found, "latest", notes)

    def ranked(self, user_id: int, near: Mapping[int, float]) -> list[Found]:
        """Return the reports under some ids by score; none that is another person's, whatever the ids are."""
        asked = select(AnalysisReport).where(AnalysisReport.id.in_(near), AnalysisReport.user_id == user_id)
        with self._context.db.session() as session:
            found = [_found(report, near[report.id]) for report in session.scalars(asked)]
        return sorted(found, key=lambda one: (-(one.score or 0.0), -one.report_id))


def _found(report: AnalysisReport, similarity: float | None) -> Found:
    days = days_since(report.report_date, datetime.now(UTC))
    return Found(
        report.id,
        report.record_id,
        report.llm_output,
        report.report_date,
        report.model_version,
        days,
        similarity,
        None if similarity is None else wherry.aged(similarity, days),
        "latest" if similarity is None else "vector",
    )


def _require_k(top_k: int) -> None:
    if isinstance(top_k, bool) or not 1 <= top_k <= MOST_K:
        raise wherry.BadRecord(f"top_k is not 1 to {MOST_K}", fields=["top_k"], left="nothing")


def _kind(error: wherry.WherryError) -> str:
    # The message may name hosts; the kind of failure is enough for whoever asked.
    return type(error).__name__
