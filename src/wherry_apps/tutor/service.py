"""Tutor as one object: what the commands and the endpoints call.

with open_service() as tutor:
    tutor.import_file(Path("2030.json"))
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wherry import AppDatabase, Refused, WherryError
from wherry_apps.tutor import documents, older
from wherry_apps.tutor.bank import Bank
from wherry_apps.tutor.diagnosis import Diagnosis
from wherry_apps.tutor.drafting import Drafting
from wherry_apps.tutor.explaining import Explaining
from wherry_apps.tutor.importing import Paper, read_file
from wherry_apps.tutor.indexing import Indexed, Indexing
from wherry_apps.tutor.moving import Moving
from wherry_apps.tutor.resources import Resources
from wherry_apps.tutor.searching import Searching
from wherry_apps.tutor.tables import Base

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "0001"


def database(url: str | None = None, schema: str | None = None) -> AppDatabase:
    """Return the database of Tutor, not looked at yet."""
    return AppDatabase(app="tutor", metadata=Base.metadata, migrations=MIGRATIONS, url=url, schema=schema)


def open_service(url: str | None = None, schema: str | None = None, check: bool = True) -> Tutor:
    """Open Tutor; its tables are made or brought up to date.

    check: whether the store in use is asked now, so that a wrong host shows at the start. Raises Refused for a
    database with the tables of an earlier version, Unreachable and the like.
    """
    db = database(url, schema)
    try:
        if db.revision() != HEAD:
            older.require_none(db)
            db.upgrade()
        tutor = Tutor(db)
        if check:
            tutor.resources.points().check()
    except BaseException:
        db.close()
        raise
    return tutor


class Tutor:
    """The whole service. bank, diagnosis, documents, searching, explaining, drafting, moving: its parts."""

    def __init__(self, db: AppDatabase) -> None:
        self.db = db
        self.resources = Resources(db)
        self.resources.prepare()
        self.bank, self.diagnosis = Bank(db), Diagnosis(db)
        self.documents, self.indexing = documents.Documents(db), Indexing(self.resources)
        self.searching = Searching(self.resources)
        self.explaining = Explaining(self.resources, self.searching)
        self.drafting = Drafting(self.resources, self.searching)
        self.moving = Moving(self.resources)

    def import_paper(self, paper: Paper, accept_warnings: bool = False) -> dict[str, Any]:
        """Store what a file held. Raises Refused for a warning nobody accepted, Conflict."""
        paper.require_accepted(accept_warnings)
        return self.bank.store(paper).to_dict()

    def import_file(
        self, path: Path, department: str | None = None, allow_incomplete: bool = False, accept_warnings: bool = False
    ) -> dict[str, Any]:
        """Read and store one file. Raises BadRecord naming file and questions, and as `import_paper`."""
        return self.import_paper(read_file(path, department, allow_incomplete), accept_warnings)

    def approve(self, numbers: Sequence[int], by: str) -> dict[str, Any]:
        """Approve questions and index them; `indexed` is False where a stored vector is missing, with the reason."""
        self.bank.approve(numbers, by)
        return {"approved": list(numbers), **self._indexed(numbers)}

    def reject(self, numbers: Sequence[int], status: str = "rejected") -> dict[str, Any]:
        """Reject or archive questions and take them out of the collection."""
        self.bank.reject(numbers, status)
        return {status: list(numbers), **self._indexed(numbers)}

    def edit(self, number: int, changes: dict[str, Any]) -> dict[str, Any]:
        """Change a question; an approved one is indexed anew."""
        question = self.bank.edit(number, changes)
        return question | self._indexed([number])

    def index(self) -> Indexed:
        """Bring the collection in line with the approved questions and the study documents."""
        return self.indexing.run(self.documents.points())

    def add_document(self, title: str, document: Any, **about: Any) -> dict[str, Any]:
        """Store a study document and its points, replacing the one of its title."""
        told, points, former = self.documents.store(title, document, **about)
        try:
            self.indexing.remove(former)
            failed = self.resources.points().put(points)
        except WherryError as error:
            return told | {"indexed": False, "error": error.what}
        words = next((error.what for error in failed.values()), None)
        return told | {"indexed": not failed, "error": words}

    def remove_document(self, number: int) -> dict[str, Any]:
        """Delete a study document with its points. Raises NotFound; where the store is not there nothing is deleted."""
        ids = self.documents.point_ids(number)
        # The points first: a passage without its point is mended by `index`, a point without its passage misleads.
        self.indexing.remove(ids)
        self.documents.remove(number)
        return {"removed": number, "points": len(ids)}

    def explain(self, number: int, owner: str | None, **wishes: Any) -> dict[str, Any]:
        """Explain a question. owner: the student who asks, None for an operator. Raises NotFound, Refused."""
        self._require_explainable(number, owner)
        return self.explaining.explain(number, student=owner is not None, **wishes)

    def explain_stream(self, number: int, owner: str | None) -> Any:
        """Explain a question piece by piece; the last piece says which model wrote it."""
        self._require_explainable(number, owner)
        return self.explaining.stream(number, student=owner is not None)

    def statistics(self, owner: str | None) -> dict[str, Any]:
        """Return counts: of everything for an operator, of the own sessions for a student."""
        if owner is not None:
            return self.diagnosis.counts(owner)
        now = self.resources.switches()
        points = self.resources.points()
        return {
            "questions": self.bank.counts(), **self.diagnosis.counts(None), "documents": len(self.documents.list()),
            "points": points.check(), "in": str(points.address), "llm": now.llm, "embedder": now.embedder,
        }  # fmt: skip

    def close(self) -> None:
        """Close everything; a second call does nothing."""
        self.resources.close()

    def __enter__(self) -> Tutor:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _require_explainable(self, number: int, owner: str | None) -> None:
        self.bank.get(number, student=owner is not None)
        if owner is not None and self.diagnosis.hidden_from(number, owner):
            raise Refused(
                f"question {number} is part of an open test", next="finish that test; then its questions are explained"
            )

    def _indexed(self, numbers: Sequence[int]) -> dict[str, Any]:
        found = self.indexing.some(numbers)
        errors = {str(number): why for number, why in found.items() if why}
        return {"indexed": not errors, "errors": errors}
