"""The index in PostgreSQL: sources, each with its documents, replaced whole in one transaction."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import sqlalchemy as sa
from pgvector.psycopg import register_vector
from psycopg.types.json import Jsonb
from sqlalchemy.dialects.postgresql import ARRAY, REAL, insert
from sqlalchemy.orm import Session

from wherry import Address, AppDatabase, Busy, SpaceMismatch
from wherry_apps.evals.composing import Composed
from wherry_apps.evals.runs import Json
from wherry_apps.evals.settings import Settings
from wherry_apps.evals.tables import SHARED, VECTOR_INDEX, Base, RagDocument, RagPlace, RagSource, Removed

_FIELDS = "owner,source,source_hash,doc_id"
_LOCK = 0x65766C73
# A service that has just started looks over the index for a moment; nobody should have to repeat a command for that.
_PATIENCE_S, _LOOK_S = 2.0, 0.05
# The row of all places together.
TOTALS = "all"
_COPY = (
    "COPY rag_documents (owner, source, source_hash, doc_id, content, embedding, metadata) FROM STDIN (FORMAT BINARY)"
)
_TYPES = ["varchar", "text", "text", "int4", "text", "vector", "jsonb"]


@dataclass(frozen=True)
class Known:
    """What the index has of a source. documents: rows that are really there."""

    source_hash: str
    doc_count: int
    state: str
    fingerprint: str
    embedder: Json
    place: str
    documents: int

    @property
    def whole(self) -> bool:
        """Whether all its documents are there, made by a known embedder."""
        return self.state == "ready" and self.doc_count == self.documents and bool(self.embedder)


@dataclass(frozen=True)
class Entry:
    """A source that is to be put in the index. vectors: float32, one per document."""

    owner: str
    source: str
    source_hash: str
    documents: Sequence[Composed]
    vectors: Sequence[np.ndarray]
    place: str = ""
    fingerprint: str = ""
    facts: Json = field(default_factory=dict)


class Index:
    """The tables of the index. Threads may share it."""

    def __init__(self, database: AppDatabase, settings: Settings) -> None:
        self.database, self.settings = database, settings

    @property
    def address(self) -> Address:
        """The documents as an address of the core, for searching and for moving them elsewhere."""
        return self.database.address(
            "rag_documents", id="id", vector="embedding", text="content", metadata="metadata", fields=_FIELDS,
            metric="cosine",
        )  # fmt: skip

    @contextmanager
    def exclusive(self, patience_s: float = _PATIENCE_S) -> Iterator[None]:
        """Hold the index against other runs over it, in any process; a run that ends soon is waited for. Raises Busy.

        patience_s: how long to wait, in seconds.
        """
        with self.database.begin() as connection:
            connection.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            deadline = time.monotonic() + patience_s
            while not connection.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_LOCK, self._lock_of()))):
                if time.monotonic() >= deadline:
                    raise Busy(
                        "another process is indexing",
                        where=self.database.server.shown,
                        left="what is indexed keeps answering",
                        next="wait until it ends: wherry evals status",
                    )
                time.sleep(_LOOK_S)
            yield

    def embedder(self) -> Json | None:
        """Return the embedder of the table, None while it holds nothing or what it holds was made by a stranger."""
        statement = sa.select(RagSource.embedder).where(RagSource.doc_count > 0, RagSource.embedder != {}).limit(1)
        with self.database.session() as session:
            return session.execute(statement).scalar()

    def require_embedder(self, wanted: Json) -> None:
        """Raise SpaceMismatch, naming both, where the table holds vectors of another embedder."""
        there = self.embedder()
        if there is None:
            width, rows = self._width(), self._any_row()
            if rows and width not in (None, wanted["dim"]):
                there = {"provider": "unknown", "model": "unknown", "dim": width}
        if there is not None and any(there.get(key) != wanted[key] for key in ("provider", "model", "dim")):
            raise SpaceMismatch(
                f"the index holds vectors of {_shown(there)}, not of {_shown(wanted)}",
                where=str(self.address),
                left="nothing was written",
                next="name the model of the index, or embed everything again with --recreate",
            )

    def prepare(self, dim: int) -> None:
        """Give the column of vectors its dimension while the table is empty."""
        if self._width() == dim:
            return
        with self.database.session() as session:
            session.execute(sa.text(f"DROP INDEX IF EXISTS {VECTOR_INDEX}"))
            session.execute(sa.text(f"ALTER TABLE rag_documents ALTER COLUMN embedding TYPE vector({int(dim)})"))

    def clear(self) -> None:
        """Remove every document and what is known of the sources; stored runs stay."""
        with self.database.session() as session:
            session.execute(sa.text(f"DROP INDEX IF EXISTS {VECTOR_INDEX}"))
            for table in (RagDocument, RagSource, RagPlace):
                session.execute(sa.delete(table))

    def known(self, owner: str, sources: Sequence[str]) -> dict[str, Known]:
        """Return what the index has of some sources."""
        with self.database.session() as session:
            counted = dict(session.execute(
                sa.select(RagDocument.source, sa.func.count())
                .where(RagDocument.owner == owner, RagDocument.source.in_(sources)).group_by(RagDocument.source)
            ).all())  # fmt: skip
            rows = session.execute(sa.select(
                RagSource.source, RagSource.source_hash, RagSource.doc_count, RagSource.state, RagSource.fingerprint,
                RagSource.embedder, RagSource.place,
            ).where(RagSource.owner == owner, RagSource.source.in_(sources)))  # fmt: skip
            return {row[0]: Known(*row[1:], counted.get(row[0], 0)) for row in rows}

    def removed(self, owner: str, sources: Sequence[str]) -> set[str]:
        """Return which of some sources were deleted here."""
        statement = sa.select(Removed.source).where(Removed.owner == owner, Removed.source.in_(sources))
        with self.database.session() as session:
            return set(session.execute(statement).scalars())

    def vectors(self, owner: str, sources: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the vectors that some sources have now, by text: what did not change is not paid for again."""
        # As plain numbers: a prepared statement would not outlive a change of the column's dimension.
        numbers = sa.cast(RagDocument.embedding, ARRAY(REAL))
        statement = sa.select(RagDocument.content, numbers).where(
            RagDocument.owner == owner, RagDocument.source.in_(sources)
        )
        with self.database.session() as session:
            return {text: np.asarray(vector, np.float32) for text, vector in session.execute(statement)}

    def begin(self, owner: str, places: dict[str, str]) -> None:
        """Note that sources are being worked on (source -> place); their documents stay as they are."""
        rows = [
            {"owner": owner, "source": source, "place": place, "state": "indexing", "attempts": 1}
            for source, place in places.items()
        ]
        statement = insert(RagSource).values(rows)
        changed = {"state": "indexing", "attempts": RagSource.attempts + 1}
        with self.database.session() as session:
            session.execute(statement.on_conflict_do_update(index_elements=["source", "owner"], set_=changed))

    def replace(self, entries: Sequence[Entry], embedder: Json, chunker: Json) -> None:
        """Put sources in place of what is there of them: readers see old or new, never half."""
        with self.database.session() as session:
            for owner, some in _by_owner(entries):
                names = sorted(entry.source for entry in some)
                # Two processes that write one source take turns; `begin` made the rows.
                mine = sa.and_(RagSource.owner == owner, RagSource.source.in_(names))
                session.execute(sa.select(RagSource.source).where(mine).order_by(RagSource.source).with_for_update())
                session.execute(sa.delete(RagDocument).where(RagDocument.owner == owner, RagDocument.source.in_(names)))
            _copy(session, entries)
            _note(session, entries, embedder, chunker)

    def same(self, owner: str, fingerprints: dict[str, str], place: str) -> None:
        """Note that sources were looked at and had not changed, though what they were read from had."""
        rows = [
            {"b_source": source, "b_owner": owner, "b_print": fingerprint, "b_place": place}
            for source, fingerprint in fingerprints.items()
        ]
        if rows:
            statement = sa.update(RagSource.__table__).where(  # type: ignore[arg-type]
                RagSource.source == sa.bindparam("b_source"), RagSource.owner == sa.bindparam("b_owner")
            )
            statement = statement.values(
                state="ready", error=None, fingerprint=sa.bindparam("b_print"), place=sa.bindparam("b_place")
            )
            with self.database.session() as session:
                session.connection().execute(statement, rows)

    def fail(self, owner: str, source: str, place: str, error: str) -> None:
        """Note why a source could not be indexed; its earlier documents stay."""
        row = {"owner": owner, "source": source, "place": place, "state": "failed", "error": error, "attempts": 1}
        statement = insert(RagSource).values(**row)
        changed = {"state": "failed", "error": error, "fingerprint": ""}
        with self.database.session() as session:
            session.execute(statement.on_conflict_do_update(index_elements=["source", "owner"], set_=changed))

    def remove(self, owner: str, sources: Iterable[str], *, lasting: bool = False) -> int:
        """Remove sources and their documents; return how many sources there were.

        lasting: a place that still has them does not bring them back.
        """
        names = list(sources)
        with self.database.session() as session:
            for table in (RagDocument, RagSource):
                found = session.execute(sa.delete(table).where(table.owner == owner, table.source.in_(names)))
            if lasting and names:
                rows = [{"owner": owner, "source": name} for name in names]
                session.execute(insert(Removed).values(rows).on_conflict_do_nothing())
            return int(found.rowcount)  # type: ignore[attr-defined]

    def welcome(self, owner: str, source: str) -> None:
        """Let a source that was deleted come back."""
        with self.database.session() as session:
            session.execute(sa.delete(Removed).where(Removed.owner == owner, Removed.source == source))

    def of_place(self, owner: str, place: str) -> set[str]:
        """Return the sources that were read from a place."""
        statement = sa.select(RagSource.source).where(RagSource.owner == owner, RagSource.place == place)
        with self.database.session() as session:
            return set(session.execute(statement).scalars())

    def place(self, owner: str, place: str) -> RagPlace | None:
        """Return what is known of a place."""
        with self.database.session() as session:
            return session.get(RagPlace, {"place": place, "owner": owner})

    def keep_place(self, owner: str, place: str, **values: Any) -> None:
        """Keep what was seen of a place."""
        values["seen_at"] = datetime.now(UTC)
        statement = insert(RagPlace).values(owner=owner, place=place, **values)
        with self.database.session() as session:
            session.execute(statement.on_conflict_do_update(index_elements=["place", "owner"], set_=values))

    def spend(self, embedded: int, seconds: float) -> None:
        """Add what a run over the index took to what all of them took together."""
        values = {"embedded": embedded, "seconds": seconds, "seen_at": datetime.now(UTC)}
        statement = insert(RagPlace).values(owner=SHARED, place=TOTALS, kind="totals", **values)
        more = {**values, "embedded": RagPlace.embedded + embedded, "seconds": RagPlace.seconds + seconds}
        with self.database.session() as session:
            session.execute(statement.on_conflict_do_update(index_elements=["place", "owner"], set_=more))

    def intact(self, owner: str, place: str) -> int | None:
        """Return how many sources of a place there are, None unless each is ready and has all its documents."""
        of_place = sa.and_(RagSource.owner == owner, RagSource.place == place)
        with self.database.session() as session:
            sources, wanted, unready = session.execute(sa.select(
                sa.func.count(),
                sa.func.coalesce(sa.func.sum(RagSource.doc_count), 0),
                sa.func.count().filter(RagSource.state != "ready"),
            ).where(of_place)).one()  # fmt: skip
            if unready:
                return None
            join = sa.and_(RagSource.source == RagDocument.source, RagSource.owner == RagDocument.owner)
            found = sa.select(sa.func.count()).select_from(RagDocument).join(RagSource, join).where(of_place)
            return int(sources) if int(session.execute(found).scalar_one()) == int(wanted) else None

    def finish(self, changed: bool) -> None:
        """Make the vector index if there is none of the kind that the settings name; renew statistics if changed."""
        wanted = {
            "hnsw": f"USING hnsw (embedding vector_cosine_ops) WITH (m = {self.settings.hnsw_m},"
            f" ef_construction = {self.settings.hnsw_ef_construction})",
            "ivfflat": f"USING ivfflat (embedding vector_cosine_ops) WITH (lists = {self.settings.lists})",
            "none": "",
        }[self.settings.index]
        filled = self._any_row()
        with self.database.session() as session:
            there = session.execute(
                sa.text("SELECT indexdef FROM pg_indexes WHERE schemaname = :schema AND indexname = :name"),
                {"schema": self.database.schema, "name": VECTOR_INDEX},
            ).scalar()
            if there is not None and not _same_index(there, wanted):
                session.execute(sa.text(f"DROP INDEX {VECTOR_INDEX}"))
                there = None
            if there is None and wanted and filled:
                session.execute(sa.text(f"CREATE INDEX {VECTOR_INDEX} ON rag_documents {wanted}"))
            if changed:
                session.execute(sa.text("ANALYZE rag_documents"))

    def _any_row(self) -> bool:
        with self.database.session() as session:
            return bool(session.execute(sa.select(sa.exists().select_from(RagDocument))).scalar())

    def _width(self) -> int | None:
        """The dimension of the column of vectors, None while it has none."""
        with self.database.session() as session:
            found = session.execute(
                sa.text(
                    "SELECT atttypmod FROM pg_attribute WHERE attrelid = to_regclass('rag_documents')"
                    " AND attname = 'embedding'"
                )
            ).scalar()
        return found if found is not None and found > 0 else None

    def _lock_of(self) -> int:
        return crc32(self.database.schema.encode()) - 2**31


