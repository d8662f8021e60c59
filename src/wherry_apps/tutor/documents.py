"""Study documents: read, cut into passages of 1000 characters that overlap by 200, and kept with their points."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from wherry import AppDatabase, BadRecord, Document, NotFound, open_chunker, read_document, text_of
from wherry_apps.tutor.importing import require_plain
from wherry_apps.tutor.points import Point, passage_of
from wherry_apps.tutor.tables import StudyChunk, StudyDocument

CHUNKER = "fixed?size=1000&overlap=200"


class Documents:
    """The study documents in the database."""

    def __init__(self, db: AppDatabase) -> None:
        self._db = db

    def store(
        self,
        title: str,
        document: Document,
        *,
        path: str | None = None,
        department: str | None = None,
        subject: str | None = None,
    ) -> tuple[dict[str, Any], list[Point], list[str]]:
        """Store a document, replacing the one of its title; return it, its new points and the ids of the old ones.

        Raises BadRecord for a document without text or title.
        """
        text = text_of(document)
        if not title.strip() or not text.strip():
            raise BadRecord(f"{title or path!r} has no text that can be kept", left="nothing was stored")
        require_plain([title, text, department, subject], "the document")
        chunks = open_chunker(CHUNKER).cut(document)
        with self._db.session() as session:
            known = session.scalars(select(StudyDocument).where(StudyDocument.title == title)).one_or_none()
            former = _ids(session, known.id) if known is not None else []
            if known is not None:
                session.delete(known)
                session.flush()
            made = StudyDocument(
                title=title, path=path, sha256=sha256(text.encode()).hexdigest(), department=department, subject=subject
            )
            session.add(made)
            session.flush()
            rows = [
                StudyChunk(
                    id=uuid4(), document_id=made.id, chunk_index=one.ordinal, text=one.text, start_char=one.start,
                    end_char=one.end,
                )
                for one in chunks
            ]  # fmt: skip
            session.add_all(rows)
            session.refresh(made)
            return _shown(made, len(rows)), [passage_of(made, row) for row in rows], former

    def point_ids(self, number: int) -> list[str]:
        """Return the ids of the points of a document. Raises NotFound."""
        with self._db.session() as session:
            _known(session, number)
            return _ids(session, number)

    def remove(self, number: int) -> None:
        """Delete a document with its passages. Raises NotFound."""
        with self._db.session() as session:
            session.delete(_known(session, number))

    def list(self) -> list[dict[str, Any]]:
        """Return the documents by title, each with its number of passages."""
        query = (
            select(StudyDocument, func.count(StudyChunk.id))
            .outerjoin(StudyChunk)
            .group_by(StudyDocument.id)
            .order_by(StudyDocument.title)
        )
        with self._db.session() as session:
            return [_shown(document, count) for document, count in session.execute(query)]

    def points(self) -> list[Point]:
        """Return the points of every passage."""
        query = select(StudyDocument, StudyChunk).join(StudyChunk).order_by(StudyChunk.document_id, StudyChunk.id)
        with self._db.session() as session:
            return [passage_of(document, chunk) for document, chunk in session.execute(query)]


def read(path: Path) -> Document:
    """Read a file of any kind Wherry parses. Raises BadRecord."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadRecord(f"{path} cannot be read: {error.strerror}", left="nothing was stored") from None
    return read_document(path.name, data)


def _known(session: Session, number: int) -> StudyDocument:
    found = session.get(StudyDocument, number)
    if found is None:
        raise NotFound(f"there is no document {number}")
    return found


def _ids(session: Session, document: int) -> list[str]:
    return [str(i) for i in session.scalars(select(StudyChunk.id).where(StudyChunk.document_id == document))]


def _shown(document: StudyDocument, passages: int) -> dict[str, Any]:
    return {
        "id": document.id, "title": document.title, "path": document.path, "department": document.department,
        "subject": document.subject, "sha256": document.sha256, "passages": passages,
    }  # fmt: skip
