"""Tables as they are: finding one by name, and which of its columns make up a record.

An address may name the columns (`?id=&vector=&text=&metadata=&schema=`); an empty name means "none".
What is not named is found by rule, and a rule that fits twice is an error, never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from wherry.address import Address
from wherry.errors import BadAddress, NoSuchCollection, Refused
from wherry.stores.layouts import PLAIN, require_layout, wanted
from wherry.stores.pgvector import fields
from wherry.stores.pgvector.shapes import PLAIN_SHAPE, ROLES, Shape, recognised, roles_in

NAME_BYTES = 63
# What a search calls the JSON column of a table whose metadata is more than it: fields are in the metadata too.
HELD = sql.Identifier("wherry_held")
TEXT_TYPES = frozenset({"text", "varchar"})
INTEGER_TYPES = {"int2": 2, "int4": 4, "int8": 8}
ID_TYPES = TEXT_TYPES | INTEGER_TYPES.keys() | {"uuid"}
VECTOR_TYPES = frozenset({"vector", "halfvec"})
JSON_TYPES = frozenset({"jsonb", "json"})
TEXT_NAMES = ("text", "content", "document")
METADATA_NAMES = ("metadata", "metadata_", "cmetadata", "langchain_metadata")
_TABLES = ("r", "p")

_FIND = """
SELECT c.oid::bigint AS oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = $1::name AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND CASE WHEN $2::text IS NULL THEN pg_table_is_visible(c.oid) ELSE n.nspname = $2 END
"""
_COLUMNS = """
SELECT a.attname AS name, a.attnum::int AS number, coalesce(b.typname, t.typname) AS type,
       CASE WHEN b.oid IS NULL THEN a.atttypmod ELSE t.typtypmod END AS modifier,
       a.attnotnull AS not_null, a.attgenerated::text AS generated,
       a.atthasdef OR a.attidentity <> '' AS filled, coalesce(l.collisdeterministic, true) AS deterministic
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_type b ON t.typtype = 'd' AND b.oid = t.typbasetype
LEFT JOIN pg_collation l ON l.oid = a.attcollation
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_KEYS = """
SELECT i.indkey[0]::int AS number, i.indisprimary AS primary, i.indimmediate AS immediate
FROM pg_index i
WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
  AND i.indnkeyatts = 1 AND i.indkey[0] <> 0
"""
_EXTENSION = """
SELECT n.nspname AS schema, e.extversion AS version
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'
"""


@dataclass(frozen=True)
class Column:
    """A column. type: the name of its type, of a domain that of the type below; modifier: typmod.

    filled: whether a row that does not mention it gets a default. generated: the letter of pg_attribute.
    """

    name: str
    number: int = 0
    type: str = "text"
    modifier: int = -1
    not_null: bool = False
    generated: str = ""
    filled: bool = False
    deterministic: bool = True

    @property
    def quoted(self) -> sql.Identifier:
        """The name for a statement."""
        return sql.Identifier(self.name)

    @property
    def beside(self) -> sql.Identifier:
        """The name under which a search has the column beside the record it is a field of."""
        return sql.Identifier(f"wherry_field_{self.number}")


@dataclass(frozen=True)
class Scope:
    """One collection of a table that holds the rows of many. column: says whose a row is; value: this one's."""

    column: str
    value: str
    name: str

    @property
    def condition(self) -> sql.Composed:
        """What holds for the rows of the collection."""
        return sql.SQL("{} = {}").format(sql.Identifier(self.column), sql.Literal(self.value))


