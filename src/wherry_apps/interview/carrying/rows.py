"""What becomes of the rows of each older table.

Each function gets a row as JSON, changes it into the columns of the new table, and notes what cannot be carried over.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wherry_apps.interview.carrying.values import Unfit, score
from wherry_apps.interview.rules.scores import COLUMNS, overall

Row = dict[str, Any]
STATUSES = ("pending", "in_progress", "completed", "failed")
UNKNOWN_COMPANY = "(회사 {id}: 이름 없음)"
UNKNOWN_APPLICANT = "(지원자 {id}: 이름 없음)"
MIGRATED = "before this program"


class Homeless(Exception):
    """A row that belongs to nothing that is there."""


@dataclass
class Carried:
    """What was carried over so far. ids: of each table. stubs: rows that others needed, by table."""

    ids: dict[str, set[int]] = field(default_factory=dict)
    stubs: dict[str, dict[int, Row]] = field(default_factory=dict)
    notes: list[tuple[str, str]] = field(default_factory=list)
    session_jobs: list[Row] = field(default_factory=list)
    taken: set[tuple[str, Any]] = field(default_factory=set)

    def has(self, table: str, id: Any) -> bool:
        """Tell whether a row is there."""
        return id in self.ids.get(table, ()) or id in self.stubs.get(table, ())

    def once(self, what: str, value: Any) -> bool:
        """Tell whether a value comes for the first time."""
        fresh = (what, value) not in self.taken
        self.taken.add((what, value))
        return fresh


# (row, what was carried so far, note): note(column, value, reason) sets a value aside.
Note = Callable[[str, Any, str], None]


def companies(row: Row, so_far: Carried, note: Note) -> None:
    """A company needs a name."""
    row["name"] = row.get("name") or row.pop("company_name", None) or UNKNOWN_COMPANY.format(id=row.get("id"))


def applicants(row: Row, so_far: Carried, note: Note) -> None:
    """An applicant needs a name; a mail address is one person's."""
    row["name"] = row.get("name") or UNKNOWN_APPLICANT.format(id=row.get("id"))
    if row.get("email") and not so_far.once("email", row["email"]):
        note("email", row["email"], "another applicant has this address")
        row["email"] = None


def jobs(row: Row, so_far: Carried, note: Note) -> None:
    """A job belongs to a company; where there is none of this id, one is made and reported."""
    row["company_id"] = _company(row.get("company_id"), so_far)
    row["title"] = row.get("title") or f"({row.get('id')})"


def job_chunks(row: Row, so_far: Carried, note: Note) -> None:
    """A chunk belongs to a job; its vector is copied by the database itself."""
    row.pop("embedding", None)
    _belongs(row, "job_id", "jobs", so_far)
    row["chunk_text"] = row.get("chunk_text") or ""
    index = row.get("chunk_index")
    index = index if isinstance(index, int) else 0
    while not so_far.once("chunk", (row["job_id"], index)):
        index += 1
    if index != row.get("chunk_index"):
        note("chunk_index", row.get("chunk_index"), f"this number was taken; it is {index} now")
    row["chunk_index"] = index


def personas(row: Row, so_far: Carried, note: Note) -> None:
    """A persona belongs to a company."""
    row["company_id"] = _company(row.get("company_id"), so_far)
    row["persona_name"] = row.get("persona_name") or row.pop("name", None) or f"({row.get('id')})"
    if row.get("archetype") not in ("analytical", "supportive", "stress_tester"):
        if row.get("archetype") is not None:
            note("archetype", row["archetype"], "no known archetype")
        row["archetype"] = None


def questions(row: Row, so_far: Carried, note: Note) -> None:
    """A question may belong to a job; its difficulty is 1 to 5."""
    _refers(row, "job_id", "jobs", so_far, note)
    _refers(row, "persona_id", "personas", so_far, note)
    row["question_type"] = row.get("question_type") or "unknown"
    row["question_text"] = row.get("question_text") or ""
    level = row.get("difficulty_level")
    if level is not None and not (isinstance(level, int) and 1 <= level <= 5):
        note("difficulty_level", level, "a difficulty is 1 to 5")
        row["difficulty_level"] = None


