"""What Evals can do; the command line and the endpoints only call it.

owner: the tenant whose key asks, None for the command line and for operators, who see everything. A run of somebody
else is not there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from wherry import NotFound, Refused, WherryError
from wherry_apps.evals import logs
from wherry_apps.evals.embedding import RunEmbedder
from wherry_apps.evals.filling import Filling, Tally
from wherry_apps.evals.index import Index, bring_up, open_database
from wherry_apps.evals.preindexing import (
    Preindex,
    Preindexed,
    Progress,
    Wish,
    model_of,
    publish,
    put_run,
    recipe_of,
    record_of,
    run_cutter,
)
from wherry_apps.evals.purging import purge
from wherry_apps.evals.runs import Json, run_of
from wherry_apps.evals.settings import Settings, load_settings
from wherry_apps.evals.status import Status
from wherry_apps.evals.stored import PLACE, StoredRuns, owners, raw_of
from wherry_apps.evals.tables import LOCAL, RagSource
from wherry_apps.evals.warming import Warming

if TYPE_CHECKING:
    from wherry_apps.evals.asking import Answers, Asked, Reply
    from wherry_apps.evals.searching import Finder, Found

LISTED_RUNS = 100
_BRIEF = (
    "run_id", "dataset_name", "dataset_version", "model_name", "project_id", "started_at", "finished_at",
    "total_test_cases", "passed_test_cases", "unevaluated", "pass_rate", "metric_pass_rate", "averages",
    "failed_metrics",
)  # fmt: skip


class Evals:
    """The app's one service; threads may share it. schema: where the tables are, instead of the usual one."""

    def __init__(self, settings: Settings | None = None, url: str | None = None, schema: str | None = None) -> None:
        self.settings = settings or load_settings()
        self.database = open_database(url, schema)
        self.index = Index(self.database, self.settings)
        self.warming = Warming(self)
        self._lock = threading.Lock()

    @cached_property
    def finder(self) -> Finder:
        """What searches; imported when it is first needed, since a run that has nothing to do is to be quick."""
        from wherry_apps.evals.searching import Finder

        return Finder(self.index)

    @cached_property
    def answers(self) -> Answers:
        """What answers questions."""
        from wherry_apps.evals.asking import Answers

        return Answers(self.index, self.finder)

    def preindex(self, wish: Wish | None = None, progress: Progress | None = None) -> Preindexed:
        """Bring guide and runs into the index. Raises Usage, Refused, Busy, StoreError."""
        return Preindex(self.index, wish or Wish(), progress).run()

    def status(self, owner: str | None = None, source_db: str | None = None) -> Json:
        """Return the state of every source somebody may see, and the totals."""
        return Status(self.index, owner, source_db).look()

    def purge(self, owner: str | None = None, source_db: str | None = None) -> Json:
        """Remove the sources whose run or file is gone."""
        return purge(self.index, owner, source_db)

    def search(
        self, query: str, owner: str | None, run_id: str | None = None, k: int = 5, filters: Json | None = None
    ) -> Found:
        """Return the k best documents somebody may see. Raises NotFound for a run that is not there."""
        if run_id is not None:
            self._source(run_id, owner)
        return self.finder.search(query, owner, run_id, k, filters)

    def ask(self, asked: Asked, owner: str | None) -> Reply:
        """Return an answer over guide and runs."""
        return self.answers.ask(asked, owner)

    def stream(self, asked: Asked, owner: str | None) -> Iterator[str | Reply]:
        """Yield an answer in pieces, and at last the whole Reply."""
        return self.answers.stream(asked, owner)

    def runs(self, owner: str | None, limit: int = LISTED_RUNS, after: str | None = None) -> Json:
        """Return runs, newest first. after: the `next` of the page before."""
        started = sa.func.coalesce(RagSource.facts["started_at"].astext, "")
        told = (RagSource.owner, RagSource.state, RagSource.facts - "cases", RagSource.source, started)
        statement = sa.select(*told).where(RagSource.source.like("run:%"), RagSource.facts != {})
        if owner is not None:
            statement = statement.where(RagSource.owner == owner)
        if after is not None:
            at, _, last = after.partition("|")
            holder, _, source = last.partition("|")
            behind = sa.tuple_(RagSource.source, RagSource.owner) > sa.tuple_(sa.literal(source), sa.literal(holder))
            statement = statement.where(sa.or_(started < at, sa.and_(started == at, behind)))
        order = (started.desc(), RagSource.source, RagSource.owner)
        with self.database.session() as session:
            rows = session.execute(statement.order_by(*order).limit(limit + 1)).all()
        found = [_brief(row[2], row[1], row[0] if owner is None else None) for row in rows[:limit]]
        more = "|".join((rows[limit - 1][4], rows[limit - 1][0], rows[limit - 1][3])) if len(rows) > limit else None
        return {"runs": found, "count": len(found), "next": more}

    def run(self, run_id: str, owner: str | None) -> Json:
        """Return a run with its cases. Raises NotFound."""
        row = self._source(run_id, owner)
        return {**row.facts, "source": row.source, "state": row.state, "documents": row.doc_count, "error": row.error}

    def save(self, run: Json, owner: str = LOCAL) -> Json:
        """Store a run and index it at once; a model that fails now is tried again in the background.

        Raises BadRecord for a run that cannot be read; then nothing is stored.
        """
        known = run_of(run)
        StoredRuns(self.database, owner).keep(run)
        self.index.welcome(owner, known.source)
        tally, error = Tally(), None
        try:
            self._index_one(run, known.source, owner, tally)
        except WherryError as failure:
            error = failure.what
            logs.error("a stored run waits to be indexed", error=type(failure).__name__)
            self.index.fail(owner, known.source, PLACE, failure.what)
            self.warming.kick()
        failed = error or next((str(one["message"]) for one in tally.failures), None)
        return {
            "run_id": known.run_id, "source": known.source, "stored": True, "indexed": failed is None,
            "documents_embedded": tally.embedded, "error": failed,
        }  # fmt: skip

    def delete(self, run_id: str, owner: str | None) -> Json:
        """Remove a run and its documents at once. Raises NotFound.

        A run of a database that is only read stays there, and is not indexed again.
        """
        row = self._source(run_id, owner)
        stored_here = StoredRuns(self.database, row.owner).remove(run_id)
        self.index.remove(row.owner, [row.source], lasting=not stored_here)
        self._written()
        return {"run_id": run_id, "deleted": True, "documents": row.doc_count, "stored": stored_here}

    def rebuild(self, recreate: bool = False) -> Json:
        """Let the background check everything now, or embed everything again."""
        if recreate and not self.settings.names_runs and not owners(self.database):
            raise Refused(
                "nobody says where the runs are, so they could not be indexed again",
                left="the index is as it was",
                next="set DB_BACKEND and EVALVAULT_DB_PATH, or run wherry evals preindex --recreate",
            )
        self.warming.kick(recreate)
        return {"started": True, "recreate": recreate}

    def close(self) -> None:
        """Stop what runs in the background and close the connections; a second call does nothing."""
        self.warming.stop()
        if "finder" in self.__dict__:
            self.finder.close()
        self.database.close()

    def _index_one(self, run: Json, source: str, owner: str, tally: Tally) -> None:
        choice = model_of(self.index, Wish())
        with self._lock, closing(RunEmbedder(choice)) as embedder:
            record = record_of(self.index, choice, embedder)
            self.index.require_embedder(record)
            filling = Filling(self.index, embedder, record, tally)
            known = self.index.known(owner, [source]).get(source)
            put_run(filling, owner, PLACE, raw_of(run), recipe_of(record, run_cutter(self.settings), None), known)
            filling.flush()
        self._written()

    def _written(self) -> None:
        """Let what was just written be found by the next question."""
        publish(self.index)
        if "finder" in self.__dict__:
            self.finder.stale()

    def _source(self, run_id: str, owner: str | None) -> Any:
        statement = sa.select(RagSource).where(RagSource.source == f"run:{run_id}")
        if owner is not None:
            statement = statement.where(RagSource.owner == owner)
        with self.database.session() as session:
            found = session.execute(statement.order_by(RagSource.owner).limit(1)).scalar()
        if found is None:
            raise NotFound(f"there is no run {run_id}", where="run_id", next="wherry evals runs lists them")
        return found


def open_service() -> Evals:
    """Return the service with its tables made."""
    service = Evals()
    bring_up(service.database)
    return service


def _brief(facts: Json, state: str, owner: str | None) -> Json:
    return {**{name: facts.get(name) for name in _BRIEF}, "state": state, **({"owner": owner} if owner else {})}
