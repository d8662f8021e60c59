"""A SQLAlchemy model as a collection, its columns named by its own attributes.

wherry.from_model(Page, vector=Page.embedding, text=Page.body, fields=[Page.title, Page.page], engine=engine)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psycopg

from wherry.address import Address
from wherry.errors import BadAddress, NoSuchCollection
from wherry.postgres.link import server_of
from wherry.space import Metric
from wherry.stores.pgvector.catalog import Table
from wherry.stores.pgvector.source import OPTIONS
from wherry.stores.pgvector.target import PgTarget

if TYPE_CHECKING:
    from sqlalchemy import Engine

_SCHEME = "postgresql"
# What SQLAlchemy's engines have in their URLs for themselves, not for the driver.
_NOT_THE_DRIVERS = {"async_fallback", "prepared_statement_cache_size"}
FOUND = "found by rule"


class ModelTable(PgTarget):
    """The table of a model, for reading and writing. It is the model's to be made, and never made here."""

    def _absent(self, connection: psycopg.Connection) -> Table:
        raise NoSuchCollection(
            f"there is no table {self._address.collection!r}",
            where=self.address,
            left="nothing was made",
            next="make it as the model says: Base.metadata.create_all(engine), or your migrations",
        )


def from_model(
    model: Any,
    *,
    vector: Any,
    id: Any = FOUND,
    text: Any = FOUND,
    metadata: Any = FOUND,
    fields: Sequence[Any] = (),
    metric: str | Metric | None = None,
    engine: Engine | None = None,
    url: str | None = None,
) -> ModelTable:
    """Open the table of a SQLAlchemy model, as a source or a target.

    model: a mapped class or a Table. vector: the attribute (or column, or its name) of pgvector's type vector or
    halfvec. id: what identifies a row, the primary key by default. text, metadata: the text and a JSON column; None
    where there is none, left out they are found by name and type. fields: further attributes that are keys of the
    metadata, under the names of their columns. metric: by which vectors are compared, where no index says it.
    engine, url: where the database is (SQLAlchemy's engine, or an URL as SQLAlchemy or Wherry write it); left out,
    the server of WHERRY_DATABASE_URL or the embedded one.

    Raises BadAddress when the model has no such columns or both engine and url are given, NoSuchCollection when the
    database has no such table, Unreachable or AuthFailed.
    """
    table = getattr(model, "__table__", model)
    roles = {"id": _only_key(table) if id is FOUND else id, "vector": vector, "text": text, "metadata": metadata}
    options = {role: _column_name(table, given, role) for role, given in roles.items() if given is not FOUND}
    if fields:
        options["fields"] = ",".join(_column_name(table, given, "field") for given in fields)
    if table.schema:
        options["schema"] = table.schema
    if metric is not None:
        options["metric"] = Metric.parse(str(metric)).value
    location, more = _place(engine, url)
    address = Address(_SCHEME if location else "pgvector", location, table.name, {**more, **options})
    return ModelTable(address, server_of(address, OPTIONS))


def _only_key(table: Any) -> Any:
    keys = list(table.primary_key.columns)
    if len(keys) != 1:
        named = ", ".join(key.name for key in keys) or "no column"
        raise BadAddress(
            f"the primary key of {table.name!r} is {named}", next="say with id= which one column identifies a row"
        )
    return keys[0]


def _column_name(table: Any, given: Any, role: str) -> str:
    """Return the column that an attribute, a column or a name means; "" for None."""
    if given is None:
        return ""
    columns = getattr(getattr(given, "property", None), "columns", None) or [given]
    name = columns[0] if isinstance(columns[0], str) else getattr(columns[0], "name", None)
    if name not in table.columns or (not isinstance(columns[0], str) and columns[0].table is not table):
        raise BadAddress(
            f"{given!r} is no column of {table.name!r}, so it cannot be its {role}",
            next=f"its columns are: {', '.join(column.name for column in table.columns)}",
        )
    return str(name)


def _place(engine: Engine | None, url: str | None) -> tuple[str, dict[str, str]]:
    """Return the location of an address and the driver's options. Raises BadAddress."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    if engine is not None and url is not None:
        raise BadAddress("both engine= and url= are given", next="give one of them")
    if engine is None and (url is None or url.startswith("pgvector:")):
        given = Address.parse(url or "pgvector:")
        return given.location, dict(given.options)
    try:
        found = engine.url if engine is not None else make_url(str(url))
    except ArgumentError:
        raise BadAddress("url= is no database URL", next="write postgresql://user:password@host/database") from None
    if found.get_backend_name() != "postgresql":
        raise BadAddress(f"{found.get_backend_name()} is not PostgreSQL", where=str(found), next="give its URL")
    more = {k: v if isinstance(v, str) else ",".join(v) for k, v in found.query.items() if k not in _NOT_THE_DRIVERS}
    return _location(found), more


def _location(url: Any) -> str:
    who = quote(url.username or "", safe="")
    if url.password is not None:
        who += ":" + quote(str(url.password), safe="")
    host = f"[{url.host}]" if url.host and ":" in url.host else url.host or ""
    port = f":{url.port}" if url.port else ""
    return f"//{who}{'@' if who else ''}{host}{port}/{quote(url.database or '', safe='')}"
