"""Vectors of reports: each goes into the column of its length, one of another length into a collection of its own.

`embedding_info` says column by column who made the vector and of which text. A question is compared with vectors of
the same model alone: 1,536 and 1,024 components never meet, and neither do two models of one length.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import func, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

import wherry
from wherry_apps.body.service.context import Context
from wherry_apps.body.tables import COLUMNS, AnalysisReport

_TABLE = "analysis_reports"
# What collections of vectors of other lengths are called: this, the length, and who makes them.
_OTHER = "report_vectors_"


@dataclass(frozen=True)
class Place:
    """Where the vectors of one embedder are. name: of the column or the collection. space: what makes them alike."""

    name: str
    is_column: bool
    space: wherry.Space

    @property
    def maker(self) -> dict[str, Any]:
        """Who makes these vectors, as `embedding_info` has it."""
        made = {"provider": self.space.provider, "model": self.space.model, "normalised": self.space.normalised}
        return made | ({"digest": self.space.model_digest} if self.space.model_digest else {})

    def info(self, text: str) -> dict[str, Any]:
        """Return what is noted about the vector of a text."""
        return {**self.maker, "text_sha256": hashlib.sha256(text.encode()).hexdigest()}

    def condition(self, user_id: int) -> dict[str, Any]:
        """Return the condition for a search among one person's vectors of this embedder."""
        whose: dict[str, Any] = {"user_id": user_id}
        if self.is_column:
            whose |= {f"{self.name}.{key}": value for key, value in self.maker.items() if key != "normalised" and value}
        return whose


class Vectors:
    """The vectors of a database; threads may share it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._stores: dict[str, Any] = {}
        self._lock = threading.Lock()

    def place(self, embedder: wherry.Embedder) -> Place:
        """Return where an embedder's vectors belong. Raises what its model raises when it is first asked."""
        space = embedder.space()
        if space.dimension in COLUMNS:
            return Place(COLUMNS[space.dimension], True, space)
        name = f"{space.provider}/{space.model}/{space.model_digest}"
        return Place(f"{_OTHER}{space.dimension}_{hashlib.sha256(name.encode()).hexdigest()[:8]}", False, space)

    def store(
        self, session: Session, place: Place, reports: Sequence[tuple[int, int, str]], vectors: np.ndarray
    ) -> None:
        """Put the vectors of reports (id, person, text) where they belong; nothing else of the reports changes."""
        if not place.is_column:
            self._put(place, reports, vectors)
        for (report, _, text), vector in zip(reports, vectors, strict=True):
            note = literal({place.name: place.info(text)}, JSONB)
            values: dict[str, Any] = {"embedding_info": AnalysisReport.embedding_info.op("||")(note)}
            if place.is_column:
                values[place.name] = vector
            session.execute(update(AnalysisReport).where(AnalysisReport.id == report).values(values))

    def nearest(self, place: Place, user_id: int, vector: np.ndarray, k: int) -> dict[int, float]:
        """Return the reports of one person that are nearest: id -> similarity, nearest first."""
        store = self._opened(place)
        if store is None:
            return {}
        hits = wherry.search(vector, in_=store, k=k, mode="vector", where=place.condition(user_id))
        return {int(hit.id): float(hit.similarity) for hit in hits if hit.similarity is not None}

    def forget(self, reports: Sequence[int]) -> None:
        """Delete the vectors of reports that are in collections of their own; those in columns go with their rows."""
        asked = select(func.jsonb_object_keys(AnalysisReport.embedding_info)).where(AnalysisReport.id.in_(reports))
        with self._context.db.session() as session:
            names = sorted(set(session.scalars(asked)) - set(COLUMNS.values()))
        for name in (name for name in names if name.startswith(_OTHER)):
            store = wherry.open_target(self._context.db.address(name))
            try:
                store.delete(pa.array([str(report) for report in reports], pa.string()))
            finally:
                store.close()

    def address(self, column: str) -> wherry.Address:
        """Return the reports with the vectors of one column as an address."""
        return self._context.db.address(
            _TABLE, id="id", vector=column, text="llm_output", metadata="embedding_info",
            fields="user_id,report_date", metric="cosine",
        )  # fmt: skip

    def close(self) -> None:
        """Close the collections that were searched."""
        with self._lock:
            opened, self._stores = list(self._stores.values()), {}
        for store in opened:
            store.close()

    def _put(self, place: Place, reports: Sequence[tuple[int, int, str]], vectors: np.ndarray) -> None:
        records = [
            wherry.Record(str(report), vector, text, {"user_id": user})
            for (report, user, text), vector in zip(reports, vectors, strict=True)
        ]
        wherry.put(records, self._context.db.address(place.name), place.space)

    def _opened(self, place: Place) -> Any:
        """Return the open collection of a place; None for one that nobody made yet."""
        with self._lock:
            if place.name not in self._stores:
                address = self.address(place.name) if place.is_column else self._context.db.address(place.name)
                try:
                    self._stores[place.name] = wherry.open_source(address)
                except wherry.NoSuchCollection:
                    return None
            return self._stores[place.name]


def missing_from(place: Place, again: bool = False) -> Any:
    """Return the condition for reports whose vector is not there, or is of an earlier text than the report's.

    again: also those whose vector somebody else made, or nobody knows who.
    """
    if again:
        made = AnalysisReport.embedding_info[place.name].contains(place.maker)
        return missing_from(place) | made.is_not(True)
    noted = AnalysisReport.embedding_info[place.name]["text_sha256"].astext
    digest = func.encode(func.sha256(func.convert_to(AnalysisReport.llm_output, "UTF8")), "hex")
    stale = noted.is_not(None) & (noted != digest)
    if place.is_column:
        return getattr(AnalysisReport, place.name).is_(None) | stale
    return ~AnalysisReport.embedding_info.has_key(place.name) | stale
