"""The rows of an SQL query as documents; the database is only read."""

from __future__ import annotations

import datetime
import decimal
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from wherry.address import redact
from wherry.errors import BadRecord, MissingExtra, NotListed, Unreachable, Usage
from wherry.indexing.base import Document, Part, Stamp
from wherry.indexing.sources.decoding import tidy

if TYPE_CHECKING:
    from sqlalchemy import Engine, Row
    from sqlalchemy.engine import URL

VERSION = 1
_ROWS_AT_ONCE = 1_000
_WORDS = 300


class SqlRow:
    """A row that a query has shown; nothing tells whether it changed but its values."""

    __slots__ = ("_data", "id")

    def __init__(self, id: str, data: bytes) -> None:
        self.id, self._data = id, data

    @property
    def stamp(self) -> Stamp | None:
        """Return None."""
        return None

    def bytes(self) -> bytes:
        """Return text, title and metadata as JSON."""
        return self._data

    def read(self, data: bytes) -> Document:
        """Return the document that the row is."""
        row = orjson.loads(data)
        text = row["text"] or ""
        return Document(self.id, (Part(text),) if text.strip() else (), row["title"], row["metadata"])


class SqlSource:
    """The rows of a query, one document each.

    url: as SQLAlchemy writes it (`postgresql://user@host/db`, `sqlite:///shop.db`). query: one SELECT. id, text,
    title: its columns; id must be different in every row and never null. metadata: columns that travel along.
    name: stable name of the source; by default the address and a hash of the query, so that an edited query is
    another source. Rows come as the server sends them: no result is held in memory.

    Raises Usage for an address that cannot be read.
    """

    def __init__(
        self,
        url: str,
        query: str,
        *,
        id: str = "id",
        text: str = "text",
        title: str | None = None,
        metadata: Sequence[str] = (),
        name: str | None = None,
    ) -> None:
        self._url, self.query = _parsed(url), query
        self.id, self.text, self.title, self.metadata = id, text, title, tuple(metadata)
        shown = self._url.render_as_string(hide_password=True)
        self._name = name or f"{shown} {blake2b(query.encode(), digest_size=6).hexdigest()}"
        self._shown = shown
        self._require_a_query()

    def __repr__(self) -> str:
        return f"SqlSource({self._name!r})"

    @property
    def name(self) -> str:
        """Return the name that was given, else one made of address and query, without the password."""
        return self._name

    @property
    def parser(self) -> str:
        """Return name, version and columns."""
        return f"wherry-sql/{VERSION} {orjson.dumps([self.id, self.text, self.title, self.metadata]).decode()}"

    def documents(self) -> Iterator[SqlRow]:
        """Yield every row, from one read-only transaction that is rolled back at the end.

        Raises Unreachable, NotListed for a query that fails, Usage for a column it does not have, BadRecord for
        an id that is null or comes twice.
        """
        from sqlalchemy import exc, text

        engine = self._engine()
        seen: set[bytes] = set()
        try:
            with self._connected(engine) as connection:
                rows = connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(text(_escaped(self.query)))
                names = tuple(rows.keys())
                self._require_columns(names)
                for row in rows:
                    yield self._listed(row, seen)
        except exc.SQLAlchemyError as error:
            raise self._failure(error) from None
        finally:
            engine.dispose()

    def _listed(self, row: Row[Any], seen: set[bytes]) -> SqlRow:
        values = row._asdict()
        key = values[self.id]
        if key is None or (name := _name(key)) == "":
            raise BadRecord(f"a row has no {self.id}", where=self._name, next="select an id that is never null")
        mark = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if mark in seen:
            raise BadRecord(
                f"two rows have the {self.id} {name!r}",
                where=self._name,
                next="select an id that is different everywhere",
            )
        seen.add(mark)
        return SqlRow(name, self._data(name, values))

    def _data(self, name: str, values: Mapping[str, Any]) -> bytes:
        text, title = values[self.text], values[self.title] if self.title else None
        row = {
            "text": None if text is None else tidy(str(text)),
            "title": None if title is None else tidy(str(title)),
            "metadata": {key: _plain(values[key], name, key) for key in self.metadata if values[key] is not None},
        }
        return orjson.dumps(row, option=orjson.OPT_SORT_KEYS)

    def _require_a_query(self) -> None:
        # The transaction is read-only as well; this catches the mistake before anything is reached.
        words = re.sub(r"--[^\n]*|/\*.*?\*/", " ", self.query, flags=re.DOTALL).split(None, 1)
        if not words or words[0].lower().lstrip("(") not in ("select", "with", "values", "table"):
            raise Usage("the query of a source only reads", where=self._name, next="write SELECT id, text FROM ...")

    def _require_columns(self, names: Sequence[str]) -> None:
        wanted = [self.id, self.text, *([self.title] if self.title else []), *self.metadata]
        missing = [name for name in wanted if name not in names]
        if missing:
            raise Usage(
                f"the query returns no column {', '.join(missing)}; it returns {', '.join(names)}",
                where=self._name,
                next="name the columns of the query: SqlSource(url, query, id=..., text=..., metadata=[...])",
            )

    def _engine(self) -> Engine:
        from sqlalchemy import create_engine
        from sqlalchemy.pool import NullPool

        url = self._url
        if url.get_backend_name() == "sqlite":
            return _sqlite(url)
        try:
            return create_engine(url, poolclass=NullPool)
        except ModuleNotFoundError as error:
            raise MissingExtra(
                f"the driver {error.name} of {self._shown} is not installed", next=f"pip install {error.name}"
            ) from None

    def _connected(self, engine: Engine) -> Any:
        connection = engine.connect()
        if engine.dialect.name == "postgresql":
            # One snapshot for the whole listing: rows added meanwhile neither skip nor repeat others.
            return connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        return connection

    def _failure(self, error: Exception) -> Exception:
        from sqlalchemy import exc

        original = getattr(error, "orig", None) or error
        words = redact((str(original).strip() or type(original).__name__).splitlines()[0], self._url.password or "")
        if isinstance(error, exc.OperationalError) and not getattr(error, "statement", None):
            return Unreachable(words[:_WORDS], where=self._shown, next="check that the database runs and its address")
        return NotListed(
            words[:_WORDS], where=self._name, left="nothing may be deleted", next="check the query against the database"
        )


