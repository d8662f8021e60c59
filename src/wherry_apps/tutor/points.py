"""Points: what is searched. A question's point has its number as id, a passage's a UUID, in any store alike.

The right answer of a question is no part of its point, or a search would tell it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa

import wherry
from wherry import Address, Embedder, Metric, Record, Space, WherryError
from wherry_apps.tutor.tables import Question, StudyChunk, StudyDocument

QUESTION, DOCUMENT = "question", "document"
# What earlier versions called a question's point.
FORMER = "approved_question"
PAYLOAD_INDEX = "type,department,subject,difficulty:integer,question_type,year:integer"


@dataclass(frozen=True)
class Point:
    """What one point will hold. id: the number of a question, or the UUID of a passage."""

    id: str
    text: str
    payload: dict[str, Any]

    @property
    def text_sha256(self) -> str:
        """The SHA-256 of its text."""
        return sha256(self.text.encode()).hexdigest()


def indexed_text(content: str, description: Sequence[str] | None, options: Mapping[str, str] | None) -> str:
    """Return what of a question is embedded: content, description and numbered options; never the answer."""
    lines = [content, *(description or ()), *(f"{key}. {text}" for key, text in (options or {}).items())]
    return "\n".join(line.strip() for line in lines if line.strip())


def point_of(question: Question) -> Point:
    """Return the point of a question."""
    payload = {
        "question_id": question.id, "type": QUESTION, "subject": question.subject, "area": question.area,
        "difficulty": question.difficulty, "department": question.department,
        "question_type": question.question_type, "year": question.year,
        "approved_at": question.approved_at.isoformat() if question.approved_at else None,
        "source": question.source_info.get("file"), "created_at": question.created_at.isoformat(),
    }  # fmt: skip
    text = indexed_text(question.content, question.description, question.options)
    return Point(str(question.id), text, _known(payload))


def passage_of(document: StudyDocument, chunk: StudyChunk) -> Point:
    """Return the point of a passage of a study document."""
    payload = {
        "type": DOCUMENT, "subject": document.subject, "department": document.department, "source": document.title,
        "document_id": document.id, "chunk_index": chunk.chunk_index, "created_at": document.created_at.isoformat(),
    }  # fmt: skip
    return Point(str(chunk.id), chunk.text, _known(payload))


def condition(kind: str, **wanted: Any) -> dict[str, Any]:
    """Return a condition on payloads. kind: `question` or `document`. wanted: payload key -> value; None is no wish."""
    types: Any = {"$in": [QUESTION, FORMER]} if kind == QUESTION else DOCUMENT
    return {"type": types, **{key: value for key, value in wanted.items() if value is not None}}


def _known(payload: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in payload.items() if value is not None}


class Points:
    """The points of one collection in one store, all made by one embedder.

    address: where. embedder: what makes the vectors. batch: texts embedded at a time.
    """

    def __init__(self, address: Address, embedder: Embedder, batch: int = 32) -> None:
        self.address, self.embedder, self.batch = address, embedder, batch

    @property
    def space(self) -> Space:
        """The card of the vectors."""
        return self.embedder.space().filled_from(Space(metric=Metric.COSINE))

    def check(self) -> int:
        """Return how many points there are; 0 for a collection that is not made yet.

        Raises SpaceMismatch where another embedder made it, Unreachable and the like where the store is not there.
        """
        with _target(self.address) as store:
            found = store.describe()
            if found.exists:
                found.space.require_same(self.space, str(self.address), self.embedder.spec)
            return int(found.count)

    def put(self, points: Sequence[Point]) -> dict[str, WherryError]:
        """Embed points and store them, each replacing the one of its id; return those that could not be embedded.

        Each text is embedded with its own id beside it: one that fails is left out, and no vector moves up.
        """
        failed: dict[str, WherryError] = {}
        records: list[Record] = []
        for start in range(0, len(points), self.batch):
            part = points[start : start + self.batch]
            for point, vector in zip(part, self._vectors([p.text for p in part]), strict=True):
                if isinstance(vector, WherryError):
                    failed[point.id] = vector
                else:
                    records.append(Record(point.id, vector, point.text, point.payload))
        if records:
            wherry.put(records, self.address, self.space)
        return failed

    def remove(self, ids: Sequence[str]) -> None:
        """Remove points; ids that are not there are ignored."""
        with _target(self.address) as store:
            found = store.describe()
            if ids and found.exists:
                store.delete(pa.array(list(ids), type=pa.string()))
                store.finish(found.space, found.index)

    def ids(self) -> set[str]:
        """Return the id of every point."""
        with _target(self.address) as store:
            return set(_ids(store)) if store.describe().exists else set()

    def held(self) -> dict[str, tuple[str | None, dict[str, Any]]]:
        """Return text and payload of every point by id; nothing for a collection that is not made yet."""
        with _target(self.address) as store:
            if not store.describe().exists:
                return {}
            pages = (wherry.to_records(page.records) for page in store.scan())
            return {one.id: (one.text, one.metadata or {}) for page in pages for one in page}

    def search(self, query: str | np.ndarray, k: int, where: Mapping[str, Any]) -> wherry.Hits:
        """Return the nearest points that satisfy a condition, nearest first; none where nothing was indexed yet."""
        with _target(self.address) as store:
            found = store.describe()
            if not found.exists or not found.count:
                return wherry.Hits((), str(self.address), "vector", k)
            return wherry.search(query, store, k, "vector", where, embedder=self.embedder)

    def vectors(self, ids: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the stored vectors of some points, float32 by id."""
        with _target(self.address) as store:
            if not ids or not store.describe().exists:
                return {}
            page = store.fetch(pa.array(list(ids), type=pa.string()))
            return {record.id: np.asarray(record.vector) for record in wherry.to_records(page.records)}

    def nearest(self, asked: Sequence[tuple[str, np.ndarray]], k: int, where: Mapping[str, Any]) -> list[wherry.Hits]:
        """Search for several stored vectors in one opening of the store."""
        with _target(self.address) as store:
            return [wherry.search(vector, store, k, "vector", where) for _, vector in asked]

    def _vectors(self, texts: Sequence[str]) -> list[np.ndarray | WherryError]:
        each = getattr(self.embedder, "embed_each", None)
        found = each(texts) if each is not None else list(self.embedder.embed(texts))
        stopped = [one for one in found if isinstance(one, WherryError) and not isinstance(one, wherry.BadRecord)]
        if stopped:
            # No text was at fault: the model is not there, and nothing may be noted as if it were.
            raise stopped[0]
        return list(found)


class _target:
    """An open store, closed at the end."""

    def __init__(self, address: Address) -> None:
        self._store = wherry.open_target(address)

    def __enter__(self) -> Any:
        return self._store

    def __exit__(self, *error: object) -> None:
        self._store.close()


def _ids(store: Any) -> Iterator[str]:
    for page in store.ids():
        yield from page.to_pylist()