@dataclass(frozen=True)
class Table:
    """A table and the columns of its records. oid: None for one that is still to be made.

    unique: whether the server keeps ids apart; arbiter: whether ON CONFLICT can use that index.
    others: columns that are no part of a record. types: the schema of pgvector's types. shape: of the framework
    whose table it is. scope: the collection whose rows are meant, None for all of them. fields: columns that are
    keys of the metadata.
    """

    schema: str
    name: str
    id: Column
    vector: Column
    text: Column | None
    metadata: Column | None
    oid: int | None = None
    kind: str = "r"
    unique: bool = True
    arbiter: bool = True
    others: tuple[Column, ...] = ()
    types: str = "public"
    version: str = ""
    shape: Shape = PLAIN_SHAPE
    scope: Scope | None = None
    fields: tuple[Column, ...] = ()

    @property
    def quoted(self) -> sql.Identifier:
        """The name for a statement."""
        return sql.Identifier(self.schema, self.name)

    @property
    def rows(self) -> sql.Composable:
        """What a query reads the records from."""
        if self.scope is None and not self.fields:
            return self.quoted
        return sql.SQL("(SELECT xmin, {} FROM {} WHERE {}) AS records").format(self.shown, self.quoted, self.condition)

    @property
    def searched(self) -> sql.Composable:
        """What a search reads from: the rows, and beside them the fields as columns, so that an index finds them."""
        if not self.fields:
            return self.rows
        beside = [sql.SQL("{} AS {}").format(c.quoted, c.beside) for c in self.fields]
        if self.stores_metadata and self.metadata is not None:
            beside.append(sql.SQL("{} AS {}").format(self.metadata.quoted, HELD))
        return sql.SQL("(SELECT xmin, {}, {} FROM {} WHERE {}) AS records").format(
            self.shown, sql.SQL(", ").join(beside), self.quoted, self.condition
        )

    @property
    def shown(self) -> sql.Composable:
        """What is selected of a row, for whatever reads the records."""
        if not self.fields or self.metadata is None:
            return sql.SQL("*")
        names = [c.quoted for c in self.columns if c != self.metadata]
        found = fields.metadata_of(self.metadata, self.stores_metadata, self.fields)
        return sql.SQL("{}, {} AS {}").format(sql.SQL(", ").join(names), found, self.metadata.quoted)

    @property
    def stores_metadata(self) -> bool:
        """Whether there is a column for metadata; else it is put together from the fields."""
        return self.metadata is not None and self.metadata.name != fields.NOWHERE

    @property
    def direct(self) -> bool:
        """Whether records lie in the table column by column, so that they can be copied into it."""
        return self.scope is None and not self.fields and not self.shape.fills

    @property
    def condition(self) -> sql.Composable:
        """What holds for the rows that are meant."""
        return sql.SQL("true") if self.scope is None else self.scope.condition

    @property
    def label(self) -> str:
        """The name for people, unlike that of any other collection of the database."""
        name = f"{self.schema}.{self.name}"
        return name if self.scope is None else f"{name}[{self.scope.name}]"

    @property
    def fills(self) -> list[tuple[sql.Identifier, sql.Composable]]:
        """What a new row gets beside its record: columns and values."""
        found: list[tuple[sql.Identifier, sql.Composable]] = [
            (sql.Identifier(name), sql.SQL(value))  # type: ignore[arg-type]
            for name, value in self.shape.fills.items()
        ]
        if self.scope is not None:
            found.append((sql.Identifier(self.scope.column), sql.Literal(self.scope.value)))
        return found

    @property
    def columns(self) -> list[Column]:
        """The columns of a record in the order in which they travel."""
        return [c for c in (self.vector, self.id, self.text, self.metadata) if c is not None]

    @property
    def half(self) -> bool:
        """Whether components are kept in 16 bits."""
        return self.vector.type == "halfvec"

    @property
    def dimension(self) -> int | None:
        """The declared number of components."""
        return self.vector.modifier if self.vector.modifier > 0 else None

    def type(self, name: str) -> sql.Identifier:
        """Return the name of one of pgvector's types, functions or operator classes for a statement."""
        return sql.Identifier(self.types, name)


@dataclass
class Catalog:
    """What the server says of one table."""

    columns: list[Column]
    keys: list[dict[str, Any]]
    where: str
    options: dict[str, str] = field(repr=False)

    def named(self, role: str, types: Iterable[str]) -> Column | None:
        """Return the column that the address names for a role; None for an empty name."""
        name = self.options[role]
        if not name:
            return None
        found = next((c for c in self.columns if c.name == name), None)
        if found is None:
            names = ", ".join(c.name for c in self.columns)
            raise BadAddress(f"there is no column {name!r} in {self.where}", next=f"its columns are: {names}")
        if found.type not in types:
            kinds = ", ".join(sorted(types))
            raise BadAddress(
                f"column {name!r} of {self.where} is of type {found.type}",
                next=f"{role} takes columns of type {kinds}",
            )
        return found

    def of_type(self, types: Iterable[str]) -> list[Column]:
        """Return the columns of some types."""
        return [c for c in self.columns if c.type in types]

    def is_key(self, column: Column, immediate: bool = False) -> bool:
        """Tell whether a unique index keeps this column's values apart."""
        return any(k["number"] == column.number and (k["immediate"] or not immediate) for k in self.keys)


