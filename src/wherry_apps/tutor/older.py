"""`questions` tables of earlier versions, brought to today's in place.

The older table keeps its rows and its vectors under another name; today's table stands in its place. What cannot be
mapped is listed and stays where it is. Running it again finds nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select, text
from sqlalchemy.orm import Session

from wherry import AppDatabase, BadRecord, Document, NotFound, Part, Refused
from wherry_apps.tutor.documents import Documents
from wherry_apps.tutor.importing import digest, read_paper
from wherry_apps.tutor.tables import APPROVALS, Question, StudyDocument

TABLE, BEFORE = "questions", "questions_before"
DOCUMENT = "rag_document"
_CIRCLED = str.maketrans("①②③④⑤⑥⑦⑧⑨", "123456789")
_COLUMNS = "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(:name) AND attnum > 0 AND NOT attisdropped"
_VECTORS = (
    "SELECT attname FROM pg_attribute a JOIN pg_type t ON t.oid = atttypid WHERE attrelid = to_regclass(:name)"
    " AND typname IN ('vector', 'halfvec', 'sparsevec', 'tsvector', 'bytea') AND attnum > 0 AND NOT attisdropped"
)
_INDEXES = "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = to_regclass(:name)"
_SEQUENCES = (
    "SELECT d.objid::regclass::text FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S'"
    " WHERE d.refobjid = to_regclass(:name) AND d.classid = 'pg_class'::regclass"
)
_RENUMBER = (
    "SELECT setval(pg_get_serial_sequence('questions', 'id'), coalesce((SELECT max(id) FROM questions), 0) + 1, false)"
)
_NAME_BYTES = 63


@dataclass(frozen=True)
class Migrated:
    """What became of an older table. total = questions + documents + unmappable; moved: rows that this run brought.

    unmappable: id and reason of each row that stays in the older table alone.
    """

    table: str
    total: int
    questions: int
    documents: int
    moved: int
    unmappable: tuple[dict[str, str], ...] = field(default=())

    @property
    def exit_code(self) -> int:
        """0 done, 5 some rows could not be mapped."""
        return 5 if self.unmappable else 0

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {**self.__dict__, "unmappable": list(self.unmappable)}


def require_none(db: AppDatabase) -> None:
    """Raise Refused where the database still has the table of an earlier version."""
    with db.begin() as connection:
        if _is_older(connection, f'"{db.schema}".{TABLE}'):
            raise Refused(
                "the table questions is of an earlier version",
                where=db.server.shown,
                left="nothing was changed",
                next="wherry tutor migrate",
            )


def migrate(db: AppDatabase, table: str | None = None) -> Migrated | None:
    """Bring an older table to today's; None where there is none.

    table: `schema.name` of one that lies elsewhere; left out, the `questions` of Tutor's own schema. Raises NotFound,
    Refused while the own table is an older one itself.
    """
    if table is not None:
        require_none(db)
    own = f'"{db.schema}".{TABLE}'
    with db.begin() as connection:
        if table is None and _is_older(connection, own):
            _put_aside(connection, db.schema)
        # As the server spells it, which is fit for a statement.
        known = connection.execute(
            text("SELECT to_regclass(:name)::text"), {"name": table or f'"{db.schema}".{BEFORE}'}
        ).scalar()
    db.upgrade()
    if known is None and table is not None:
        raise NotFound(f"there is no table {table}", where=db.server.shown)
    return _copied(db, str(known)) if known is not None else None


def mapped(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return an older row as the columns of today's table. Raises BadRecord saying why it cannot be."""
    flat = {**row, **_object(row, "classification"), **_object(row, "status_info")}
    read = {
        "question_number": flat.get("question_number") or flat.get("id"),
        "content": flat.get("content") or flat.get("question_text") or flat.get("question"),
        "options": _options(flat), "description": flat.get("description"), "year": flat.get("year"),
        "subject": flat.get("subject_name") or flat.get("subject"), "department": flat.get("department"),
        "area_name": flat.get("area_name") or flat.get("area"), "difficulty": flat.get("difficulty"),
        "question_type": flat.get("question_type"),
    }  # fmt: skip
    if not read["question_type"] and not read["options"]:
        read["question_type"] = "short_answer"
    if not isinstance(read["question_number"], int):
        read["question_number"] = 0
    read["correct_answer"] = _key(flat.get("correct_answer"), read["options"])
    values = read_paper({"meta": {}, "questions": [read]}, name).items[0].values
    status = str(flat.get("approval_status") or "pending").lower()
    if status not in APPROVALS:
        raise BadRecord(f"approval_status {status!r} is none of {', '.join(APPROVALS)}")
    approved = _time(flat.get("approved_at"))
    return values | {
        "approval_status": status, "is_active": flat.get("is_active") is not False,
        "approved_by": str(flat["approved_by"]) if flat.get("approved_by") else None,
        "approved_at": approved or (datetime.now(UTC) if status == "approved" else None),
        "difficulty_source": "migrated", "source_info": {"file": name, "former": former(name, row)},
        "content_sha256": digest(values["content"]),
    }  # fmt: skip