def interview_sessions(row: Row, so_far: Carried, note: Note) -> None:
    """A session has an applicant, a status in lower case, and one to three jobs or a company."""
    row["applicant_id"] = _applicant(row.get("applicant_id"), so_far)
    listed = _listed(row.pop("job_ids", None))
    first = [] if row.get("job_id") is None else [row["job_id"]]
    wanted = [*first, *(listed if isinstance(listed, list) else [])]
    there = [id for id in dict.fromkeys(wanted) if so_far.has("jobs", id)]
    lost = [id for id in dict.fromkeys(wanted) if not so_far.has("jobs", id)]
    if lost or (listed is not None and not isinstance(listed, list)):
        note("job_ids", lost or listed, "these jobs are not there")
    row["job_id"] = there[0] if there else None
    so_far.session_jobs += [{"session_id": row["id"], "job_id": id, "position": n} for n, id in enumerate(there)]
    if row.get("company_id") is not None:
        row["company_id"] = _company(row["company_id"], so_far)
    row["status"] = _status(row, note)


def _listed(given: Any) -> Any:
    """Return a list of ids: some programs kept it as text, or its numbers as words."""
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            return given
    if not isinstance(given, list):
        return given
    return [int(one) if isinstance(one, str) and one.isascii() and one.isdigit() else one for one in given]


def interview_session_jobs(row: Row, so_far: Carried, note: Note) -> None:
    """A job of a session."""
    _belongs(row, "session_id", "interview_sessions", so_far)
    _belongs(row, "job_id", "jobs", so_far)


def interview_results(row: Row, so_far: Carried, note: Note) -> None:
    """A result belongs to a session; its scores are 0 to 100; its metadata had several names."""
    _belongs(row, "interview_id", "interview_sessions", so_far)
    _refers(row, "question_id", "questions", so_far, note)
    _refers(row, "job_id", "jobs", so_far, note)
    for name in ("interview_metadata", "meta", "result_metadata"):
        found = row.pop(name, None)
        if row.get("metadata") is None and found is not None:
            row["metadata"] = found
    row["stt_full_text"] = row.get("stt_full_text") or ""
    for name in (*COLUMNS, "overall_score"):
        row[name] = _scored(row.get(name), name, note)
    row["scores"] = _scores(row.get("scores"), note)
    for name in ("strengths", "weaknesses"):
        if row.get(name) is not None and not isinstance(row[name], list):
            row[name] = [row[name]]
    dimensions = {**{name: row[name] for name in COLUMNS}, **row["scores"]}
    if row["overall_score"] is None:
        row["overall_score"] = overall(dimensions)
    if row["overall_score"] is not None:
        row["scored_by"] = row.get("scored_by") or MIGRATED


def session_transcripts(row: Row, so_far: Carried, note: Note) -> None:
    """A turn belongs to a session."""
    _belongs(row, "session_id", "interview_sessions", so_far)
    row["text"] = row.get("text") or ""
    row["speaker"] = row.get("speaker") or "unknown"


# In the order in which rows may refer to each other.
TABLES: dict[str, Callable[[Row, Carried, Note], None]] = {
    "companies": companies,
    "applicants": applicants,
    "jobs": jobs,
    "job_chunks": job_chunks,
    "personas": personas,
    "questions": questions,
    "interview_sessions": interview_sessions,
    "interview_session_jobs": interview_session_jobs,
    "interview_results": interview_results,
    "session_transcripts": session_transcripts,
}


def _belongs(row: Row, column: str, table: str, so_far: Carried) -> None:
    if not so_far.has(table, row.get(column)):
        raise Homeless(f"{column} {row.get(column)} is not in {table}")


def _refers(row: Row, column: str, table: str, so_far: Carried, note: Note) -> None:
    if row.get(column) is not None and not so_far.has(table, row[column]):
        note(column, row[column], f"not in {table}")
        row[column] = None


def _company(id: Any, so_far: Carried) -> int:
    """Return the id of a company that is there; a stub is made for one that is not."""
    number = id if isinstance(id, int) else 0
    if not so_far.has("companies", number):
        name = UNKNOWN_COMPANY.format(id=number)
        so_far.stubs.setdefault("companies", {})[number] = {"id": number, "name": name}
    return number


def _applicant(id: Any, so_far: Carried) -> int:
    number = id if isinstance(id, int) else 0
    if not so_far.has("applicants", number):
        name = UNKNOWN_APPLICANT.format(id=number)
        so_far.stubs.setdefault("applicants", {})[number] = {"id": number, "name": name}
    return number


def _status(row: Row, note: Note) -> str:
    given = row.get("status")
    status = str(given or "pending").lower().replace("-", "_").replace(" ", "_")
    if status in STATUSES:
        return status
    note("status", given, "no known status")
    return "completed" if row.get("completed_at") else "failed"


def _scored(value: Any, name: str, note: Note) -> float | None:
    try:
        return score(value)
    except Unfit as unfit:
        note(name, value, unfit.reason)
        return None


def _scores(given: Any, note: Note) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        note("scores", given, "scores are an object")
        return {}
    return {name: _scored(value, f"scores.{name}", note) for name, value in given.items()}