def _parsed(url: str) -> URL:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    # psycopg 3 is the driver that is installed with Wherry.
    text = re.sub(r"^(postgres|postgresql|pgvector)://", "postgresql+psycopg://", url.strip())
    try:
        return make_url(text)
    except (ArgumentError, ValueError):
        raise Usage(
            "the address of the database cannot be read",
            next="write postgresql://user:password@host/database or sqlite:///file.db",
        ) from None


def _sqlite(url: URL) -> Engine:
    import sqlite3

    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    path = Path(url.database or "").absolute()
    if not url.database or not path.is_file():
        raise NotListed("there is no such SQLite file", where=str(url.database), next="check the path of the file")
    # Opened read-only: a mistyped name makes no file, and no statement can write.
    uri = f"{path.as_uri()}?mode=ro"
    return create_engine("sqlite://", creator=lambda: sqlite3.connect(uri, uri=True), poolclass=NullPool)


def _escaped(query: str) -> str:
    # SQLAlchemy takes `:name` for a parameter; a query has none.
    return re.sub(r"(?<!:):(?=\w)", r"\\:", query)


def _name(key: Any) -> str:
    return tidy(str(key)).strip()


def _plain(value: Any, row: str, column: str) -> Any:
    """Return a value of a column as JSON has it. Raises BadRecord for bytes and other things without a text."""
    if isinstance(value, (bool, int, str, float, list, dict)):
        return tidy(value) if isinstance(value, str) else value
    if isinstance(value, decimal.Decimal):
        return _number(value)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (uuid.UUID, datetime.timedelta)):
        return str(value)
    raise BadRecord(f"the column {column} of row {row!r} is {type(value).__name__}, which is no metadata")


def _number(value: decimal.Decimal) -> Any:
    """Return a decimal as a number where that keeps its value, else as text."""
    if not value.is_finite():
        return str(value)
    if value == value.to_integral_value() and abs(value) < 1 << 53:
        return int(value)
    return float(value) if decimal.Decimal(repr(float(value))) == value else str(value)