def find(connection: psycopg.Connection, address: Address) -> Table | None:
    """Return the table an address means, None when it is not there.

    Raises NoSuchCollection for something that is no table, Refused for a table without a key and
    BadAddress when the columns are not clear.
    """
    row = _find(connection, address)
    if row is None:
        return None
    if row["kind"] not in _TABLES:
        raise NoSuchCollection(f"{row['name']!r} is no table", where=str(address), next="name a table")
    catalog = _catalog(connection, row["oid"], address)
    names = [column.name for column in catalog.columns]
    shape = _shape(names, address)
    catalog = replace(catalog, options={**roles_in(shape, names), **catalog.options})
    return _mapped(catalog, row, shape, *_extension(connection))


def _shape(columns: list[str], address: Address) -> Shape:
    """Return the shape of a table; a plain one where the address names its columns or asks for that."""
    asked = wanted(address)
    if asked == PLAIN or any(role in address.options for role in ROLES):
        return PLAIN_SHAPE
    found = recognised(columns)
    require_layout(asked, found.layout, str(address))
    return found


def planned(connection: psycopg.Connection, address: Address) -> Table:
    """Return the table that `prepare` would make for an address."""
    schema, name = _named(connection, address)
    if schema is None:
        with connection.cursor(row_factory=dict_row) as cursor:
            found = cursor.execute("SELECT current_schema() AS schema").fetchone()
        schema = (found or {}).get("schema") or "public"
    key, vector = address.option("id") or "id", address.option("vector") or "embedding"
    types, version = _extension(connection)
    return Table(
        schema, name, Column(key), Column(vector, type="vector"),
        _planned(address, "text", "text"), _planned(address, "metadata", "jsonb"),
        types=types, version=version,
    )  # fmt: skip


def _planned(address: Address, role: str, kind: str) -> Column | None:
    name = address.option(role, role)
    return Column(name, type=kind) if name else None


def require_name(address: Address) -> None:
    """Raise BadAddress when no table can have the name that the address gives."""
    for what, name in (("table", address.collection), ("schema", address.option("schema") or "x")):
        if not name:
            raise BadAddress(f"{address} names no {what}", next="write the name of the table after #")
        if len(name.encode()) > NAME_BYTES and not _pair(address):
            raise BadAddress(
                f"the name of the {what} is longer than {NAME_BYTES} bytes",
                next="PostgreSQL would cut it: choose a shorter name",
            )


def _pair(address: Address) -> list[str]:
    """Return [schema, table] when the name may be read as `schema.table`."""
    parts = address.collection.split(".")
    both = len(parts) == 2 and all(0 < len(part.encode()) <= NAME_BYTES for part in parts)
    return parts if both and "schema" not in address.options else []


def _find(connection: psycopg.Connection, address: Address) -> dict[str, Any] | None:
    plain = _row(connection, _FIND, address.collection, address.option("schema"))
    pair = _pair(address)
    other = _row(connection, _FIND, pair[1], pair[0]) if pair else None
    if plain and other:
        raise BadAddress(
            f"{address.collection!r} is a table, and {pair[1]!r} in schema {pair[0]!r} is one too",
            next="say which one with ?schema=",
        )
    return plain or other


def _named(connection: psycopg.Connection, address: Address) -> tuple[str | None, str]:
    """Return (schema or None, name) for a table that is not there."""
    pair = _pair(address)
    if pair and _row(connection, "SELECT 1 FROM pg_namespace WHERE nspname = $1", pair[0]):
        return pair[0], pair[1]
    if len(address.collection.encode()) > NAME_BYTES:
        raise BadAddress(f"the name of the table is longer than {NAME_BYTES} bytes")
    return address.option("schema"), address.collection


def _catalog(connection: psycopg.Connection, oid: int, address: Address) -> Catalog:
    with connection.cursor(row_factory=dict_row) as cursor:
        columns = [Column(**row) for row in cursor.execute(_COLUMNS, [oid])]
        keys = cursor.execute(_KEYS, [oid]).fetchall()
    return Catalog(columns, keys, str(address), address.options)


