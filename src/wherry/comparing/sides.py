"""One side of a comparison: an open collection, a service that only retrieves, or answers recorded before."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

import numpy as np

from wherry.address import Address
from wherry.answering.search import Searcher, resolved
from wherry.comparing.footprint import growth, resident
from wherry.comparing.questions import Question, Recorded
from wherry.errors import AuthFailed, MissingExtra, NoModel, UnknownModel, Unsupported, Usage
from wherry.models.base import Embedder
from wherry.moving.opening import is_place, reading
from wherry.stores.base import Collection, Hit, Readable, Searchable

RECORDED = "recorded"
End = str | Path | Address | Readable
# Why no model embeds the questions of a side here.
_NO_MODEL = (NoModel, UnknownModel, MissingExtra, AuthFailed)
Heard = tuple[tuple[Hit, ...], float]


@runtime_checkable
class Retrieves(Protocol):
    """A store that embeds a question itself and answers it: a service of the cloud."""

    def retrieve(self, query: str, k: int = 5) -> list[Hit]:
        """Return the k records nearest to a text, nearest first."""
        ...


@dataclass
class Side:
    """A collection that is asked. vectors: of the questions in its own space, None where it needs none.

    embedding: seconds each text took, None for a vector that was given. memory: bytes this process grew by while
    opening and warming up, None where it was open before. model: what embeds its questions.
    """

    store: Readable
    collection: Collection
    searcher: Searcher
    vectors: list[np.ndarray | None] = field(default_factory=list)
    embedding: list[float | None] = field(default_factory=list)
    memory: int | None = None
    model: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Where it is, fit to print."""
        return self.store.address

    @property
    def retrieves(self) -> bool:
        """Whether it embeds questions itself."""
        return not isinstance(self.store, Searchable) and isinstance(self.store, Retrieves)

    def ask(self, number: int, question: Question, k: int) -> Heard:
        """Return the answer to a question, and the seconds it took without embedding."""
        started = time.perf_counter()
        found = self._answer(number, question, k)
        return tuple(found), time.perf_counter() - started

    def _answer(self, number: int, question: Question, k: int) -> list[Hit]:
        vector = self.vectors[number]
        if isinstance(self.store, Searchable) and vector is not None:
            return self.store.search(vector, k)
        if self.retrieves and question.text is not None:
            return cast(Retrieves, self.store).retrieve(question.text, k)
        raise Unsupported(
            "this collection cannot be asked where it is"
            if question.text is not None
            else "this service is asked with texts, and a question is a vector",
            where=self.address,
            next="sync it into a store that searches, for example pgvector:#NAME",
        )


@dataclass
class Tape:
    """The side that was recorded: nothing is asked, what was answered is read."""

    questions: tuple[Question, ...]
    where: str

    def __post_init__(self) -> None:
        for question in self.questions:
            if question.recorded is None:
                raise Usage(
                    f"question {question.name} has no recorded answer",
                    where=self.where,
                    next="write the hits beside each question, or name two collections",
                )

    @property
    def address(self) -> str:
        """Where the answers were read."""
        return f"{RECORDED} in {self.where}"

    def ask(self, number: int, question: Question, k: int) -> Heard:
        """Return what was recorded; seconds are NaN where nobody wrote them down."""
        recorded = question.recorded or Recorded(())
        seconds = float("nan") if recorded.seconds is None else recorded.seconds
        return recorded.hits[:k], seconds


def is_recorded(end: object) -> bool:
    """Tell whether a side is the answers recorded beside the questions."""
    return isinstance(end, str) and end == RECORDED


@contextmanager
def opened(end: End, embedder: str | Embedder | None) -> Iterator[Side]:
    """Open a side, taking note of the memory that takes; close it again if it was opened here."""
    before = resident() if is_place(end) else None
    with reading(resolved(end)) as store, closing(Searcher(store, embedder)) as searcher:
        collection = store.describe()
        yield Side(store, collection, searcher, memory=growth(before))


def embedded(sides: list[Side], questions: tuple[Question, ...]) -> None:
    """Give every side the vectors of the questions; sides of one model get the same, embedded once.

    A model may answer the same text a little differently each time: that would be drift of the model, not of a side.
    """
    made: dict[str, list[tuple[np.ndarray | None, float | None]]] = {}
    for side in sides:
        model = _model_of(side, sides) if any(question.vector is None for question in questions) else None
        side.model = model.spec if model else None
        key = side.model or side.address
        if key not in made:
            made[key] = [_vector(question, model) for question in questions]
        side.vectors = [vector for vector, _ in made[key]]
        side.embedding = [seconds for _, seconds in made[key]]


def _vector(question: Question, model: Embedder | None) -> tuple[np.ndarray | None, float | None]:
    if question.vector is not None:
        return question.vector, None
    if model is None or question.text is None:
        return None, None
    started = time.perf_counter()
    vector = model.embed_query(question.text)
    return vector, time.perf_counter() - started


def _model_of(side: Side, sides: list[Side]) -> Embedder | None:
    """Return what embeds the questions of a side: its own model, or another side's that does not contradict it."""
    try:
        return side.searcher.embedder
    except _NO_MODEL as error:
        if side.retrieves:
            side.notes.append(f"the service embeds questions itself; its recall is not measured: {error.what}")
            return None
        if not isinstance(error, NoModel):
            raise
        lent = next((found for other in sides if (found := _lent(side, other)) is not None), None)
        if lent is None:
            raise
        side.notes.append(f"it names no model; {lent.spec}, the other side's, embeds its questions")
        return lent


def _lent(side: Side, other: Side) -> Embedder | None:
    if other is side:
        return None
    try:
        lent = other.searcher.embedder
    except NoModel:
        return None
    return None if side.searcher.space.conflicts(lent.space()) else lent
