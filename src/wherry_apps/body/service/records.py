"""Sheets: validated, stored, corrected, read, many at once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from wherry_apps.body.service.context import Context, Owner, aware, iso, missing, owned, person, require_text
from wherry_apps.body.sheets import RAW, Sheet, corrected, read_sheet
from wherry_apps.body.tables import HealthRecord


class Records:
    """The sheets of a database."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def read(self, measurements: Any) -> Sheet:
        """Return a sheet that was read and judged; nothing is stored. Raises BadRecord listing the fields."""
        return read_sheet(measurements, self._context.settings.limits)

    def add(
        self, owner: Owner, user_id: int, sheet: Sheet, source: str = "manual", record_date: datetime | None = None
    ) -> dict[str, Any]:
        """Store a sheet. Raises NotFound for a person who is not the owner's."""
        with self._context.db.session() as session:
            person(session, owner, user_id)
            record = made(session, user_id, sheet, source, record_date)
            session.refresh(record)
            return shown(record) | {"nulls": list(sheet.nulls), "warnings": list(sheet.warnings)}

    def correct(self, owner: Owner, record_id: int, changes: Any) -> dict[str, Any]:
        """Write some fields of a sheet anew; its first original stays. Raises NotFound, BadRecord."""
        with self._context.db.session() as session:
            record = owned(session, HealthRecord, record_id, owner)
            session.refresh(record, with_for_update=True)
            sheet = corrected(record.measurements, changes, self._context.settings.limits)
            record.measurements = sheet.measurements
            return shown(record) | {"nulls": list(sheet.nulls), "warnings": list(sheet.warnings)}

    def get(self, owner: Owner, record_id: int) -> dict[str, Any]:
        """Return a sheet. Raises NotFound."""
        with self._context.db.session() as session:
            return shown(owned(session, HealthRecord, record_id, owner))

    def latest(self, owner: Owner, user_id: int) -> dict[str, Any]:
        """Return a person's newest sheet. Raises NotFound where there is none."""
        with self._context.db.session() as session:
            person(session, owner, user_id)
            record = newest(session, user_id)
            if record is None:
                raise missing("record of user", user_id)
            return shown(record)

    def all(self, owner: Owner, user_id: int, limit: int = 20) -> list[dict[str, Any]]:
        """Return a person's sheets, newest first."""
        with self._context.db.session() as session:
            person(session, owner, user_id)
            return [shown(record) for record in session.scalars(_newest_first(user_id).limit(limit))]

    def delete(self, owner: Owner, record_id: int) -> None:
        """Delete a sheet with its reports. Raises NotFound."""
        with self._context.db.session() as session:
            session.delete(owned(session, HealthRecord, record_id, owner))


def made(session: Session, user_id: int, sheet: Sheet, source: str, record_date: datetime | None) -> HealthRecord:
    """Add a sheet to a session and give it its id. Raises BadRecord for a source that is none."""
    record = HealthRecord(user_id=user_id, source=require_text(source, "source", 100), measurements=sheet.measurements)
    if record_date is not None:
        record.record_date = aware(record_date)  # type: ignore[assignment]
    session.add(record)
    session.flush()
    return record


def newest(session: Session, user_id: int) -> HealthRecord | None:
    """Return a person's newest sheet."""
    return session.scalar(_newest_first(user_id).limit(1))


def shown(record: HealthRecord) -> dict[str, Any]:
    """Return a sheet as a JSON object, without the original."""
    measurements = record.measurements if isinstance(record.measurements, dict) else {}
    return {
        "id": record.id,
        "user_id": record.user_id,
        "record_date": iso(record.record_date),
        "source": record.source,
        "measurements": {key: value for key, value in measurements.items() if key != RAW},
        "created_at": iso(record.created_at),
    }


def _newest_first(user_id: int) -> Any:
    order = (HealthRecord.record_date.desc(), HealthRecord.id.desc())
    return select(HealthRecord).where(HealthRecord.user_id == user_id).order_by(*order)
