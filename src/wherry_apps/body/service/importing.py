"""Many sheets at once: read, judged, reported and embedded in batches, so that memory stays flat."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import insert

import wherry
from wherry_apps.body.service.context import Context, Owner, aware, person, require_text
from wherry_apps.body.service.reports import Reports
from wherry_apps.body.service.vectors import Place, Vectors
from wherry_apps.body.sheets import Sheet, read_sheet
from wherry_apps.body.tables import AnalysisReport, HealthRecord

BATCH = 256
_LONGEST_LINE = 1_000_000
_MOST_FAILURES = 1_000


@dataclass
class Imported:
    """What an import did. failures: line, fields and reason of each sheet that was not taken (the first thousand)."""

    records: int = 0
    failed: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0, or 5 where sheets were not taken."""
        return wherry.BadRecord.exit_code if self.failed else 0

    def note(self, line: int, error: wherry.WherryError) -> None:
        """Note a sheet that was not taken."""
        self.failed += 1
        if len(self.failures) < _MOST_FAILURES:
            self.failures.append({"line": line, "fields": getattr(error, "fields", []), "why": error.what})

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {"records": self.records, "failed": self.failed, "failures": self.failures}


@dataclass(frozen=True)
class _Line:
    number: int
    user_id: int
    sheet: Sheet
    record_date: datetime | None


@dataclass(frozen=True)
class _Made:
    """What was made of a batch: text and version of each report, and the vectors by where they belong."""

    reports: list[tuple[str, str]]
    vectors: list[tuple[Place, np.ndarray]]


class Importing:
    """Takes many sheets."""

    def __init__(self, context: Context, vectors: Vectors, reports: Reports) -> None:
        self._context, self._vectors, self._reports = context, vectors, reports

    def lines(
        self,
        owner: Owner,
        lines: Iterable[str],
        user_id: int | None = None,
        source: str = "import",
        embedders: Sequence[str] = (),
    ) -> Imported:
        """Store each line's sheet with its report by rule.

        A line is a sheet, or `{"user_id", "record_date", "measurements"}`. user_id: of lines that name none. embedders:
        specs whose vectors are stored too. Raises what an embedder raises; batches before it are stored.
        """
        require_text(source, "source", 100)
        done = Imported()
        opened = [self._context.models.embedder(spec) for spec in embedders]
        places = [(embedder, self._vectors.place(embedder)) for embedder in opened]
        known: dict[int, bool] = {}
        read = self._read(owner, enumerate(lines, 1), user_id, known, done)
        # The database stores one batch while the next one is read and embedded.
        with ThreadPoolExecutor(1) as writer:
            stored: Future[int] | None = None
            while batch := list(islice(read, BATCH)):
                made = self._made(batch, places)
                done.records += stored.result() if stored else 0
                stored = writer.submit(self._store, batch, source, made)
            done.records += stored.result() if stored else 0
        return done

    def _read(
        self,
        owner: Owner,
        lines: Iterable[tuple[int, str]],
        user_id: int | None,
        known: dict[int, bool],
        done: Imported,
    ) -> Iterator[_Line]:
        for number, line in lines:
            if not line.strip():
                continue
            try:
                yield self._line(owner, number, line, user_id, known)
            except (wherry.BadRecord, wherry.NotFound) as error:
                done.note(number, error)

    def _line(self, owner: Owner, number: int, line: str, user_id: int | None, known: dict[int, bool]) -> _Line:
        try:
            found = json.loads(line) if len(line) <= _LONGEST_LINE else None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise wherry.BadRecord("the line is no JSON object", fields=["measurements"])
        named = "measurements" in found
        user = found.get("user_id", user_id) if named else user_id
        if not isinstance(user, int) or isinstance(user, bool):
            raise wherry.BadRecord("the line names no person", fields=["user_id"])
        if user not in known:
            with self._context.db.session() as session:
                person(session, owner, user)
            known[user] = True
        sheet = read_sheet(found["measurements"] if named else found, self._context.settings.limits)
        return _Line(number, user, sheet, _date(found.get("record_date")) if named else None)

    def _made(self, batch: list[_Line], places: list[tuple[wherry.Embedder, Place]]) -> _Made:
        """Return the reports of a batch and their vectors."""
        reports = [self._reports.write(one.sheet.measurements, one.sheet.warnings, "offline")[:2] for one in batch]
        texts = [text for text, _ in reports]
        return _Made(reports, [(place, embedder.embed(texts)) for embedder, place in places])

    def _store(self, batch: list[_Line], source: str, made: _Made) -> int:
        """Store a batch, whole or not at all; return how many sheets it holds."""
        with self._context.db.session() as session:
            records = session.scalars(
                insert(HealthRecord).returning(HealthRecord.id, sort_by_parameter_order=True),
                [_record(one, source) for one in batch],
            ).all()
            rows = [
                {"user_id": one.user_id, "record_id": record, "llm_output": text, "model_version": version}
                for one, record, (text, version) in zip(batch, records, made.reports, strict=True)
            ]
            columns = [(place, vectors) for place, vectors in made.vectors if place.is_column]
            for at, row in enumerate(rows):
                row["embedding_info"] = {place.name: place.info(row["llm_output"]) for place, _ in columns}
                row |= {place.name: vectors[at] for place, vectors in columns}
            reports = session.scalars(
                insert(AnalysisReport).returning(AnalysisReport.id, sort_by_parameter_order=True), rows
            ).all()
            named = [
                (report, one.user_id, row["llm_output"]) for report, one, row in zip(reports, batch, rows, strict=True)
            ]
            for place, vectors in made.vectors:
                if not place.is_column:
                    self._vectors.store(session, place, named, vectors)
        return len(batch)


def open_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file, one at a time. Raises Usage when it is not there."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from file
    except OSError as error:
        raise wherry.Usage(f"the file cannot be read: {error.strerror}", where=str(path), left="nothing") from None


def _record(one: _Line, source: str) -> dict[str, Any]:
    row: dict[str, Any] = {"user_id": one.user_id, "source": source, "measurements": one.sheet.measurements}
    # Every row of an insert has the same columns.
    row["record_date"] = one.record_date or datetime.now().astimezone()
    return row


def _date(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        return aware(datetime.fromisoformat(value))
    except (TypeError, ValueError):
        raise wherry.BadRecord("record_date is no date", fields=["record_date"]) from None
