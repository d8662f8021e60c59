"""A job post comes in: read, analysed, cut, embedded, stored; and what was not embedded, again.

The job, its chunks and the vectors that came are stored in one transaction, which no model is waited for in: a network
that fails leaves a whole job, some of which cannot be found by meaning yet; a process that is killed leaves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

import wherry
from wherry_apps.interview.forms import JobForm, storable
from wherry_apps.interview.rules.posts import Analysis
from wherry_apps.interview.rules.text import Piece, chunks, clean
from wherry_apps.interview.rules.weights import criteria, skills, weights
from wherry_apps.interview.service import embedding
from wherry_apps.interview.service.analysis import analysed
from wherry_apps.interview.service.intake import Post, read
from wherry_apps.interview.service.opened import Interview
from wherry_apps.interview.service.rows import fetched, whose
from wherry_apps.interview.tables import Company, IndexStatus, Job, JobChunk

_LONGEST = 500
NEXT = "wherry interview reembed"


@dataclass(frozen=True)
class Uploaded:
    """What became of a post. existing: the same file was there already. note: why rules analysed it, or None."""

    job_id: int
    title: str
    chunks: int
    embedded: int
    failed: int
    index_status: str
    existing: bool = False
    analysis_source: str | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)
    note: dict[str, Any] | None = None

    @property
    def exit_code(self) -> int:
        """0, or 5 where a chunk has no vector."""
        return 5 if self.failed else 0

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return dict(self.__dict__)


def upload(
    on: Interview, owner: str | None, company_id: int, title: str, data: bytes, name: str = "", force: bool = False
) -> Uploaded:
    """Take in a job post. force: even where the same file is there already.

    Raises BadFile and BadRecord before anything is written, NotFound for a company that is not the owner's, and
    SpaceMismatch for an embedder of another dimension.
    """
    return _taken(on, owner, company_id, title, read(data, name), {}, force)


def typed(on: Interview, owner: str | None, form: JobForm) -> Uploaded:
    """Take in a job post that was typed; what its form leaves open is found in its description. Raises as `upload`."""
    given = form.model_dump(exclude={"company_id", "title", "description"}, exclude_none=True)
    post = Post(clean(form.description), None, "")
    return _taken(on, owner, form.company_id, form.title, post, given, force=True)


def _taken(
    on: Interview, owner: str | None, company_id: int, title: str, post: Post, given: dict[str, Any], force: bool
) -> Uploaded:
    title, made_by = _titled(title), embedding.card(on)
    with on.session() as session:
        there = _there(session, fetched(session, Company, company_id, owner), title, post, force)
        if there is not None:
            return there
    pieces = chunks(post.text)
    analysis, note = analysed(on, title, post.text, pieces)
    vectors = embedding.vectors(on, [one.text for one in pieces])
    with on.session() as session:
        # Whoever brings the same file at the same time waits here; others do not.
        same = sa.func.hashtextextended(f"{company_id}/{title}/{post.sha256}", 0)
        session.execute(sa.select(sa.func.pg_advisory_xact_lock(same)))
        company = fetched(session, Company, company_id, owner)
        there = _there(session, company, title, post, force)
        if there is not None:
            return there
        job = _stored(session, company, title, post, analysis, given)
        job.index_status = _cut(session, job.id, pieces, vectors, made_by).value
        session.flush()
        return _told(session, job, note=note)


def embedded(on: Interview, description: str) -> tuple[list[Piece], list[Any], dict[str, Any]]:
    """Return the chunks of a description, their vectors or errors, and what made them; before they are stored."""
    made_by, pieces = embedding.card(on), chunks(description)
    return pieces, embedding.vectors(on, [one.text for one in pieces]), made_by


def recut(session: Session, job: Job, pieces: list[Piece], vectors: list[Any], made_by: dict[str, Any]) -> None:
    """Replace the chunks of a job whose description was changed."""
    session.execute(sa.delete(JobChunk).where(JobChunk.job_id == job.id))
    job.index_status = _cut(session, job.id, pieces, vectors, made_by).value


def reembed(on: Interview, owner: str | None, job_id: int | None = None, everything: bool = False) -> dict[str, Any]:
    """Embed the chunks that have no vector; everything: also those of another embedder. Returns counts.

    A job from before this program has chunks without places or gaps in their numbers; they are embedded as they are.
    """
    made_by = embedding.card(on)
    with on.session() as session:
        if job_id is not None:
            fetched(session, Job, job_id, owner)
        wanted = _wanting(made_by, everything)
        statement = sa.select(JobChunk.job_id).where(wanted, whose(JobChunk, owner)).distinct()
        if job_id is not None:
            statement = statement.where(JobChunk.job_id == job_id)
        jobs = list(session.scalars(statement.order_by(JobChunk.job_id)))
    counts = {"jobs": len(jobs), "embedded": 0, "failed": 0}
    for one in jobs:
        embedded, failed = fill(on, made_by, [one], everything)
        counts["embedded"] += embedded
        counts["failed"] += failed
    return {**counts, "complete": counts["failed"] == 0}


def fill(on: Interview, made_by: dict[str, Any], job_ids: Sequence[int], everything: bool = False) -> tuple[int, int]:
    """Embed the chunks of jobs that want it and store the vectors. Returns (embedded, failed)."""
    with on.session() as session:
        wanted = _wanting(made_by, everything)
        statement = sa.select(JobChunk.id, JobChunk.chunk_text).where(JobChunk.job_id.in_(job_ids), wanted)
        rows = list(session.execute(statement.order_by(JobChunk.job_id, JobChunk.chunk_index)))
    # No transaction is open while a model is asked.
    found = embedding.vectors(on, [text for _, text in rows])
    with on.session() as session:
        for (id, _), vector in zip(rows, found, strict=True):
            told = _kept(vector, made_by)
            # A vector of another embedder stays until there is a new one.
            kept = {"embed_error": told["embed_error"]} if told["embedding"] is None else told
            values = {**kept, "embed_attempts": JobChunk.embed_attempts + 1}
            session.execute(sa.update(JobChunk).where(JobChunk.id == id).values(values))
        for job_id in job_ids:
            _settle(session, job_id)
    failed = sum(isinstance(vector, wherry.WherryError) for vector in found)
    return len(found) - failed, failed


def settled(given: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a job that somebody typed, brought into their form: weights, criteria, skills."""
    found = dict(given)
    if "competency_weights" in given:
        weighed = weights(given["competency_weights"])
        found |= {"competency_weights": weighed.values, "weights_source": weighed.source}
    if "dynamic_evaluation_criteria" in given:
        found["dynamic_evaluation_criteria"] = criteria(given["dynamic_evaluation_criteria"])
    must, nice = skills(given.get("required_skills"), given.get("preferred_skills"))
    for name, value in (("required_skills", must), ("preferred_skills", nice)):
        if name in given:
            found[name] = value
    return found


