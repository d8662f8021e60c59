"""Runs that clients handed over: kept here as they were given, and read like those of any other place."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from hashlib import blake2b

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from wherry import AppDatabase
from wherry_apps.evals.reading.base import PAGE, Raw
from wherry_apps.evals.rules import canonical
from wherry_apps.evals.runs import Json, run_of
from wherry_apps.evals.tables import StoredRun

PLACE = "stored here"


class StoredRuns:
    """The stored runs of one owner."""

    def __init__(self, database: AppDatabase, owner: str) -> None:
        self._database, self._owner = database, owner

    @property
    def place(self) -> str:
        """Where they are, in words."""
        return PLACE

    def mark(self) -> str | None:
        """Return a mark of every version of every row."""
        statement = sa.text(
            "SELECT count(*), coalesce(sum(hashtextextended(xmin::text || ctid::text, 0)::numeric), 0)"
            " FROM rag_runs WHERE owner = :owner"
        )
        with self._database.session() as session:
            return repr(tuple(session.execute(statement, {"owner": self._owner}).one()))

    def pages(self, limit: int | None = None) -> Iterator[list[Raw]]:
        """Yield runs by (started_at descending, run_id)."""
        after: tuple[str, str] | None = None
        left = limit
        while left is None or left > 0:
            page = self._page(after, PAGE if left is None else min(PAGE, left))
            if not page:
                return
            yield [raw_of(run) for _, _, run in page]
            after = page[-1][:2]
            left = None if left is None else left - len(page)

    def ids(self) -> set[str]:
        """Return the ids of all runs."""
        with self._database.session() as session:
            return set(session.execute(sa.select(StoredRun.run_id).where(StoredRun.owner == self._owner)).scalars())

    def keep(self, run: Json) -> None:
        """Store a run, in place of one of the same id."""
        known = run_of(run)
        values = {"run": run, "started_at": known.started_at or "", "created_at": sa.func.now()}
        statement = insert(StoredRun).values(owner=self._owner, run_id=known.run_id, **values)
        with self._database.session() as session:
            session.execute(statement.on_conflict_do_update(index_elements=["run_id", "owner"], set_=values))

    def get(self, run_id: str) -> Json | None:
        """Return a run as it was given, None where there is none."""
        with self._database.session() as session:
            found = session.get(StoredRun, {"run_id": run_id, "owner": self._owner})
            return None if found is None else dict(found.run)

    def remove(self, run_id: str) -> bool:
        """Remove a run; return whether there was one."""
        statement = sa.delete(StoredRun).where(StoredRun.owner == self._owner, StoredRun.run_id == run_id)
        with self._database.session() as session:
            return bool(session.execute(statement).rowcount)  # type: ignore[attr-defined]

    def close(self) -> None:
        """Leave the database open: it is the app's."""

    def _page(self, after: tuple[str, str] | None, rows: int) -> list[tuple[str, str, Json]]:
        statement = sa.select(StoredRun.started_at, StoredRun.run_id, StoredRun.run)
        statement = statement.where(StoredRun.owner == self._owner)
        if after is not None:
            same = sa.and_(StoredRun.started_at == after[0], StoredRun.run_id > after[1])
            statement = statement.where(sa.or_(StoredRun.started_at < after[0], same))
        order = (StoredRun.started_at.desc(), StoredRun.run_id)
        with self._database.session() as session:
            return [(row[0], row[1], row[2]) for row in session.execute(statement.order_by(*order).limit(rows))]


def owners(database: AppDatabase) -> list[str]:
    """Return who stored runs here."""
    with database.session() as session:
        return sorted(session.execute(sa.select(StoredRun.owner).distinct()).scalars())


def raw_of(run: Json) -> Raw:
    """Return a stored run as one that was read."""
    return Raw(str(run["run_id"]), blake2b(canonical(run), digest_size=16).hexdigest(), partial(dict, run))
