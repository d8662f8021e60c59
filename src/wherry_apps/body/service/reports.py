"""Reports: written from a sheet by a model or by rule, stored, embedded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

import wherry
from wherry_apps.body.composing import compose
from wherry_apps.body.rules import BodyTypes, body_types
from wherry_apps.body.service.context import Context, Owner, iso, owned, person
from wherry_apps.body.service.records import made
from wherry_apps.body.service.retrieval import EMBEDDER_FAILS
from wherry_apps.body.service.vectors import Vectors
from wherry_apps.body.settings import RULES
from wherry_apps.body.sheets import Sheet, checks
from wherry_apps.body.tables import STATUS_ANALYSIS, AnalysisReport, HealthRecord
from wherry_apps.body.writing import write_report

_MOST_VERSION = 100


class Reports:
    """The reports of a database."""

    def __init__(self, context: Context, vectors: Vectors) -> None:
        self._context, self._vectors = context, vectors

    def analyse(
        self,
        owner: Owner,
        record_id: int,
        model: str | None = None,
        embedders: Sequence[str] = (),
        force: bool = False,
    ) -> dict[str, Any]:
        """Return the report of a sheet, written when there is none yet or `force` asks for another.

        embedders: specs whose vectors are stored with it. Raises NotFound, or what the model raises: nothing is
        stored then.
        """
        with self._context.db.session() as session:
            record = owned(session, HealthRecord, record_id, owner)
            existing = None if force else _existing(session, record_id)
        if existing is None:
            text, version, _ = self.write(record.measurements, checks(record.measurements), model)
            existing, created = self._stored(record, text, version, force)
        else:
            created = False
        types = body_types(record.measurements, self._context.settings.limits)
        embedding = self.embed(existing.id, existing.user_id, existing.llm_output, embedders)
        return self.get(owner, existing.id) | {
            "created": created,
            "types": types.to_dict(),
            "warnings": list(checks(record.measurements)),
            "embedding": embedding,
        }

    def analyse_sheet(
        self,
        owner: Owner,
        user_id: int,
        sheet: Sheet,
        source: str = "manual",
        model: str | None = None,
        embedders: Sequence[str] = (),
        record_date: datetime | None = None,
    ) -> dict[str, Any]:
        """Store a sheet with its report, both or neither; parameters and errors as of `analyse`."""
        with self._context.db.session() as session:
            person(session, owner, user_id)
        text, version, types = self.write(sheet.measurements, sheet.warnings, model)
        with self._context.db.session() as session:
            person(session, owner, user_id)
            record = made(session, user_id, sheet, source, record_date)
            report = AnalysisReport(user_id=user_id, record_id=record.id, llm_output=text, model_version=version)
            session.add(report)
            session.flush()
            session.refresh(report)
        embedding = self.embed(report.id, user_id, text, embedders)
        return self.get(owner, report.id) | {
            "created": True,
            "types": types.to_dict(),
            "nulls": list(sheet.nulls),
            "warnings": list(sheet.warnings),
            "embedding": embedding,
        }

    def write(
        self, measurements: dict[str, Any], warnings: Sequence[str], model: str | None
    ) -> tuple[str, str, BodyTypes]:
        """Return the text of a report, who wrote it, and the types of the sheet. Raises what the model raises."""
        types = body_types(measurements, self._context.settings.limits)
        spec = model or self._context.settings.model
        if spec == "offline":
            return compose(measurements, types, warnings), RULES, types
        chat = self._context.models.chat(spec)
        return write_report(chat, measurements, types, warnings), spec[:_MOST_VERSION], types

    def embed(self, report_id: int, user_id: int, text: str, embedders: Sequence[str]) -> dict[str, Any]:
        """Embed one report with each embedder; one that fails leaves the report and the other vectors as they are.

        Returns spec -> {"stored": where}, or {"error": kind}.
        """
        return {spec: self._embedded(report_id, user_id, text, spec) for spec in embedders}

    def get(self, owner: Owner, report_id: int) -> dict[str, Any]:
        """Return a report. Raises NotFound."""
        with self._context.db.session() as session:
            return shown(owned(session, AnalysisReport, report_id, owner))

    def all(self, owner: Owner, user_id: int, limit: int = 20) -> list[dict[str, Any]]:
        """Return a person's reports, newest first."""
        order = (AnalysisReport.report_date.desc(), AnalysisReport.id.desc())
        asked = select(AnalysisReport).where(AnalysisReport.user_id == user_id).order_by(*order).limit(limit)
        with self._context.db.session() as session:
            person(session, owner, user_id)
            return [shown(report) for report in session.scalars(asked)]

    def _stored(self, record: HealthRecord, text: str, version: str, force: bool) -> tuple[AnalysisReport, bool]:
        with self._context.db.session() as session:
            # Whoever writes about the same sheet at the same time waits here, and then finds this report.
            session.execute(select(HealthRecord.id).where(HealthRecord.id == record.id).with_for_update())
            existing = None if force else _existing(session, record.id)
            if existing is not None:
                return existing, False
            report = AnalysisReport(user_id=record.user_id, record_id=record.id, llm_output=text, model_version=version)
            session.add(report)
            session.flush()
            session.refresh(report)
            return report, True

    def _embedded(self, report_id: int, user_id: int, text: str, spec: str) -> dict[str, Any]:
        try:
            embedder = self._context.models.embedder(spec)
            place, vectors = self._vectors.place(embedder), embedder.embed([text])
        except EMBEDDER_FAILS as error:
            return {"error": type(error).__name__}
        with self._context.db.session() as session:
            self._vectors.store(session, place, [(report_id, user_id, text)], vectors)
        return {"stored": place.name}


def shown(report: AnalysisReport) -> dict[str, Any]:
    """Return a report as a JSON object."""
    return {
        "id": report.id,
        "user_id": report.user_id,
        "record_id": report.record_id,
        "llm_output": report.llm_output,
        "model_version": report.model_version,
        "analysis_type": report.analysis_type,
        "report_date": iso(report.report_date),
        "embedding_info": report.embedding_info,
    }


def failed(embedding: dict[str, Any]) -> list[str]:
    """Return the embedders that failed."""
    return [spec for spec, done in embedding.items() if "error" in done]


def _existing(session: Session, record_id: int) -> AnalysisReport | None:
    asked = select(AnalysisReport).where(
        AnalysisReport.record_id == record_id, AnalysisReport.analysis_type == STATUS_ANALYSIS
    )
    return session.scalar(asked.order_by(AnalysisReport.report_date.desc(), AnalysisReport.id.desc()).limit(1))


def require_written(done: dict[str, Any]) -> int:
    """Return the exit code of an analysis: 5 where an embedder failed, although the report is there."""
    return wherry.BadRecord.exit_code if failed(done["embedding"]) else 0
