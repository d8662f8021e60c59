"""What a search of a table stands on: its columns, its metric, and which of its indexes can help."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from wherry.space import Metric, Space
from wherry.stores.layouts import LLAMAINDEX, PLAIN
from wherry.stores.layouts.llamaindex import CONTENT, EMPTY, KEPT, OWNERS, TYPE
from wherry.stores.pgvector import fields
from wherry.stores.pgvector.catalog import HELD, Table
from wherry.stores.pgvector.filters import Direct

OPERATORS = {Metric.COSINE: "<=>", Metric.L2: "<->", Metric.IP: "<#>", Metric.L1: "<+>"}
_WORDS = {Metric.COSINE: "cosine", Metric.L2: "l2", Metric.IP: "ip", Metric.L1: "l1"}
# How many candidates an index of single bits has to give for each record that is wanted.
BINARY_FACTOR = 20
BREADTH, PROBES = 100, 10
# What a comment of ours on an index begins with; a JSON object follows.
MARK = "wherry: "
_INDEXES = """
SELECT am.amname AS kind, o.opcname AS operators, pg_get_indexdef(i.indexrelid, 1, true) AS expression,
       obj_description(i.indexrelid, 'pg_class') AS comment, i.indpred IS NULL AND i.indisvalid AS usable,
       i.indkey[0]::int AS first, $2 = 0 OR EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
       AND d.objid = i.indexrelid AND d.refobjid = i.indrelid AND d.refobjsubid = $2) AS of_vector
FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am am ON am.oid = ic.relam
JOIN pg_opclass o ON o.oid = i.indclass[0]
WHERE i.indrelid = $1 ORDER BY i.indexrelid
"""
# Of all partitions; a negative number means that nobody has counted.
_SIZE = """
SELECT sum(greatest(reltuples, 0))::float8, sum(greatest(relpages, 0))::float8 FROM pg_class
WHERE oid IN (SELECT relid FROM pg_partition_tree($1::bigint::oid::regclass) WHERE isleaf)
OR (oid = $1 AND relkind <> 'p')
"""
# What is taken for the number of rows before anybody counted them.
_UNCOUNTED = 100_000.0


@dataclass(frozen=True)
class VectorIndex:
    """An approximate index. expression: what it orders, as the catalog writes it. breadth: ef_search or probes.

    chosen: whether that breadth was measured for this index; else a larger one that the server is set to counts.
    """

    kind: str
    expression: str
    operators: str
    breadth: int
    chosen: bool = True

    @property
    def is_binary(self) -> bool:
        """Whether it keeps one bit of each component."""
        return self.operators == "bit_hamming_ops"

    @property
    def is_half(self) -> bool:
        """Whether it orders by 16 bits of each component."""
        return self.operators.startswith("halfvec")


@dataclass(frozen=True)
class Ground:
    """What is known of a table. rows: about how many, a guess where nobody counted. pages: of the heap.

    metadata: the column as jsonb, quoted; None where there is none. hidden: keys in it that are no metadata of a
    record. contained: whether an index finds equal values; ordered: keys whose numbers an index has in order. direct:
    keys that columns decide; led: those of them by which an index finds rows.
    """

    table: Table
    space: Space
    index: VectorIndex | None
    metadata: str | None
    hidden: frozenset[str]
    contained: bool
    ordered: frozenset[str]
    rows: float
    pages: float
    direct: Mapping[str, Direct] = field(default_factory=dict)
    led: frozenset[str] = frozenset()

    @property
    def held(self) -> str:
        """The stored part of metadata that fields are put into as well, as jsonb, quoted; "" where it is all of it."""
        return f"({HELD.as_string(None)})::jsonb" if self.table.fields and self.table.stores_metadata else ""

    @property
    def fields(self) -> frozenset[str]:
        """The keys of the metadata that are columns."""
        return frozenset(column.name for column in self.table.fields)

    @property
    def may_hold_nul(self) -> bool:
        """Whether a text in the metadata may hold NUL, which jsonb refuses."""
        column = self.table.metadata
        return column is not None and column.type == "json"


def look(connection: psycopg.Connection, table: Table, space: Space) -> Ground:
    """Find out what there is for searching a table whose space is known."""
    with connection.cursor() as cursor:
        found = cursor.execute(_INDEXES, [table.oid, table.vector.number]).fetchall()
        rows, pages = cursor.execute(_SIZE, [table.oid]).fetchone() or (0.0, 0.0)
    usable = [row for row in found if row[4]]
    column = table.metadata.name if table.metadata else ""
    quoted = sql.Identifier(column).as_string(None)
    return Ground(
        table,
        space,
        next((index for row in usable if row[6] and (index := _vector_index(row, space.metric))), None),
        metadata_of(table),
        hidden_keys(table),
        # Metadata that is put together from columns is in no index.
        not table.fields and any(row[0] == "gin" and row[2] in (column, quoted) for row in usable),
        frozenset(str(key) for row in usable if (key := noted(row[3]).get("numbers")) is not None),
        rows or _UNCOUNTED,
        max(1.0, pages),
        direct_of(table),
        frozenset(c.name for c in table.fields if any(row[0] == "btree" and row[5] == c.number for row in usable)),
    )


def direct_of(table: Table) -> dict[str, Direct]:
    """Return the keys of the metadata that columns of a table decide, with how."""
    found: dict[str, Direct] = {}
    for column in table.fields:
        kind = fields.decides(column, table.stores_metadata, column.not_null)
        if kind is not None and column.deterministic:
            found[column.name] = Direct(column.beside.as_string(None), kind)
    return found


def metadata_of(table: Table) -> str | None:
    """Return the metadata column of a table as jsonb, quoted."""
    if table.metadata is None:
        return None
    quoted = table.metadata.quoted.as_string(None)
    return quoted if table.metadata.type == "jsonb" and not table.fields else f"({quoted})::jsonb"


def hidden_keys(table: Table) -> frozenset[str]:
    """Return the keys of the metadata column that a framework put there and no record has so."""
    if table.shape.layout == PLAIN:
        return frozenset()
    return frozenset({EMPTY, *((CONTENT, TYPE, KEPT, *OWNERS) if table.shape.layout == LLAMAINDEX else ())})


def _vector_index(row: tuple, metric: Metric | None) -> VectorIndex | None:
    kind, operators, expression, comment = row[:4]
    if kind not in ("hnsw", "ivfflat") or metric is None:
        return None
    fits = operators.endswith(f"_{_WORDS[metric]}_ops") and not operators.startswith(("bit", "sparsevec"))
    # Bits tell signs alone: near by them means near in direction.
    bits = operators == "bit_hamming_ops" and metric is Metric.COSINE and "binary_quantize" in expression
    if not fits and not bits:
        return None
    chosen = breadth_in(comment)
    usual = BREADTH if kind == "hnsw" else PROBES
    return VectorIndex(kind, expression, operators, chosen or usual, chosen=chosen is not None)


def breadth_in(comment: str | None) -> int | None:
    """Return the search breadth that a comment of ours on an index states."""
    breadth = noted(comment).get("ef_search")
    return breadth if isinstance(breadth, int) and 1 <= breadth <= 1_000 else None


def noted(comment: str | None) -> dict[str, Any]:
    """Return what a comment of ours on an index says; nothing for somebody else's comment."""
    if not comment or not comment.startswith(MARK):
        return {}
    try:
        found = json.loads(comment.removeprefix(MARK))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
