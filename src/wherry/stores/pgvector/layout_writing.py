"""The statements that make tables of LlamaIndex and LangChain, and replace rows in them.

They are what these frameworks' own code makes, so that it finds nothing to add and nothing in its way; only
the index on LlamaIndex's node_id is ours, without which every update would read the whole table.
"""

from __future__ import annotations

from psycopg import sql

from wherry.stores.pgvector import fields
from wherry.stores.pgvector.catalog import Table
from wherry.stores.pgvector.shapes import COLLECTIONS, NODES, ONE_TABLE

STAGE = sql.Identifier("pg_temp", "wherry_batch")

_NODES = """
CREATE TABLE {table} (
  id bigserial PRIMARY KEY, text varchar NOT NULL, metadata_ json, node_id varchar, embedding {vector}({dimension}));
CREATE INDEX {by_document} ON {table} ((metadata_ ->> 'ref_doc_id'));
CREATE INDEX {by_node} ON {table} (node_id)
"""
_SHARED = """
CREATE TABLE IF NOT EXISTS {collections} (uuid uuid PRIMARY KEY, name varchar NOT NULL UNIQUE, cmetadata json);
CREATE TABLE IF NOT EXISTS {table} (
  id varchar PRIMARY KEY, collection_id uuid REFERENCES {collections} (uuid) ON DELETE CASCADE,
  embedding {vector}({dimension}), document varchar, cmetadata jsonb);
CREATE INDEX IF NOT EXISTS ix_cmetadata_gin ON {table} USING gin (cmetadata jsonb_path_ops);
"""
_COLLECTION = "INSERT INTO {collections} (uuid, name) VALUES ({uuid}, {name})"
_ONE_TABLE = """
CREATE TABLE {table} (
  langchain_id text PRIMARY KEY, content text NOT NULL, embedding {vector}({dimension}) NOT NULL,
  langchain_metadata json)
"""
# Where nothing keeps ids apart: the oldest row of an id is changed, its repetitions go, what is new comes.
_REPLACING = """
WITH kept AS (
  SELECT s.{id} AS id, min(t.ctid) AS at FROM {table} t JOIN {stage} s ON t.{id} = s.{id} WHERE {mine} GROUP BY 1),
surplus AS (DELETE FROM {table} t USING kept k WHERE t.{id} = k.id AND t.ctid <> k.at AND {mine}),
changed AS (UPDATE {table} t SET {changes} FROM {stage} s JOIN kept k ON s.{id} = k.id WHERE t.ctid = k.at)
INSERT INTO {table} ({names}) SELECT {values} FROM {stage} s WHERE NOT EXISTS (SELECT FROM kept k WHERE k.id = s.{id})
"""


def creation(table: Table, dimension: int) -> sql.Composed:
    """Return the statements that make a framework's table, or a new collection in its shared table."""
    parts = {
        "table": table.quoted,
        "vector": table.type(table.vector.type),
        "dimension": sql.Literal(dimension),
        "collections": sql.Identifier(table.schema, COLLECTIONS),
    }
    if table.shape is NODES:
        # LlamaIndex names its own index after what its user calls the table.
        short = table.name.removeprefix("data_")
        names = {"by_document": f"{short}_idx_1", "by_node": f"{table.name}_node_id_idx"}
        return sql.SQL(_NODES).format(**parts, **{k: sql.Identifier(v) for k, v in names.items()})
    if table.scope is not None:
        values = {"uuid": sql.Literal(table.scope.value), "name": sql.Literal(table.scope.name)}
        collection = sql.SQL(_COLLECTION).format(**parts, **values)
        # A column that has a number was found in a table that is there.
        return collection if table.id.number else sql.SQL(_SHARED).format(**parts) + collection
    if table.shape is ONE_TABLE:
        return sql.SQL(_ONE_TABLE).format(**parts)
    raise NotImplementedError(f"tables of the shape {table.shape.layout} are not made")


def stored(table: Table) -> list[tuple[sql.Identifier, sql.Composable]]:
    """Return the columns that a record fills, each with its value in a staged row `s`."""
    found: list[tuple[sql.Identifier, sql.Composable]] = []
    for column in table.columns:
        if column != table.metadata or not table.fields:
            found.append((column.quoted, sql.SQL("s.{}").format(column.quoted)))
        elif table.stores_metadata:
            found.append((column.quoted, fields.rest_of(column, table.fields)))
    if table.metadata is not None:
        found += [(f.quoted, fields.value_of(table.metadata, table.quoted, f)) for f in table.fields]
    return found


def replacing(table: Table) -> sql.Composed:
    """Return the statement that moves staged rows into a table in which nothing keeps ids apart."""
    held = stored(table)
    new = [*held, *table.fills]
    return sql.SQL(_REPLACING).format(
        table=table.quoted,
        stage=STAGE,
        id=table.id.quoted,
        mine=table.condition,
        changes=sql.SQL(", ").join(sql.SQL("{} = {}").format(n, v) for n, v in held if n != table.id.quoted),
        names=sql.SQL(", ").join(name for name, _ in new),
        values=sql.SQL(", ").join(value for _, value in new),
    )