def _extension(connection: psycopg.Connection) -> tuple[str, str]:
    row = _row(connection, _EXTENSION)
    return (row["schema"], row["version"]) if row else ("public", "")


def _row(connection: psycopg.Connection, query: LiteralString, *values: Any) -> dict[str, Any] | None:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, values).fetchone()


def _mapped(catalog: Catalog, row: dict[str, Any], shape: Shape, types: str, version: str) -> Table:
    key, vector = _choose_id(catalog), _choose_vector(catalog)
    text, metadata = _choose_text(catalog), _choose_metadata(catalog)
    used = {column.number for column in (key, vector, text, metadata) if column}
    others = tuple(c for c in catalog.columns if c.number not in used and c.name not in shape.own)
    found = _choose_fields(catalog, others, shape)
    if found and metadata is None:
        metadata = Column(fields.NOWHERE, type="jsonb")
    return Table(
        row["schema"], row["name"], key, vector, text, metadata,
        oid=row["oid"], kind=row["kind"],
        unique=catalog.is_key(key) and key.deterministic,
        arbiter=catalog.is_key(key, immediate=True) and key.deterministic,
        others=tuple(c for c in others if c not in found),
        types=types, version=version, shape=shape, fields=found,
    )  # fmt: skip


def _choose_fields(catalog: Catalog, others: tuple[Column, ...], shape: Shape) -> tuple[Column, ...]:
    """Return the columns that are keys of the metadata: those that are named, or a framework's own."""
    names = [name for name in catalog.options.get("fields", "").split(",") if name]
    if not names:
        return tuple(c for c in others if shape.fields and fields.can_be_field(c))
    possible = {column.name: column for column in others if fields.can_be_field(column)}
    for name in names:
        if name not in possible:
            raise BadAddress(
                f"{name!r} is no column of {catalog.where} that can be a key of the metadata",
                next=f"such columns are: {', '.join(possible) or 'none'}",
            )
    return tuple(possible[name] for name in names)


def _choose_id(catalog: Catalog) -> Column:
    if catalog.options.get("id"):
        return _required(catalog.named("id", ID_TYPES))
    primary = [k["number"] for k in catalog.keys if k["primary"]]
    found = [c for c in catalog.columns if c.number in primary]
    found += [c for c in catalog.columns if c.name == "id" and catalog.is_key(c)]
    if not found:
        raise Refused(
            f"{catalog.where} has no key: no single column is its primary key",
            left="nothing was read",
            next="name a column that identifies a row with ?id=, or add a primary key",
        )
    return _required(replace(catalog, options={"id": found[0].name}).named("id", ID_TYPES))


def _choose_vector(catalog: Catalog) -> Column:
    if catalog.options.get("vector"):
        return _required(catalog.named("vector", VECTOR_TYPES))
    return _only(catalog, "vector", catalog.of_type(VECTOR_TYPES), _no_vector)


def _choose_text(catalog: Catalog) -> Column | None:
    if "text" in catalog.options:
        return catalog.named("text", TEXT_TYPES)
    by_name = {c.name: c for c in catalog.of_type(TEXT_TYPES)}
    found = [by_name[name] for name in TEXT_NAMES if name in by_name]
    return _only(catalog, "text", found, lambda _: None)


def _choose_metadata(catalog: Catalog) -> Column | None:
    if "metadata" in catalog.options:
        return catalog.named("metadata", JSON_TYPES)
    found = catalog.of_type(JSON_TYPES)
    usual = [c for c in found if c.name in METADATA_NAMES]
    return _only(catalog, "metadata", usual or found, lambda _: None)


def _only(catalog: Catalog, role: str, found: list[Column], nothing: Callable[[Catalog], Column | None]) -> Any:
    if len(found) > 1:
        raise BadAddress(
            f"{catalog.where} has several columns that could be the {role}: " + ", ".join(c.name for c in found),
            next=f"say which one with ?{role}=",
        )
    return found[0] if found else nothing(catalog)


def _no_vector(catalog: Catalog) -> None:
    names = ", ".join(f"{c.name} {c.type}" for c in catalog.columns)
    raise BadAddress(f"{catalog.where} has no column of type vector or halfvec", next=f"its columns are: {names}")


def _required(column: Column | None) -> Column:
    assert column is not None, "the name was checked to be there"
    return column