def former(name: str, row: Mapping[str, Any]) -> str:
    """Return how a migrated row remembers the older one."""
    return f"{name}:{row.get('id')}"


def _copied(db: AppDatabase, name: str) -> Migrated:
    unmappable: list[dict[str, str]] = []
    counts = {"questions": 0, "documents": 0, "moved": 0}
    papers: list[Mapping[str, Any]] = []
    with db.session() as session:
        known = set(session.scalars(select(Question.source_info["former"].astext)))
        rows = list(_rows(session.connection(), name))
        for row in rows:
            if DOCUMENT in (row.get("type"), row.get("question_type"), row.get("content_type")):
                papers.append(row)
                continue
            try:
                counts["moved"] += 0 if former(name, row) in known else _inserted(session, row, name)
                counts["questions"] += 1
            except BadRecord as error:
                unmappable.append({"id": str(row.get("id")), "reason": error.what})
        session.execute(text(_RENUMBER))
    for row in papers:
        try:
            counts["moved"] += _document(db, row, name)
            counts["documents"] += 1
        except BadRecord as error:
            unmappable.append({"id": str(row.get("id")), "reason": error.what})
    return Migrated(name, len(rows), **counts, unmappable=tuple(unmappable))


def _inserted(session: Session, row: Mapping[str, Any], name: str) -> int:
    """Store one row under its own number where that is free; return 1."""
    try:
        values = mapped(row, name)
    except BadRecord as error:
        raise BadRecord(error.what.partition(": ")[2] or error.what) from None
    keys = ("content_sha256", "department", "year", "question_number")
    same = select(Question.id).where(*(getattr(Question, key).is_not_distinct_from(values[key]) for key in keys))
    twin = session.scalar(same)
    if twin is not None:
        raise BadRecord(f"it says the same as question {twin}")
    number = row.get("id")
    if isinstance(number, int) and 0 < number < 1 << 31 and session.get(Question, number) is None:
        values["id"] = number
    session.add(Question(**values))
    session.flush()
    return 1


def _document(db: AppDatabase, row: Mapping[str, Any], name: str) -> int:
    """Store one row as a study document; return 1, 0 for one that is there already."""
    held = str(row.get("content") or row.get("text") or row.get("question_text") or "")
    title = str(row.get("title") or row.get("file_title") or row.get("source") or former(name, row))
    path = former(name, row)
    with db.session() as session:
        known = session.scalars(select(StudyDocument).where(StudyDocument.title == title)).one_or_none()
    if known is not None and known.path == path:
        return 0
    title = title if known is None else f"{title} ({row.get('id')})"
    Documents(db).store(
        title, Document(path, (Part(held),), title), path=path,
        department=row.get("department"), subject=row.get("subject_name") or row.get("subject"),
    )  # fmt: skip
    return 1


def _rows(connection: Connection, name: str) -> Iterator[dict[str, Any]]:
    left_out = _column(connection, _VECTORS, name)
    rows = connection.execute(text(f"SELECT to_jsonb(q) - :out FROM {name} q ORDER BY 1"), {"out": left_out})
    found = [dict(row[0]) for row in rows]
    yield from sorted(found, key=lambda row: (not isinstance(row.get("id"), int), row.get("id") or 0, str(row)))


def _is_older(connection: Connection, name: str) -> bool:
    columns = _column(connection, _COLUMNS, name)
    return bool(columns) and "content_sha256" not in columns


def _put_aside(connection: Connection, schema: str) -> None:
    """Give the older table and what belongs to it other names; its rows and vectors stay as they are."""
    name = f'"{schema}".{TABLE}'
    # Whoever works with it ends first, and nobody begins: the names change in one moment.
    connection.execute(text(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE"))
    for kind, query in (("INDEX", _INDEXES), ("SEQUENCE", _SEQUENCES)):
        for found in _column(connection, query, name):
            bare = found.rpartition(".")[2].strip('"')
            new = f"{bare[: _NAME_BYTES - 7]}_before"
            connection.execute(text(f'ALTER {kind} {found} RENAME TO "{new}"'))
    connection.execute(text(f"ALTER TABLE {name} RENAME TO {BEFORE}"))


def _column(connection: Connection, query: str, name: str) -> list[str]:
    return [str(row[0]) for row in connection.execute(text(query), {"name": name})]


def _object(row: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = row.get(key)
    return dict(value) if isinstance(value, Mapping) else {}


def _options(row: Mapping[str, Any]) -> Any:
    value = row.get("options") or row.get("choices")
    return {str(n): one for n, one in enumerate(value, 1)} if isinstance(value, list) else value


def _key(value: Any, options: Any) -> Any:
    """Return an answer as an option's key: ② is 2, and the words of an option are its key."""
    said = str(value).strip().translate(_CIRCLED) if value is not None else None
    if isinstance(options, dict) and said not in options:
        return next((key for key, words in options.items() if words == said), said)
    return said


def _time(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(value)) if value else None
    except ValueError:
        raise BadRecord(f"approved_at {value!r} is no time") from None
    return found.replace(tzinfo=UTC) if found is not None and found.tzinfo is None else found
