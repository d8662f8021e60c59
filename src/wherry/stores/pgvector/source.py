"""A table of PostgreSQL with a pgvector column, to be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql

from wherry.address import Address
from wherry.postgres.copy import Message, messages
from wherry.postgres.link import Link, Server
from wherry.postgres.server import data_folder
from wherry.record import Page
from wherry.space import Metric, Space
from wherry.state import file_name
from wherry.stores.base import PAGE_ROWS, Capabilities, Collection, Hit, Index, Range, Touched
from wherry.stores.lexical import FusedHit, Fusion
from wherry.stores.pgvector import adbc, cards, changes, cutting, ground, indexes, keys, layouts, shelf, tuning
from wherry.stores.pgvector.catalog import Table, require_name
from wherry.stores.pgvector.decoding import nothing
from wherry.stores.pgvector.form import Form
from wherry.stores.pgvector.layouts import Asked
from wherry.stores.pgvector.reading import copied, listed, pages, together
from wherry.stores.pgvector.searching import Searching
from wherry.stores.pgvector.shelf import PgShelf
from wherry.stores.tuning import Build, Trial
from wherry.where import Where

OPTIONS = {"id", "vector", "text", "metadata", "fields", "schema", "metric", "layout", "collection"}
MAX_DIMENSION = 16_000
# Before it, a build could corrupt an index and vacuum another.
SOUND_VERSION = (0, 8, 4)
_SAMPLE_ROWS = 1_000
_IDENTITY = """
SELECT (SELECT system_identifier FROM pg_control_system())::text || '/' || oid::text
FROM pg_database WHERE datname = current_database()
"""


class PgSource:
    """A table, opened for reading only."""

    def __init__(self, address: Address, server: Server, read_only: bool = True) -> None:
        require_name(address)
        self._address = address
        self._server = server
        self._metric = address.stated_metric()
        self._asked = self._asking()
        self._reader = Link(server, read_only=True)
        self._spare: list[Link] = []
        self._searching = Searching(server, self._ground, lambda: self._table, self.scan)
        with self._reader.begin() as connection:
            self._database = str((connection.execute(_IDENTITY).fetchone() or ("",))[0])
            self._look(connection)

    @property
    def address(self) -> str:
        """The address, fit to print."""
        return str(self._address)

    @property
    def identity(self) -> str:
        """Equal for two stores exactly when they hold the same collection: also of two addresses."""
        table = self._table
        roles = {"id": table.id, "vector": table.vector, "text": table.text, "metadata": table.metadata}
        columns = {role: column.name if column else "" for role, column in roles.items()}
        if table.scope is not None:
            columns["collection"] = table.scope.value
        if table.fields and not table.shape.fields:
            columns["fields"] = ",".join(column.name for column in table.fields)
        return str(Address("pgvector", f"//{self._database}", f"{table.schema}.{table.name}", columns))

    @property
    def capabilities(self) -> Capabilities:
        """What this table can hold; of one that is still to be made, what it will."""
        table = self._table
        kinds = layouts.kinds_of(table)
        return Capabilities(
            id_kind=keys.id_kind(table.id),
            max_id_bytes=keys.longest_id(table.id),
            max_batch=None,
            max_dimension=MAX_DIMENSION,
            precision_bits=16 if table.half else 32,
            normalises=frozenset(),
            metrics=frozenset(Metric),
            needs_metric=False,
            # A zero vector is stored, but an HNSW index of cosine leaves it out.
            zero_vectors=False,
            null_text=table.text is None or not table.text.not_null,
            nul_in_text=False,
            metadata=kinds,
            checked_metadata=table.metadata is None or table.metadata.type == "jsonb",
            filterable=kinds,
            integer_bits=None,
            negative_zero=True,
            text_in_place=True,
            snapshot_scan=True,
            stable_order=True,
            unique_ids=table.unique,
            atomic_batch=True,
            detects_changes=self._state.detectable,
            atomic_switch=True,
        )

    def describe(self) -> Collection:
        """Return what is there now."""
        with self._reader.begin() as connection:
            self._look(connection)
            return self._described(connection)

    def glance(self) -> Collection:
        """Return what is there now, without asking every row whether it has a vector."""
        with self._reader.begin() as connection:
            self._look(connection)
            return self._described(connection, vectors=False)

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        """Yield the whole table as of one moment, as it lies on disk."""
        with closing(self._new_link()) as link:
            yield from self._selected(link, lambda form: form.select(), rows)

    def scan_to_compare(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        """Do what `scan` does, for whoever only compares: by the Arrow project's client where it is installed."""
        arrow = adbc.client()
        if arrow is not None:
            with self._reader.begin() as connection:
                form = self._form(connection)
                query = form.select().as_string(connection)
            if form.utf8:
                yield from map(self._read, adbc.pages(arrow, self._server, query, form, rows))
                return
        yield from self.scan(rows)

    def ranges(self, parts: int) -> list[Range]:
        """Cut the table into ranges of its key, none where that is not unique."""
        with self._reader.begin() as connection:
            self._look(connection)
            return cutting.ranges(connection, self._table, parts) if self._table.unique else []

    def scan_range(self, part: Range, rows: int = PAGE_ROWS) -> Iterator[Page]:
        """Yield the rows of one range as of one moment."""
        # A session of its own for each range would meet every page of the server's memory for the first time again.
        link = self._spare.pop() if self._spare else self._new_link()
        try:
            yield from self._selected(link, lambda form: form.select_where(cutting.condition(form.table, part)), rows)
        except BaseException:
            link.close()
            raise
        self._spare.append(link)

    def ids(self, rows: int = PAGE_ROWS) -> Iterator[pa.Array]:
        """Yield every id as of one moment; nothing else is read."""
        with closing(self._new_link()) as link, self._streaming(link, lambda form: form.select_ids()) as (arriving, _):
            yield from listed(arriving, rows)

    def mark(self) -> str | None:
        """Return a mark of this moment, None where PostgreSQL cannot tell what is written later."""
        with self._reader.begin() as connection:
            self._look(connection)
            return self._state.mark()

    def touched(self, mark: str) -> Touched | None:
        """Return what was written since a mark, None where that cannot be told."""
        with self._reader.begin() as connection:
            self._look(connection)
            return changes.touched(connection, self._state, mark)

    def fetch(self, ids: pa.Array) -> Page:
        """Return the records with these ids; ids that are not there are left out."""
        wanted = keys.possible(ids, self._table.id)
        with self._reader.begin() as connection:
            form = self._form(connection)
            connection.execute("SELECT set_config('wherry.ids', $1::text[]::text, true)", [wanted])
            chosen = sql.SQL("{} WHERE {} = ANY (current_setting('wherry.ids')::{})").format(
                form.select(), self._table.id.quoted, keys.array_type(self._table.id)
            )
            with connection.cursor().copy(copied(chosen)) as copy:
                found = list(pages(messages(copy), form, max(len(wanted), 1)))
        return self._read(together(found or [nothing(form)]))

    def search(self, vector: np.ndarray, k: int, where: Where | None = None, exact: bool = False) -> list[Hit]:
        """Return the k nearest records: by the vector index where there is one that fits the metric."""
        return self._searching.search(vector, k, where, exact)

    def fused(self, vector: np.ndarray, fusion: Fusion, where: Where | None, exact: bool) -> list[FusedHit] | None:
        """Return the k best records of both legs of a search, in one round trip."""
        return self._searching.fused(vector, fusion, where, exact)

    def trial(self, rows: int, questions: int) -> AbstractContextManager[Trial]:
        """Make a sample of the table to try indexes on; it is a table of its own and goes with the trial."""
        return tuning.trial(self._server, self._ground(), rows, questions)

    def retune(self, build: Build, breadth: int) -> None:
        """Build this vector index beside the one in use, and drop that one."""
        tuning.retune(self._server, self._ground(), build, breadth)
        self._searching.forget()

    def word_shelf(self, make: bool = False) -> PgShelf | None:
        """Return the room for the words of this table in its schema, None where nobody made any."""
        name = file_name(self.identity)
        if not make:
            with self._reader.begin() as connection:
                if not shelf.published(connection, self._table.schema, name):
                    return None
        room = PgShelf(self._server, self._table.schema, name)
        if make:
            room.make()
        return room

    def _ground(self) -> ground.Ground:
        """Find out what a search stands on."""
        with self._reader.begin() as connection:
            self._look(connection)
            if self._table.oid is None:
                PgSource._absent(self, connection)
            found = indexes.vector_indexes(connection, self._table)
            space = self._space(connection, found, cards.read(connection, self._table))
            return ground.look(connection, self._table, space)

    def close(self) -> None:
        """Close the connections; a second call does nothing."""
        self._reader.close()
        self._searching.close()
        while self._spare:
            self._spare.pop().close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address!r})"

    def _new_link(self) -> Link:
        """Return a connection for rows that arrive while others are asked for."""
        return Link(self._server, read_only=True)

    def _selected(self, link: Link, query: Callable[[Form], sql.Composable], rows: int) -> Iterator[Page]:
        with self._streaming(link, query) as (arriving, form):
            yield from map(self._read, pages(arriving, form, rows))

    @contextmanager
    def _streaming(
        self, link: Link, query: Callable[[Form], sql.Composable]
    ) -> Iterator[tuple[Iterator[Message], Form]]:
        """Give the rows of one statement as they arrive."""
        with link.begin() as connection:
            form = self._form(connection)
            with connection.cursor().copy(copied(query(form))) as copy:
                yield messages(copy), form

    def _asking(self) -> Asked:
        return Asked.to_read(self._address)

    def _read(self, page: Page) -> Page:
        """Return a page as plain records, whatever framework made the rows."""
        codec = self._table.shape.codec
        return page if codec is None else codec.read(page)

    def _look(self, connection: psycopg.Connection) -> None:
        """Find out what the table is now."""
        self._table = layouts.find(connection, self._address, self._asked) or self._absent(connection)
        self._state = changes.state(connection, self._table, self._server.embedded)

    def _absent(self, connection: psycopg.Connection) -> Table:
        raise layouts.absent(connection, self._address)

    def _form(self, connection: psycopg.Connection) -> Form:
        if self._table.oid is None:
            self._look(connection)
        if self._table.oid is None:
            PgSource._absent(self, connection)
        dimension = self._table.dimension or self._usual_dimension(connection) or 0
        return Form(self._table, dimension, connection.info.parameter_status("server_encoding") == "UTF8")

    def _usual_dimension(self, connection: psycopg.Connection) -> int | None:
        """Return the dimension of a column that declares none: of its card, else of most of its first rows."""
        card = cards.read(connection, self._table)
        if card is not None and not card.stale and card.space.dimension:
            return card.space.dimension
        table = self._table
        query = sql.SQL(
            "SELECT {}(v) FROM (SELECT {} AS v FROM {} LIMIT {}) first WHERE v IS NOT NULL"
            " GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1"
        ).format(table.type("vector_dims"), table.vector.quoted, table.rows, sql.Literal(_SAMPLE_ROWS))
        row = connection.execute(query).fetchone()
        return row[0] if row else None

    def _described(self, connection: psycopg.Connection, vectors: bool = True) -> Collection:
        """Describe the table. vectors: whether they are counted too."""
        table = self._table
        count, held, size = connection.execute(_measured(table, vectors), [table.oid]).fetchone() or (0, 0, 0)
        found = indexes.vector_indexes(connection, table)
        card = cards.read(connection, table)
        space = self._space(connection, found, card)
        notes = [
            *_notes(table, count - held, card),
            *indexes.notes_on(found, table, card.index if card else Index(), space.dimension),
            *layouts.notes_on(table, self._address, found),
        ]
        return Collection(
            table.label,
            exists=True,
            count=count,
            space=space,
            index=found[0].settings if found else Index(),
            bytes=int(size),
            notes=tuple(notes),
            layout=table.shape.layout,
            volume=str(data_folder()) if self._server.embedded else None,
            extra={"id": table.id.type, "vector": table.vector.type, "pgvector": table.version},
        )

    def _space(
        self, connection: psycopg.Connection, found: list[indexes.VectorIndex], card: cards.Card | None
    ) -> Space:
        """Return what is known of the space: from the card, then from the table and its index."""
        dimension = self._table.dimension or self._usual_dimension(connection)
        known = Space(dimension=dimension)
        if not self._table.shape.metric:
            known = Space(dimension=dimension, metric=indexes.metric_of(found))
        elif card is None or card.stale:
            known = Space(dimension=dimension, metric=layouts.usual_metric(connection, self._table))
        if card is not None and not card.stale:
            known = card.space.filled_from(known)
        return known.with_metric(self._metric, self.address)


def _measured(table: Table, vectors: bool) -> sql.Composed:
    # Rows alone are counted in the index of the key; whether a vector is null, only the rows themselves tell.
    counted = table.vector.quoted if vectors and not table.vector.not_null else sql.SQL("*")
    return sql.SQL(
        "SELECT count(*), count({}), coalesce("
        "(SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree($1::bigint::oid::regclass)),"
        " pg_total_relation_size($1::bigint::oid)) FROM {}"
    ).format(counted, table.rows)


def _notes(table: Table, missing: int, card: cards.Card | None) -> Iterator[str]:
    if missing:
        yield f"{missing:,} rows have no vector: they cannot be moved"
    if not table.unique:
        yield f"nothing keeps the values of {table.id.name} apart: one may come twice"
    if table.others:
        names = ", ".join(column.name for column in table.others)
        yield f"columns that are no part of a record: {names}"
    if card is not None and card.stale:
        yield "the space card was written for an earlier table of this name: it is not used"
    if table.version and _version(table.version) < SOUND_VERSION:
        yield f"pgvector {table.version} is older than 0.8.4: its indexes can be damaged by a build or a vacuum"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())
