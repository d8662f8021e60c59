"""The database as earlier programs called it: the same names, the same arguments, on SQLAlchemy.

from wherry_apps.body.database import Database

db = Database()
assert db.test_connection()
for hit in db.search_similar_analyses(user_id=1, query_embedding=vector, top_k=3):
    print(f"ID: {hit['id']}, Similarity: {hit['similarity']:.3f}")
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Self

import numpy as np
from sqlalchemy import literal, text, update
from sqlalchemy.dialects.postgresql import JSONB

import wherry
from wherry_apps.body.ranking import TOP_K
from wherry_apps.body.service import Body
from wherry_apps.body.tables import COLUMNS, AnalysisReport


class Database:
    """One database. url: of a server; DATABASE_URL by default, else the embedded one. The tables have to be there."""

    def __init__(self, url: str | None = None) -> None:
        self.body = Body(url)

    def test_connection(self) -> bool:
        """Return True when the database answers. Raises Unreachable and the like."""
        with self.body.db.begin() as connection:
            return bool(connection.execute(text("SELECT 1")).scalar() == 1)

    def search_similar_analyses(
        self, user_id: int, query_embedding: Sequence[float], top_k: int = TOP_K
    ) -> list[dict[str, Any]]:
        """Return a person's reports nearest to a vector, by score: id, similarity, text, date and the others.

        All vectors of the column of its length are compared, whoever made them: who asks with a vector knows which
        model it is of. Raises WrongDimension, NotFound.
        """
        vector = np.asarray(query_embedding, np.float32)
        column = _column(vector)
        self.body.people.get(None, user_id)
        address = self.body.vectors.address(column)
        hits = wherry.search(vector, in_=address, k=2 * top_k, mode="vector", where={"user_id": user_id})
        near = {int(hit.id): float(hit.similarity) for hit in hits if hit.similarity is not None}
        found = self.body.retrieval.ranked(user_id, near)[:top_k]
        return [{"id": one.report_id, "llm_output": one.text, **one.to_dict()} for one in found]

    def update_analysis_embedding(
        self, report_id: int, embedding: Sequence[float], provider: str | None = None, model: str | None = None
    ) -> bool:
        """Store the vector of a report in the column of its length; False where there is no such report.

        provider, model: who made it, for searches that ask by that model. Raises WrongDimension.
        """
        vector = np.asarray(embedding, np.float32)
        column = _column(vector)
        if not np.isfinite(vector).all():
            raise wherry.BadRecord("the vector holds what is no finite number", fields=["embedding"], left="nothing")
        note = literal({column: {"provider": provider, "model": model, "normalised": None, "text_sha256": None}}, JSONB)
        values = {column: vector, "embedding_info": AnalysisReport.embedding_info.op("||")(note)}
        with self.body.db.session() as session:
            done = session.execute(update(AnalysisReport).where(AnalysisReport.id == report_id).values(values))
            return bool(getattr(done, "rowcount", 0))

    def save_weekly_plan(
        self,
        user_id: int,
        week_number: int,
        start_date: date,
        end_date: date,
        plan_data: dict[str, Any],
        model_version: str,
    ) -> int:
        """Store a plan and return its id. Raises NotFound, BadRecord, or what the database raises: never an id then."""
        return self.body.plans.save(None, user_id, week_number, start_date, end_date, plan_data, model_version)

    def get_weekly_plan(self, plan_id: int) -> dict[str, Any] | None:
        """Return a plan, None where there is none."""
        try:
            return self.body.plans.get(None, plan_id)
        except wherry.NotFound:
            return None

    def get_user_weekly_plans(self, user_id: int, limit: int = 10) -> list[dict[str, Any]]:
        """Return a person's plans, newest first. Raises NotFound."""
        return self.body.plans.all(None, user_id, limit)

    def close(self) -> None:
        """Close the connections."""
        self.body.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _column(vector: np.ndarray) -> str:
    if vector.ndim != 1 or len(vector) not in COLUMNS:
        raise wherry.BadRecord(
            f"a vector has {' or '.join(map(str, sorted(COLUMNS)))} components here, this one has {vector.size}",
            fields=["embedding"],
            left="nothing",
        )
    return COLUMNS[len(vector)]
