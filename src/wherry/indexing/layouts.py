"""How chunks lie in a table: the statements that add, move and remove rows.

    records         one row per chunk under its own id: what every reader of pgvector tables understands
    rag_documents   (source, source_hash, doc_id, content, embedding, metadata): doc_id is the place in the document

A layout touches rows of the documents it is given and no others, and a vector is copied inside the server,
from the cache into its row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg import sql

from wherry.errors import Integrity
from wherry.indexing.diff import Change, Known
from wherry.indexing.fingerprints import chunk_ids, embed_fp
from wherry.stores.pgvector.catalog import Table

_ROWS_AT_ONCE = 2048
T = TypeVar("T")

RAG = "rag_documents"
# role -> name of the column, beside those of a record.
RAG_COLUMNS = {"source": "source", "source_hash": "source_hash", "doc_id": "doc_id"}
RAG_RECORD = {"id": "id", "vector": "embedding", "text": "content", "metadata": "metadata"}


class Layout(Protocol):
    """The rows of documents in one table."""

    def change(self, connection: psycopg.Connection, changes: Sequence[Change], settings: bytes) -> None:
        """Bring the rows of some documents to what they should be. settings: the fingerprint of the model's."""
        ...

    def drop(self, connection: psycopg.Connection, source: str, documents: Sequence[Known]) -> None:
        """Remove all rows of some documents."""
        ...

    def ids(self, source: str, document: Known) -> list[str]:
        """Return what identifies the rows of a document, in order, as text."""
        ...

    def key(self) -> sql.Composable:
        """Return the expression that gives that text for a row of the table called t."""
        ...


class Records:
    """One row per chunk, under the chunk's id."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def change(self, connection: psycopg.Connection, changes: Sequence[Change], settings: bytes) -> None:
        """Bring the rows of some documents to what they should be, touching only those that differ."""
        gone = [change.old_ids[position] for change in changes for position in change.drop]
        if gone:
            self._delete(connection, gone)
        moved = [(c.old_ids[a], c.document.pieces[b]) for c in changes for a, b in c.move]
        if moved:
            self._move(connection, moved)
        for pieces in _parts([piece for change in changes for piece in change.pieces]):
            keys = [embed_fp(piece.fp, settings) for piece in pieces]
            columns = [[p.id for p in pieces], [p.text for p in pieces], [p.metadata for p in pieces]]
            _require_all(connection.execute(self._put(), [*columns, keys]).rowcount, len(pieces))

    def drop(self, connection: psycopg.Connection, source: str, documents: Sequence[Known]) -> None:
        """Remove all rows of some documents."""
        self._delete(connection, [name for known in documents for name in self.ids(source, known)])

    def ids(self, source: str, document: Known) -> list[str]:
        """Return the ids of a document's rows, in order."""
        return chunk_ids(source, document.id, document.chunk_fps)

    def key(self) -> sql.Composable:
        """Return the id of a row of t as text."""
        return sql.SQL("t.{}::text").format(self.table.id.quoted)

    def _delete(self, connection: psycopg.Connection, ids: list[str]) -> None:
        statement = sql.SQL("DELETE FROM {} WHERE {} = ANY ($1::text[]::{}[])")
        connection.execute(statement.format(self.table.quoted, self.table.id.quoted, self._id_type()), [ids])

    def _move(self, connection: psycopg.Connection, moved: list[tuple[str, Any]]) -> None:
        table = self.table
        changed = [sql.SQL("{} = u.new::{}").format(table.id.quoted, self._id_type())]
        if table.metadata is not None:
            changed.append(sql.SQL("{} = u.metadata::jsonb").format(table.metadata.quoted))
        statement = sql.SQL(
            "UPDATE {} t SET {} FROM unnest($1::text[], $2::text[], $3::text[]) u(old, new, metadata)"
            " WHERE t.{} = u.old::{}"
        ).format(table.quoted, sql.SQL(", ").join(changed), table.id.quoted, self._id_type())
        pieces = [piece for _, piece in moved]
        connection.execute(statement, [[old for old, _ in moved], [p.id for p in pieces], [p.metadata for p in pieces]])

    def _put(self) -> sql.Composed:
        table = self.table
        given = {table.id: sql.SQL("u.id::{}").format(self._id_type()), table.vector: _vector(table)}
        if table.text is not None:
            given[table.text] = sql.SQL("u.text")
        if table.metadata is not None:
            given[table.metadata] = sql.SQL("u.metadata::jsonb")
        names = [column.quoted for column in given]
        kept = [sql.SQL("{0} = EXCLUDED.{0}").format(c.quoted) for c in given if c is not table.id]
        return sql.SQL(
            "INSERT INTO {} ({}) SELECT {} FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[])"
            " u(id, text, metadata, key) JOIN wherry.vectors v ON v.embed_fp = u.key ON CONFLICT ({}) DO UPDATE SET {}"
        ).format(
            table.quoted,
            sql.SQL(", ").join(names),
            sql.SQL(", ").join(given.values()),
            table.id.quoted,
            sql.SQL(", ").join(kept),
        )

    def _id_type(self) -> sql.Composable:
        return sql.Identifier("pg_catalog", self.table.id.type)