def _wanting(made_by: dict[str, Any], everything: bool) -> sa.ColumnElement[bool]:
    empty = JobChunk.embedding.is_(None)
    return sa.or_(empty, JobChunk.embedder.is_(None), JobChunk.embedder != made_by) if everything else empty


def _kept(vector: Any, made_by: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a chunk that tell what became of its vector."""
    if isinstance(vector, wherry.WherryError):
        return {
            "embedding": None,
            "embedder": None,
            "embed_error": f"{type(vector).__name__}: {vector.what}"[:_LONGEST],
        }
    return {"embedding": vector, "embedder": made_by, "embed_error": None}


def _settle(session: Session, job_id: int) -> None:
    """Write down how much of a job can be found."""
    status = _status(*_counts(session, job_id))
    session.execute(sa.update(Job).where(Job.id == job_id).values(index_status=status.value))


def _status(total: int, there: int) -> IndexStatus:
    if not total:
        return IndexStatus.NONE
    if not there:
        return IndexStatus.FAILED
    return IndexStatus.COMPLETE if there == total else IndexStatus.PARTIAL


def _counts(session: Session, job_id: int) -> tuple[int, int]:
    statement = sa.select(sa.func.count(), sa.func.count(JobChunk.embedding)).where(JobChunk.job_id == job_id)
    total, there = session.execute(statement).one()
    return total, there


def _told(session: Session, job: Job, existing: bool = False, note: dict[str, Any] | None = None) -> Uploaded:
    total, there = _counts(session, job.id)
    statement = sa.select(JobChunk.id, JobChunk.chunk_index, JobChunk.embed_error)
    bad = session.execute(statement.where(JobChunk.job_id == job.id, JobChunk.embedding.is_(None)).limit(20))
    errors = [{"chunk_id": id, "chunk_index": index, "error": error} for id, index, error in bad]
    return Uploaded(
        job.id,
        job.title,
        total,
        there,
        total - there,
        job.index_status,
        existing,
        job.analysis_source,
        errors,
        note,
    )


def _titled(title: str) -> str:
    if not title.strip() or len(title) > 500 or not storable(title):
        raise wherry.BadRecord("a title has 1 to 500 characters", fields=["title"], left="nothing was stored")
    return title.strip()


def _there(session: Session, company: Company, title: str, post: Post, force: bool) -> Uploaded | None:
    """Return the job of the same file, company and title; None where there is none, or it shall not matter."""
    same = (Job.company_id == company.id, Job.title == title, Job.source_sha256 == post.sha256)
    found = None if force else session.scalar(sa.select(Job).where(*same).order_by(Job.id).limit(1))
    return None if found is None else _told(session, found, existing=True)


def _stored(
    session: Session, company: Company, title: str, post: Post, analysis: Analysis, given: dict[str, Any]
) -> Job:
    values = {**analysis.to_dict(), **settled(given)}
    values["analysis_source"] = values.pop("source")
    job = Job(
        owner=company.owner,
        company_id=company.id,
        title=title,
        description=post.text,
        source_file=post.name or None,
        source_sha256=post.sha256,
        **values,
    )
    session.add(job)
    session.flush()
    return job


def _cut(
    session: Session, job_id: int, pieces: Sequence[Piece], vectors: Sequence[Any], made_by: dict[str, Any]
) -> IndexStatus:
    """Store the chunks of a job, those without a vector too; return how much of it can be found."""
    rows = [
        {
            "job_id": job_id,
            "chunk_text": one.text,
            "chunk_index": one.index,
            "start_char": one.start,
            "end_char": one.end,
            "embed_attempts": 1,
            **_kept(vector, made_by),
        }
        for one, vector in zip(pieces, vectors, strict=True)
    ]
    if rows:
        session.execute(sa.insert(JobChunk), rows)
    return _status(len(rows), sum(row["embedding"] is not None for row in rows))