def open_database(url: str | None = None, schema: str | None = None) -> AppDatabase:
    """Return the database of the app. Nothing is contacted, nothing made."""
    return AppDatabase("evals", Base.metadata, Path(__file__).parent / "migrations", url, schema)


def bring_up(database: AppDatabase) -> None:
    """Make the tables, or bring them to this version; where they are, Alembic need not even be imported."""
    head = max(path.stem[1:5] for path in (Path(__file__).parent / "migrations").glob("v*.py"))
    with database.session() as session:
        there = session.execute(sa.text("SELECT to_regclass('alembic_version_evals')")).scalar()
        if there is not None:
            found = session.execute(sa.text("SELECT version_num FROM alembic_version_evals")).scalar()
            if found == head:
                return
    database.upgrade()


def _by_owner(entries: Sequence[Entry]) -> Iterator[tuple[str, list[Entry]]]:
    for owner in sorted({entry.owner for entry in entries}):
        yield owner, [entry for entry in entries if entry.owner == owner]


def _copy(session: Session, entries: Sequence[Entry]) -> None:
    connection = session.connection().connection.driver_connection
    register_vector(connection)  # type: ignore[arg-type]
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:  # type: ignore[union-attr]
        copy.set_types(_TYPES)
        for entry in entries:
            for at, (document, vector) in enumerate(zip(entry.documents, entry.vectors, strict=True)):
                copy.write_row((
                    entry.owner, entry.source, entry.source_hash, at, document.content, vector,
                    Jsonb(document.metadata),
                ))  # fmt: skip


def _note(session: Session, entries: Sequence[Entry], embedder: Json, chunker: Json) -> None:
    now = datetime.now(UTC)
    rows = [
        {
            "owner": entry.owner, "source": entry.source, "source_hash": entry.source_hash,
            "doc_count": len(entry.documents), "embedder": embedder, "chunker": chunker, "state": "ready",
            "error": None, "indexed_at": now, "place": entry.place, "fingerprint": entry.fingerprint,
            "facts": entry.facts,
        }
        for entry in entries
    ]  # fmt: skip
    if rows:
        statement = insert(RagSource).values(rows)
        changed = {name: statement.excluded[name] for name in rows[0] if name not in ("owner", "source")}
        session.execute(statement.on_conflict_do_update(index_elements=["source", "owner"], set_=changed))


def _same_index(there: str, wanted: str) -> bool:
    """Tell whether an index is what the settings ask for, by what PostgreSQL says of it."""
    plain = there.replace("'", "").replace(" ", "").replace("public.", "").lower()
    return bool(wanted) and wanted.replace(" ", "").lower() in plain


def _shown(embedder: Json) -> str:
    return f"{embedder['provider']}:{embedder['model']} with {embedder['dim']} components"
