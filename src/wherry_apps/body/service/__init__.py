"""Body as one object: what the commands and the endpoints call.

    with Body() as body:
        sheet = body.records.read(measurements)
        report = body.reports.analyse_sheet(None, user_id, sheet, embedders=["hash:1024"])

`owner` is the tenant of whoever asks; None is the command line and the operator, who see all persons.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from sqlalchemy import select

import wherry
from wherry_apps.body.service.context import Context, Owner, owned, person
from wherry_apps.body.service.embedding import Embedding
from wherry_apps.body.service.goals import Goals
from wherry_apps.body.service.importing import Importing
from wherry_apps.body.service.people import People
from wherry_apps.body.service.records import Records
from wherry_apps.body.service.reports import Reports
from wherry_apps.body.service.retrieval import Retrieval
from wherry_apps.body.service.talks import Talks
from wherry_apps.body.service.vectors import Vectors
from wherry_apps.body.service.weekly import Weekly
from wherry_apps.body.settings import Models, Settings
from wherry_apps.body.tables import AnalysisReport, Base, HealthRecord

MIGRATIONS = Path(__file__).parents[1] / "migrations"
HEAD = "0001"


class Body:
    """The app over one database; threads may share it.

    url: of a server, else the environment says where. schema: where the tables are, if not where they usually are.
    """

    def __init__(self, url: str | None = None, settings: Settings | None = None, schema: str | None = None) -> None:
        self.settings = settings or Settings.from_environment()
        self.db = database(url, schema)
        self.models = Models(self.settings.patience_s)
        context = Context(self.db, self.settings, self.models)
        self.vectors = Vectors(context)
        self.people, self.records, self.goals = People(context), Records(context), Goals(context)
        self.retrieval = Retrieval(context, self.vectors)
        self.reports = Reports(context, self.vectors)
        self.plans = Weekly(context, self.retrieval)
        self.talks = Talks(context)
        self.embedding = Embedding(context, self.vectors)
        self.importing = Importing(context, self.vectors, self.reports)

    def require_tables(self) -> Self:
        """Raise Refused, saying what to run, where the tables are not there or of an earlier program."""
        if self.db.revision() == HEAD:
            return self
        raise wherry.Refused(
            "the database does not have the tables of this version",
            where=self.db.server.shown,
            left="nothing",
            next="run: wherry body init (or wherry body migrate, where an earlier program's tables are)",
        )

    def delete_person(self, owner: Owner, user_id: int) -> None:
        """Delete a person with everything that is theirs, vectors in other collections included. Raises NotFound."""
        with self.db.session() as session:
            person(session, owner, user_id)
            reports = list(session.scalars(select(AnalysisReport.id).where(AnalysisReport.user_id == user_id)))
        self.vectors.forget(reports)
        self.people.delete(owner, user_id)

    def delete_record(self, owner: Owner, record_id: int) -> None:
        """Delete a sheet with its reports, their vectors and what was said about them. Raises NotFound."""
        with self.db.session() as session:
            owned(session, HealthRecord, record_id, owner)
            reports = list(session.scalars(select(AnalysisReport.id).where(AnalysisReport.record_id == record_id)))
        self.vectors.forget(reports)
        self.talks.forget("report", reports)
        self.records.delete(owner, record_id)

    def check(self) -> dict[str, Any]:
        """Describe connection, extension, tables and indexes."""
        return self.db.check()

    def close(self) -> None:
        """Close everything; a second call does nothing."""
        self.vectors.close()
        self.models.close()
        self.db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def database(url: str | None = None, schema: str | None = None) -> wherry.AppDatabase:
    """Return the database of the app."""
    return wherry.AppDatabase(app="body", metadata=Base.metadata, migrations=MIGRATIONS, url=url, schema=schema)


def open_service() -> Body:
    """Return the service for `wherry serve`. The tables are made in a database that Wherry chose itself."""
    body = Body()
    try:
        if body.db.schema != "public":
            body.db.upgrade()
        return body.require_tables()
    except BaseException:
        body.close()
        raise
