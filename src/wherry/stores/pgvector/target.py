"""A table of PostgreSQL with a pgvector column, to be written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import psycopg
import pyarrow as pa
from psycopg import sql

from wherry.address import Address
from wherry.errors import Refused, Rejected, Unsupported
from wherry.postgres.copy import as_sent, encode, jsonb_field, send, text_field, vector_field
from wherry.postgres.extension import extend
from wherry.postgres.link import Link, Server
from wherry.record import Native, dimension_of, vectors_of
from wherry.space import Metric, Space
from wherry.stores.base import Collection, Index, Others
from wherry.stores.pgvector import cards, changes, fields, indexes, jsonb, keys, layouts, metadata_indexes, writing
from wherry.stores.pgvector.catalog import INTEGER_TYPES, Table
from wherry.stores.pgvector.form import Form
from wherry.stores.pgvector.hold import Guest, Hold
from wherry.stores.pgvector.layouts import Asked
from wherry.stores.pgvector.own import OwnWrites, count
from wherry.stores.pgvector.source import MAX_DIMENSION, PgSource

_SLICE_ROWS, _SLICE_BYTES = 1024, 4 << 20


class PgTarget(PgSource):
    """A table, opened for reading and writing."""

    def __init__(self, address: Address, server: Server) -> None:
        super().__init__(address, server)
        self._writer = Link(server)
        self._hold: Hold | None = None
        self._live = False
        self._touched_rows = 0
        self._own = OwnWrites()

    def others(self, mark: str, held: int) -> Others | None:
        """Return what others than this open store wrote since a mark, when there were `held` rows; None = in doubt."""
        with self._reader.begin() as connection:
            self._look(connection)
            return changes.others(connection, self._state, mark, held, self._own)

    def own_writes(self) -> OwnWrites:
        """Return the transactions of this open store."""
        return self._own

    def count_as_own(self, writes: object) -> None:
        """Take the transactions of another store as its own; None = some that nobody can name."""
        self._own.join(writes if isinstance(writes, OwnWrites) else OwnWrites(complete=False))

    def follow(self, layout: str) -> None:
        """Hear the layout of what is to be written: a table still to be made gets it, if no other is asked for."""
        if self._table.oid is None:
            self._asked = Asked.to_write(self._address, layout)
            with self._reader.begin() as connection:
                self._look(connection)

    def prepare(self, space: Space, index: Index, rows: int) -> None:
        """Make the table if it is not there; else check that records of `space` can be written to it."""
        with self._writing() as connection:
            self._look(connection)
            if self._table.oid is None:
                self._make(connection, space)
                self._look(connection)
                cards.write(connection, self._table, self._named(space), index)
            else:
                self._check(connection, space, index)

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        """Store records in one transaction, each replacing what was under its id.

        absent=True writes them without looking; should one be there after all, they replace.
        """
        if not batch.num_rows:
            return
        batch = self._laid_out(batch)
        self._require_fitting(batch)
        self._touched_rows += batch.num_rows
        self._store(batch.column("id").to_pylist(), lambda: map(self._encoded, _slices(batch)), absent)

    def takes(self, form: str) -> bool:
        """Tell whether rows of this form fit the table's columns as they are."""
        table = self._table
        if table.shape.codec is not None or not table.direct or table.dimension is None:
            return False
        if any(c is not None and c.not_null for c in (table.text, table.metadata)):
            return False
        return Form(table, table.dimension).native == form

    def upsert_native(self, records: Native, absent: bool = False) -> None:
        """Store rows of another table as they arrived, in one transaction, each replacing what was there."""
        if not self.takes(records.form):
            raise self._rejected("the rows have another form than the table")
        if len(records):
            self._touched_rows += len(records)
            self._store(records.ids.to_pylist(), lambda: as_sent(records.rows), absent)

    def _store(self, ids: list[str], rows: Callable[[], Iterable[memoryview]], absent: bool) -> None:
        if absent and self._table.direct and self._added(ids, rows):
            return
        table = self._table
        with self._writing(ids) as connection:
            connection.execute(writing.staged(table))
            self._send(connection, writing.STAGE, rows())
            connection.execute(writing.replacing(table))

    def delete(self, ids: pa.Array) -> None:
        """Delete records in one transaction; ids that are not there are ignored."""
        table = self._table
        known = keys.possible(ids, table.id)
        if not known:
            return
        statement = sql.SQL("DELETE FROM {} WHERE {} = ANY ($1::{}) AND {}").format(
            table.quoted, table.id.quoted, keys.array_type(table.id), table.condition
        )
        self._touched_rows += len(known)
        with self._writing() as connection:
            connection.execute(statement, [known])

    def finish(self, space: Space, index: Index) -> None:
        """Wait for the disk, build the vector index if one is wanted and none is there, and ANALYZE.

        Statistics are renewed where the table has none or a tenth of it was written: those of ids and metadata.
        No plan of Wherry's uses those of texts and vectors, which cost the most.
        """
        with self._writing() as connection:
            self._look(connection)
            if self._table.oid is None:
                PgSource._absent(self, connection)
            card = cards.read(connection, self._table)
            if card is not None and not card.stale:
                # A write of its own: its commit waits for everything that was written before it.
                cards.write(connection, self._table, card.space.filled_from(self._named(space)), index)
            self._advance_sequence(connection)
        self._index(space, index)
        with self._writing() as connection:
            (known_rows,) = connection.execute(writing.ESTIMATED, [self._table.oid]).fetchone() or (-1,)
            if known_rows <= 0 or self._touched_rows * 10 > known_rows:
                connection.execute(writing.analysed(self._table))
                self._touched_rows = 0

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the table against other writers, wherever they run, or raise Busy."""
        hold = Hold(self._server, self._table.label)
        hold.take()
        self._hold = hold
        try:
            yield
        finally:
            self._hold = None
            hold.release()

    def portion(self, number: int) -> PgTarget:
        """Return this table: the server lets several write. Each transaction asks whether the run still lives."""
        self._hold = Guest(self._server, self._table.label)
        return self

    def gather(self, number: int | None = None) -> None:
        """Everything is in the table; nobody knows how many rows of it are new, so its statistics are."""
        if number is None:
            self._touched_rows += self.glance().count

    def close(self) -> None:
        """Close the connections; a second call does nothing."""
        super().close()
        self._writer.close()

    @contextmanager
    def _writing(self, ids: list[str] | None = None, durable: bool = True) -> Iterator[psycopg.Connection]:
        if self._hold is None:
            with self._writer.begin(ids or (), durable=durable) as connection:
                yield connection
            return
        self._hold.renew()
        with self._writer.begin(ids or (), durable=durable) as connection:
            self._hold.note(connection)
            begun = count(connection, self._table.oid)
            self._own.begin(begun)
            yield connection
            ended = count(connection, self._table.oid)
        self._own.ended(begun, ended)

    def _described(self, connection: psycopg.Connection, vectors: bool = True) -> Collection:
        if self._table.oid is None:
            space, layout = Space(metric=self._metric), self._table.shape.layout
            notes = tuple(layouts.notes_on(self._table, self._address, []))
            return Collection(self._table.label, False, 0, space, notes=notes, layout=layout)
        return super()._described(connection, vectors)

    def _absent(self, connection: psycopg.Connection) -> Table:
        return layouts.planned(connection, self._address, self._asked)

    def _asking(self) -> Asked:
        return Asked.to_write(self._address, None)

    def _laid_out(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return what the table is to hold for some records. Raises Rejected for ids of another collection."""
        table = self._table
        if table.scope is not None:
            with self._reader.begin() as connection:
                layouts.require_own(connection, table, batch.column("id"), self.address)
        if table.shape.codec is not None:
            batch = table.shape.codec.written(batch)
        if table.fields and not table.stores_metadata:
            fields.require_known(batch, table.fields, self.address)
        return batch

    def _named(self, space: Space) -> Space:
        return space.filled_from(Space(metric=self._metric))

    def _make(self, connection: psycopg.Connection, space: Space) -> None:
        dimension = space.dimension
        if dimension is None:
            raise Refused(
                f"{self.address} cannot be made: the dimension of its vectors is not known",
                left="nothing was made",
                next="sync a source that holds a record, or make the table yourself",
            )
        if dimension > MAX_DIMENSION:
            raise Unsupported(
                f"pgvector stores at most {MAX_DIMENSION:,} components per vector, not {dimension:,}",
                where=self.address,
                left="nothing was made",
            )
        if not self._table.version:
            extend(connection, self.address)
            self._table = layouts.planned(connection, self._address, self._asked)
        connection.execute(writing.creation(self._table, dimension))

    def _check(self, connection: psycopg.Connection, space: Space, index: Index) -> None:
        """Raise Refused or SpaceMismatch when records of `space` cannot be written to the table as it is."""
        writing.require_writable(self._table, self.address)
        found = indexes.vector_indexes(connection, self._table)
        card = cards.read(connection, self._table)
        self._space(connection, found, card).require_same(self._named(space), self.address, "the source")
        some = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(self._table.rows)
        self._live = bool((connection.execute(some).fetchone() or (False,))[0])
        # What is in the table already belongs to a space that nobody recorded: no card for it.
        if not self._live and (card is None or card.stale):
            cards.write(connection, self._table, self._named(space), index)

    def _require_fitting(self, batch: pa.RecordBatch) -> None:
        table, size = self._table, dimension_of(batch)
        if table.dimension not in (None, size):
            raise self._rejected(f"{size} components, the table has {table.dimension}")
        for column, name in ((table.text, "text"), (table.metadata, "metadata")):
            if column is None and batch.column(name).null_count < batch.num_rows:
                raise self._rejected(f"the table has no column for the {name} of records")

    def _rejected(self, what: str) -> Rejected:
        return Rejected(what, where=self.address, left="nothing of the batch was written")

    def _added(self, ids: list[str], rows: Callable[[], Iterable[memoryview]]) -> bool:
        """Write records that are not there; return False when one of them is."""
        try:
            with self._writing(ids, durable=False) as connection:
                self._send(connection, self._table.quoted, rows())
        except Rejected as error:
            if isinstance(error.__cause__, psycopg.errors.UniqueViolation):
                return False
            raise
        return True

    def _send(self, connection: psycopg.Connection, into: sql.Composable, rows: Iterable[memoryview]) -> None:
        names = sql.SQL(", ").join(column.quoted for column in self._table.columns)
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(into, names)
        with connection.cursor().copy(statement) as copy:
            send(copy, rows)

    def _encoded(self, batch: pa.RecordBatch) -> memoryview:
        return encode(self._fields(batch))

    def _fields(self, batch: pa.RecordBatch) -> list[pa.Array]:
        table = self._table
        fields = [
            vector_field(vectors_of(batch), table.half),
            keys.key_field(batch.column("id"), table.id, self.address),
        ]
        if table.text is not None:
            fields.append(text_field(batch.column("text")))
        if table.metadata is not None:
            binary = table.metadata.type == "jsonb"
            texts = jsonb.to_column(batch.column("metadata"), binary, table.metadata.not_null)
            fields.append(jsonb_field(texts) if binary else text_field(texts))
        return fields

    def _advance_sequence(self, connection: psycopg.Connection) -> None:
        """Let the table's own numbering go on behind the highest id, so that it gives out no id twice."""
        if self._table.id.type in INTEGER_TYPES:
            connection.execute(*writing.renumbering(self._table, connection))

    def _index(self, space: Space, wanted: Index) -> None:
        with self._writing() as connection:
            found = indexes.vector_indexes(connection, self._table)
            known = self._space(connection, found, cards.read(connection, self._table))
        known = known.filled_from(self._named(space))
        # What a framework always asks by is what its index has to be for.
        wanted_metric = self._table.shape.metric or known.metric
        usable = indexes.drop_invalid(self._writer, found)
        if wanted.kind != "hnsw":
            # One that was there and broke is wanted, whatever the source has.
            wanted = next((i.settings for i in found if not i.valid and i.kind == "hnsw"), wanted)
        if self._table.scope is not None and self._table.dimension is None:
            # Vectors of other lengths lie in the same column, and LangChain's queries would use no index on a part.
            return
        if wanted.kind == "hnsw" and not usable and wanted_metric is not None and known.dimension:
            metric: Metric = wanted_metric
            with self._writing() as connection:
                rows = (connection.execute(writing.counted(self._table)).fetchone() or (0,))[0]
            indexes.build(self._writer, self._table, metric, wanted, rows, known.dimension, self._live)
            metadata_indexes.build(self._writer, self._table, rows, self._live)
        self._searching.forget()


def _slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Cut a batch into parts that stay in the processor's cache while they are encoded."""
    rows = max(1, min(_SLICE_ROWS, _SLICE_BYTES * batch.num_rows // max(batch.nbytes, 1)))
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)
