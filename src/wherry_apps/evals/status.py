"""What the index is: per source its documents and whether they are those of today, in sum for monitoring."""

from __future__ import annotations

import json
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from wherry import WherryError
from wherry_apps.evals import metrics
from wherry_apps.evals.guide import chunker, chunks_of, read_text
from wherry_apps.evals.index import TOTALS, Index
from wherry_apps.evals.preindexing import (
    GUIDE,
    documents_named,
    files_of,
    fingerprint_of,
    guide_limit,
    recipe_of,
    run_cutter,
)  # fmt: skip
from wherry_apps.evals.purging import opened
from wherry_apps.evals.reading.marks import mark_of
from wherry_apps.evals.rules import source_hash
from wherry_apps.evals.runs import Json
from wherry_apps.evals.tables import SHARED, RagDocument, RagPlace, RagSource

LISTED = 500


class Status:
    """One look at the index, in comparison with the places it was made from. Nothing is written."""

    def __init__(self, index: Index, owner: str | None = None, source_db: str | None = None) -> None:
        self.index, self.owner, self._source_db = index, owner, source_db
        self.notes: list[str] = []
        self._missing: list[str] = []
        self._stale: set[tuple[str, str]] = set()
        self._unknown: set[tuple[str, str]] = set()

    def look(self, limit: int = LISTED) -> Json:
        """Return the state of every source (the first of them by name) and the totals."""
        started = time.perf_counter()
        rows = self._rows()
        self._compare(rows)
        sources = [self._source(row) for row in rows]
        totals = self._totals(sources, started)
        if self.owner is None:
            metrics.stale(totals["stale"] + totals["missing"])
        return {"totals": totals, "sources": sources[:limit], "missing": self._missing[:limit], "notes": self.notes}

    def _rows(self) -> list[Any]:
        counts = (
            sa.select(RagDocument.source, RagDocument.owner, sa.func.count().label("found"))
            .group_by(RagDocument.source, RagDocument.owner).subquery()
        )  # fmt: skip
        kept = [column for column in RagSource.__table__.columns if column.name != "facts"]
        join = sa.and_(counts.c.source == RagSource.source, counts.c.owner == RagSource.owner)
        statement = sa.select(*kept, sa.func.coalesce(counts.c.found, 0).label("found")).outerjoin(counts, join)
        if self.owner is not None:
            statement = statement.where(RagSource.owner.in_([self.owner, SHARED]))
        with self.index.database.session() as session:
            return list(session.execute(statement.order_by(RagSource.source, RagSource.owner)))

    def _compare(self, rows: list[Any]) -> None:
        """Find what is stale and what is missing, place by place."""
        record = self.index.embedder()
        by_place: dict[tuple[str, str], dict[str, Any]] = {}
        for row in rows:
            by_place.setdefault((row.owner, row.place), {})[row.source] = row
        if record is None:
            self._stale |= {(row.owner, row.source) for row in rows}
            return
        for (owner, place), known in by_place.items():
            if not place:
                # Rows that somebody else's program wrote; nobody knows what from.
                self._stale |= {(owner, source) for source in known}
            elif owner == SHARED:
                self._compare_file(place, known, record)
            else:
                self._compare_runs(owner, place, known, record)
        self._find_missing({row.source for row in rows if row.owner == SHARED})

    def _compare_file(self, place: str, known: dict[str, Any], record: Json) -> None:
        settings, path = self.index.settings, Path(place)
        for source, row in known.items():
            limit = guide_limit(settings, None) if source == GUIDE else 0
            recipe, seen = recipe_of(record, chunker(settings.plain), limit), self.index.place(SHARED, place)
            mark = mark_of(path)
            if seen is not None and mark is not None and seen.mark == mark and _limitless(seen.recipe, recipe):
                continue
            try:
                chunks = chunks_of(read_text(path), "guide" if source == GUIDE else "doc", path.name, settings.plain)
            except (OSError, WherryError):
                self._stale.add((SHARED, source))
                self.notes.append(f"{source}: {place} cannot be read any more; wherry evals purge removes it")
                continue
            used = _limit_of(seen, limit)
            parts = [(one.content, one.metadata) for one in (chunks[:used] if used else chunks)]
            if source_hash(parts, row.embedder, row.chunker, used) != row.source_hash:
                self._stale.add((SHARED, source))

    def _compare_runs(self, owner: str, place: str, known: dict[str, Any], record: Json) -> None:
        try:
            runs = opened(self.index, owner, place, self._source_db)
        except WherryError as error:
            self._unknown |= {(owner, source) for source in known}
            self.notes.append(f"{place} cannot be looked at: {error.what}")
            return
        with closing(runs):
            recipe, mark = recipe_of(record, run_cutter(self.index.settings), None), runs.mark()
            seen = self.index.place(owner, place)
            if mark and seen is not None and (seen.mark, seen.recipe) == (mark, recipe):
                return
            there = set()
            for page in runs.pages():
                for raw in page:
                    source = f"run:{raw.run_id}"
                    there.add(source)
                    if source not in known:
                        self._missing.append(source)
                    elif known[source].fingerprint != fingerprint_of(raw, recipe):
                        self._stale.add((owner, source))
            self._stale |= {(owner, source) for source in known if source not in there}

    def _find_missing(self, known: set[str]) -> None:
        settings = self.index.settings
        if Path(settings.guide).is_file() and GUIDE not in known:
            self._missing.append(GUIDE)
        for root in documents_named(settings):
            if root.exists():
                self._missing += [source for source, _ in files_of(root) if source not in known]

    def _source(self, row: Any) -> Json:
        key = (row.owner, row.source)
        state = row.state
        if state == "ready" and (key in self._stale or row.found != row.doc_count or not row.embedder):
            state = "stale"
        age = None if row.indexed_at is None else (datetime.now(UTC) - row.indexed_at).total_seconds()
        match = None if key in self._unknown else key not in self._stale
        return {
            "source": row.source, **({"owner": row.owner} if self.owner is None else {}), "state": state,
            "documents": row.found, "expected": row.doc_count, "hash": row.source_hash[:12], "hash_match": match,
            "embedder": row.embedder, "chunker": row.chunker, "age_s": None if age is None else round(age, 1),
            "indexed_at": row.indexed_at, "attempts": row.attempts, "error": row.error, "place": row.place,
        }  # fmt: skip

    def _totals(self, sources: list[Json], started: float) -> Json:
        states = [source["state"] for source in sources]
        spent = self.index.place(SHARED, TOTALS)
        return {
            "sources": len(sources), "documents": sum(source["documents"] for source in sources),
            **{state: states.count(state) for state in ("ready", "stale", "failed", "indexing")},
            "missing": len(self._missing), "unknown": len(self._unknown), "embedder": self.index.embedder(),
            "embedded_texts": spent.embedded if spent else 0, "indexing_seconds": spent.seconds if spent else 0.0,
            "indexed_at": spent.seen_at if spent else None,
            "seconds": round(time.perf_counter() - started, 3),
        }  # fmt: skip


def _limit_of(seen: RagPlace | None, usual: int) -> int:
    """Return the limit that a guide was indexed under: an option of the last run is not forgotten by a look."""
    if seen is None or not seen.recipe:
        return usual
    return int(json.loads(seen.recipe).get("limit") or 0)


def _limitless(one: str, other: str) -> bool:
    """Tell whether two recipes are the same but for the limit."""
    return {**json.loads(one or "{}"), "limit": 0} == {**json.loads(other), "limit": 0}
