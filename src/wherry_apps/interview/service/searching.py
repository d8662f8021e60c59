"""Chunks of job posts by meaning, by cosine, L2 or inner product; only rows of the embedder that is asked with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import Session

import wherry
from wherry_apps.interview.forms import MOST_ID
from wherry_apps.interview.service import embedding
from wherry_apps.interview.service.opened import Interview
from wherry_apps.interview.service.rows import whose
from wherry_apps.interview.tables import Job, JobChunk

METRICS = ("cosine", "l2", "ip")
MOST = 100
# Where pgvector is older than 0.8, the index is asked once and what it misses is found by comparing every row.
_ITERATIVE = (
    "SELECT set_config('hnsw.iterative_scan', 'strict_order', true) FROM pg_extension"
    " WHERE extname = 'vector' AND string_to_array(extversion, '.')::int[] >= ARRAY[0, 8]"
)
_NAMES = {"l2": "l2_distance", "ip": "negative_inner_product"}


@dataclass(frozen=True)
class Found:
    """A chunk that was found. similarity: 1 less the cosine distance, -1 to 1, for the metric cosine alone."""

    chunk_id: int
    job_id: int
    title: str
    chunk_index: int
    chunk_text: str
    distance: float
    metric: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON object; a distance is named by its operator."""
        found = {name: getattr(self, name) for name in ("chunk_id", "job_id", "title", "chunk_index", "chunk_text")}
        if self.metric == "cosine":
            return {**found, "similarity": max(-1.0, min(1.0, 1 - self.distance))}
        return {**found, _NAMES[self.metric]: self.distance}


def search(
    on: Interview,
    owner: str | None,
    query: str,
    top_k: int = 5,
    job_id: int | None = None,
    metric: str = "cosine",
) -> list[Found]:
    """Return the nearest chunks, nearest first, equal ones by id.

    job_id: only chunks of this job; 0 is a job like any other. Raises BadRecord for a query or settings that cannot
    be, and SpaceMismatch where every vector in question is of another embedder.
    """
    checks = {
        "top_k": 1 <= top_k <= MOST,
        "metric": metric in METRICS,
        "job_id": job_id is None or abs(job_id) <= MOST_ID,
    }
    wrong = [name for name, fits in checks.items() if not fits]
    if wrong:
        raise wherry.BadRecord(f"top_k is 1 to {MOST}, metric one of {', '.join(METRICS)}", fields=wrong)
    vector = embedding.query_vector(on, query)
    made_by = embedding.card(on)
    with on.session() as session:
        inside = [JobChunk.embedding.is_not(None), whose(JobChunk, owner)]
        if job_id is not None:
            inside.append(JobChunk.job_id == job_id)
        found = nearest(session, vector, [*inside, JobChunk.embedder == made_by], top_k, metric, job_id is not None)
        if not found:
            _require_same(session, inside, made_by)
        return found


def told(on: Interview, owner: str | None, query: str, top_k: int, job_id: int | None, metric: str) -> dict[str, Any]:
    """Return what was found as a JSON object, with the embedder that compared. Raises as `search`."""
    found = search(on, owner, query, top_k, job_id, metric)
    shown = [one.to_dict() for one in found]
    return {"query": query, "metric": metric, "embedder": embedding.card(on), "hits": shown}


def nearest(
    session: Session, vector: np.ndarray, inside: list[Any], top_k: int, metric: str, narrow: bool
) -> list[Found]:
    """Return the nearest chunks inside some conditions. narrow: few rows are inside; they are compared one by one."""
    distance = {
        "cosine": JobChunk.embedding.cosine_distance,
        "l2": JobChunk.embedding.l2_distance,
        "ip": JobChunk.embedding.max_inner_product,
    }[metric](vector)
    found: list[Found] = []
    if not narrow and metric == "cosine":
        session.execute(sa.text(_ITERATIVE))
        session.execute(sa.text(f"SET LOCAL hnsw.ef_search = {max(100, 2 * top_k)}"))
        found = _ordered(session, distance, inside, top_k, metric)
    if len(found) < top_k:
        # The index gives up after a while where few rows are inside; adding zero keeps it out.
        found = _ordered(session, distance + 0.0, inside, top_k, metric)
    return found


def _ordered(session: Session, distance: Any, inside: list[Any], top_k: int, metric: str) -> list[Found]:
    statement = (
        sa.select(
            JobChunk.id,
            JobChunk.job_id,
            Job.title,
            JobChunk.chunk_index,
            JobChunk.chunk_text,
            distance.label("distance"),
        )
        .join(Job, Job.id == JobChunk.job_id)
        .where(*inside)
        .order_by(distance, JobChunk.id)
        .limit(top_k)
    )
    return [Found(*row, metric) for row in session.execute(statement)]


def _require_same(session: Session, inside: list[Any], made_by: dict[str, Any]) -> None:
    """Raise SpaceMismatch, naming both embedders, where there are vectors, and all of them are of another one."""
    other = session.scalar(sa.select(JobChunk.embedder).where(*inside).limit(1))
    there = session.scalar(sa.select(JobChunk.id).where(*inside).limit(1))
    if there is None:
        return
    raise wherry.SpaceMismatch(
        f"the vectors were made by {embedding.named(other)}, the question by {embedding.named(made_by)}",
        where="job_chunks.embedding",
        left="nothing was compared",
        next="ask with the same embedder, or make all vectors anew: wherry interview reembed --all",
    )