class RagDocuments:
    """One row per chunk, under (source, doc_id): the document and the place of the chunk in it."""

    def __init__(self, table: Table, columns: dict[str, str]) -> None:
        self.table = table
        self.source, self.hash, self.place = (sql.Identifier(columns[role]) for role in RAG_COLUMNS)

    def change(self, connection: psycopg.Connection, changes: Sequence[Change], settings: bytes) -> None:
        """Bring the rows of some documents to what they should be."""
        gone = [(c.known.id, at) for c in changes if c.known is not None for at in c.drop]
        if gone:
            self._delete(connection, gone)
        moved = [(c.known.id, a, c, b) for c in changes if c.known is not None for a, b in c.move]
        if moved:
            self._move(connection, moved)
        for put in _parts([(change, position) for change in changes for position in change.put]):
            self._put(connection, put, settings)
        self._rehash(connection, changes)

    def drop(self, connection: psycopg.Connection, source: str, documents: Sequence[Known]) -> None:
        """Remove all rows of some documents."""
        statement = sql.SQL("DELETE FROM {} WHERE {} = ANY ($1::text[])").format(self.table.quoted, self.source)
        connection.execute(statement, [[known.id for known in documents]])

    def ids(self, source: str, document: Known) -> list[str]:
        """Return `doc_id:source` for each row, in order."""
        return [f"{position}:{document.id}" for position in range(len(document.chunk_fps))]

    def key(self) -> sql.Composable:
        """Return `doc_id:source` of a row of t."""
        return sql.SQL("t.{}::text || ':' || t.{}").format(self.place, self.source)

    def _delete(self, connection: psycopg.Connection, gone: list[tuple[str, int]]) -> None:
        statement = sql.SQL(
            "DELETE FROM {} t USING unnest($1::text[], $2::int[]) u(source, place)"
            " WHERE t.{} = u.source AND t.{} = u.place"
        ).format(self.table.quoted, self.source, self.place)
        connection.execute(statement, [[name for name, _ in gone], [at for _, at in gone]])

    def _move(self, connection: psycopg.Connection, moved: list[tuple[str, int, Change, int]]) -> None:
        """Change places by way of negative ones: two rows may want each other's."""
        before = [[name for name, _, _, _ in moved], [at for _, at, _, _ in moved]]
        aside = sql.SQL(
            "UPDATE {} t SET {place} = -1 - t.{place} FROM unnest($1::text[], $2::int[]) u(source, place)"
            " WHERE t.{source} = u.source AND t.{place} = u.place"
        ).format(self.table.quoted, place=self.place, source=self.source)
        connection.execute(aside, before)
        home = sql.SQL(
            "UPDATE {} t SET {source} = u.source, {place} = u.place, {metadata} = u.metadata::jsonb"
            " FROM unnest($1::text[], $2::int[], $3::text[], $4::int[], $5::text[])"
            " u(old_source, old_place, source, place, metadata)"
            " WHERE t.{source} = u.old_source AND t.{place} = -1 - u.old_place"
        ).format(self.table.quoted, source=self.source, place=self.place, metadata=self._metadata())
        after = [
            [change.document.id for _, _, change, _ in moved],
            [at for _, _, _, at in moved],
            [change.document.pieces[at].metadata for _, _, change, at in moved],
        ]
        connection.execute(home, [*before, *after])

    def _put(self, connection: psycopg.Connection, put: list[tuple[Change, int]], settings: bytes) -> None:
        table = self.table
        text = table.text.quoted if table.text is not None else sql.Identifier("content")
        statement = sql.SQL(
            "INSERT INTO {} ({source}, {hash}, {place}, {text}, {vector}, {metadata})"
            " SELECT u.source, u.hash, u.place, u.text, {cast}, u.metadata::jsonb"
            " FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[], $6::bytea[])"
            " u(source, hash, place, text, metadata, key) JOIN wherry.vectors v ON v.embed_fp = u.key"
            " ON CONFLICT ({source}, {place}) DO UPDATE SET {hash} = EXCLUDED.{hash}, {text} = EXCLUDED.{text},"
            " {vector} = EXCLUDED.{vector}, {metadata} = EXCLUDED.{metadata}"
        ).format(
            table.quoted, source=self.source, hash=self.hash, place=self.place, text=text,
            vector=table.vector.quoted, metadata=self._metadata(), cast=_vector(table),
        )  # fmt: skip
        pieces = [change.document.pieces[at] for change, at in put]
        values = [
            [change.document.id for change, _ in put],
            [change.document.doc_fp.hex() for change, _ in put],
            [at for _, at in put],
            [piece.text for piece in pieces],
            [piece.metadata for piece in pieces],
            [embed_fp(piece.fp, settings) for piece in pieces],
        ]
        _require_all(connection.execute(statement, values).rowcount, len(put))

    def _rehash(self, connection: psycopg.Connection, changes: Sequence[Change]) -> None:
        """Let every row of a document that was there before tell the document as it is now."""
        stood = [change.document for change in changes if change.known is not None]
        if stood:
            statement = sql.SQL(
                "UPDATE {} t SET {hash} = u.hash FROM unnest($1::text[], $2::text[]) u(source, hash)"
                " WHERE t.{source} = u.source AND t.{hash} <> u.hash"
            ).format(self.table.quoted, hash=self.hash, source=self.source)
            connection.execute(statement, [[d.id for d in stood], [d.doc_fp.hex() for d in stood]])

    def _metadata(self) -> sql.Identifier:
        return self.table.metadata.quoted if self.table.metadata is not None else sql.Identifier("metadata")


def layout_of(table: Table, place: dict[str, Any]) -> Layout:
    """Return how the rows of a generation lie."""
    return RagDocuments(table, place["columns"]) if place["layout"] == RAG else Records(table)


def _vector(table: Table) -> sql.Composable:
    """Return the cached vector in the type of the column."""
    return sql.SQL("v.vector::{}").format(table.type("halfvec")) if table.half else sql.SQL("v.vector")


def _parts(rows: list[T]) -> Iterator[list[T]]:
    """Yield rows some at a time: a statement's values are held several times over while it is sent."""
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        yield rows[start : start + _ROWS_AT_ONCE]


def _require_all(written: int, wanted: int) -> None:
    if written != wanted:
        raise Integrity(
            f"{wanted - written} of {wanted} vectors vanished from the cache",
            left="nothing of these documents was written",
            next="run the same command again: what is missing is embedded again",
        )
