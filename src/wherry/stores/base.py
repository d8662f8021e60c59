"""What a store is: small structural Protocols, and capabilities that cannot say "don't know".

A store that cannot write is simply one without `Writable`'s methods. A store holds exactly one
collection, is opened by `registry.open_source` (never creates anything) or `open_target`, and is
closed when done. An adapter knows its engine and nothing of moving; moving knows no engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa

from wherry.record import Native, Page, Reject
from wherry.space import Metric, Space
from wherry.where import Where

PAGE_ROWS = 4096


class IdKind(StrEnum):
    """Which ids an engine can hold as they are."""

    TEXT = "text"
    INTEGER = "integer"
    UUID = "uuid"


class Kind(StrEnum):
    """Kinds of metadata value."""

    NULL = "null"
    BOOL = "bool"
    INTEGER = "integer"
    FLOAT = "float"
    TEXT = "text"
    LIST = "list"
    OBJECT = "object"
    EMPTY = "empty-object"


ALL_KINDS = frozenset(Kind)


@dataclass(frozen=True)
class Capabilities:
    """What an engine can hold and promise. No field has a default: "don't know" cannot be said.

    id_kind: ids held unchanged. max_id_bytes: longest id in UTF-8 bytes, None = no limit.
    max_batch: records per write, asked from the server where it has a say, None = no limit.
    max_dimension: components a stored vector may have, None = no limit.
    precision_bits: bits kept of each component (32 or 16). normalises: metrics under which stored
    vectors are brought to unit length or otherwise rounded. metrics: metrics it can search.
    needs_metric: a collection cannot be made without saying which.
    zero_vectors: whether a zero vector can be stored under cosine *and* found again by search.
    null_text, nul_in_text: whether "no text" and U+0000 survive. metadata: kinds of value that come
    back unchanged. checked_metadata: the texts it yields are JSON objects in which no key comes twice.
    filterable: kinds its own filters understand. integer_bits: exact integers in
    metadata, None = any size. negative_zero: whether -0.0 in metadata survives.
    text_in_place: False when the engine has no texts or metadata of its own (a sidecar keeps them).
    snapshot_scan: a scan sees one moment. stable_order: two scans agree on the order.
    unique_ids: the engine itself makes a second record of one id impossible.
    atomic_batch: a write happens whole or not at all. detects_changes: it is `Versioned`.
    atomic_switch: a name can be moved to another collection in one step.
    """

    id_kind: IdKind
    max_id_bytes: int | None
    max_batch: int | None
    max_dimension: int | None
    precision_bits: int
    normalises: frozenset[Metric]
    metrics: frozenset[Metric]
    needs_metric: bool
    zero_vectors: bool
    null_text: bool
    nul_in_text: bool
    metadata: frozenset[Kind]
    checked_metadata: bool
    filterable: frozenset[Kind]
    integer_bits: int | None
    negative_zero: bool
    text_in_place: bool
    snapshot_scan: bool
    stable_order: bool
    unique_ids: bool
    atomic_batch: bool
    detects_changes: bool
    atomic_switch: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the capabilities as a JSON object, sets as sorted lists."""
        return {k: sorted(v) if isinstance(v, frozenset) else v for k, v in asdict(self).items()}


@dataclass(frozen=True)
class Index:
    """The vector index of a collection: m links per node, ef_construction build breadth.

    kind: `hnsw`, `ivfflat`, `flat` or `none`. None for a parameter means the engine's own default.
    """

    kind: str = "none"
    m: int | None = None
    ef_construction: int | None = None


@dataclass(frozen=True)
class Collection:
    """What `describe` found.

    name: as the engine has it. exists: False only for a target that is still to be made.
    count: records held, vectors missing included. bytes: on disk, None where the engine cannot say.
    notes: what a person should know before moving (one sentence each). volume: a path on the disk
    that holds the data, None where that disk is not ours to see.
    """

    name: str
    exists: bool
    count: int
    space: Space
    index: Index = Index()
    bytes: int | None = None
    notes: tuple[str, ...] = ()
    layout: str = "plain"
    volume: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class Readable(Protocol):
    """A collection that can be read. Opening one never creates anything."""

    @property
    def address(self) -> str:
        """Return the address, fit to print."""
        ...

    @property
    def identity(self) -> str:
        """Return a text that is equal for two stores exactly when they hold the same collection."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """Return what the engine can hold and promise, with the server's own limits."""
        ...

    def describe(self) -> Collection:
        """Return what is there now. Raises NoSuchCollection for a source that is not there."""
        ...

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        """Yield the whole collection once, in the engine's most natural order, `rows` at a time."""
        ...

    def ids(self, rows: int = PAGE_ROWS) -> Iterator[pa.Array]:
        """Yield every id held, without reading vectors; ids of rejects included."""
        ...

    def fetch(self, ids: pa.Array) -> Page:
        """Return the records with these ids, in any order; ids that are not there are left out."""
        ...

    def close(self) -> None:
        """Release connections and files; a second call does nothing."""
        ...


@runtime_checkable
class Glanced(Readable, Protocol):
    """A collection that can be described without a look at every record."""

    def glance(self) -> Collection:
        """Return what `describe` does; the notes may lack how many records cannot be moved."""
        ...


def glance(store: Readable) -> Collection:
    """Return what is there now, in the quickest way: for whoever reads all of it anyway, or wants the count alone."""
    return store.glance() if isinstance(store, Glanced) else store.describe()


@runtime_checkable
class Sampled(Readable, Protocol):
    """A collection whose first page costs more than its records: some can be read without it."""

    def sample(self, rows: int) -> Page:
        """Return up to `rows` of the records, whichever come first; none only where there are none."""
        ...


def sample(store: Readable, rows: int) -> Page | None:
    """Return up to `rows` records, for whoever wants to know what they are like; None where there are none."""
    if isinstance(store, Sampled):
        page = store.sample(rows)
        return page if page.read else None
    pages = store.scan(rows)
    try:
        return next(iter(pages), None)
    finally:
        # What was begun holds a cursor or a file; an iterator that is no generator holds none.
        close = getattr(pages, "close", None)
        if close is not None:
            close()


@runtime_checkable
class Comparable(Readable, Protocol):
    """A collection that is read faster by whoever only compares it."""

    def scan_to_compare(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        """Do what `scan` does; no other store takes these pages as they are, and they need not be cut as there."""
        ...


def scan_to_compare(store: Readable, rows: int = PAGE_ROWS) -> Iterator[Page]:
    """Yield the whole of a collection once, in the way that is fastest for a comparison."""
    return store.scan_to_compare(rows) if isinstance(store, Comparable) else store.scan(rows)


@runtime_checkable
class Writable(Readable, Protocol):
    """A collection that can be written. Every method is safe to repeat.

    What was written counts once `finish` returned. Before that, readers of an engine that holds one state (a table,
    a service) see each write as it comes; of one that publishes whole states (files) they see nothing yet, and what
    was staged and never finished is dropped, or taken up by the next run. Whoever ends with `upsert` or `delete`
    calls `finish`.
    """

    def prepare(self, space: Space, index: Index, rows: int) -> None:
        """Make the collection ready for about `rows` records of `space`; create it if absent.

        An existing collection keeps its settings. Vector indexes are built in `finish`.
        """
        ...

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        """Store records durably, each replacing whatever was under its id, old metadata included.

        absent=True promises that none of the ids is stored, so a bulk path may be taken.
        """
        ...

    def delete(self, ids: pa.Array) -> None:
        """Delete records; ids that are not there are ignored. For good once `finish` returned."""
        ...

    def finish(self, space: Space, index: Index) -> None:
        """Make what was written durable and searchable: build and check the index, publish the file."""
        ...

    def exclusive(self) -> AbstractContextManager[None]:
        """Hold the collection against other writers, also on other machines, or raise Busy."""
        ...


@runtime_checkable
class Publishing(Writable, Protocol):
    """A store that stages what is written and publishes it whole, in `finish`; until then no reader sees it."""

    @property
    def publishes(self) -> str:
        """Return what is published, in a word for people."""
        ...


@runtime_checkable
class Kindred(Writable, Protocol):
    """A store that takes records as another one of its kind sent them, without decoding (`Page.native`)."""

    def takes(self, form: str) -> bool:
        """Tell whether records of this form can be stored as they are, none of them altered."""
        ...

    def upsert_native(self, records: Native, absent: bool = False) -> None:
        """Do what `upsert` does with records of a form it takes."""
        ...


@runtime_checkable
class Shaped(Protocol):
    """A store that can lay a new collection out as a framework's own code reads it (`stores/layouts`)."""

    def follow(self, layout: str) -> None:
        """Hear the layout of what is to be written: a collection still to be made gets it, if no other is asked for."""
        ...


@dataclass(frozen=True)
class Hit:
    """A record that a search found.

    similarity: higher is nearer; cosine runs from -1 to 1, for l2 and l1 it is minus the distance, for ip the
    product. distance: what the engine said, in `metric`'s own terms (cosine: 1 - cosine; l2: the root; ip:
    minus the product). metadata: JSON text or None. metric: what the distance is one of.
    """

    id: str
    similarity: float
    distance: float
    text: str | None = None
    metadata: str | None = None
    metric: Metric | None = None


@runtime_checkable
class Searchable(Readable, Protocol):
    """A collection that finds what is near a vector by itself."""

    def search(self, vector: np.ndarray, k: int, where: Where | None = None, exact: bool = False) -> list[Hit]:
        """Return the k records nearest to a float32 vector of shape (dimension,), nearest first.

        where: a condition on metadata; k records come back where k satisfy it. exact: no approximate index is
        used. Ties are ordered by id. Several threads may search one store. Raises WrongDimension, UnknownMetric,
        Unsupported, and Usage for k < 1, for a vector that is not finite and for a zero vector under cosine.
        """
        ...


@dataclass(frozen=True)
class Touched:
    """What happened to a collection since a mark.

    count: records held now. ids: of every record written since the mark and still there; a few that
    were not written may be among them. Deletions show in the count alone.
    """

    count: int
    ids: pa.Array


@runtime_checkable
class Versioned(Protocol):
    """A store that can prove what did not change, without reading vectors (`detects_changes`)."""

    def mark(self) -> str | None:
        """Return a mark of this moment, or None when changes after it could not be told.

        Everything that was committed when the mark was taken is before it.
        """
        ...

    def touched(self, mark: str) -> Touched | None:
        """Return what was written since a mark, or None when that cannot be told.

        None whenever there is any doubt: the collection was made anew, the server was restored from a
        backup, the mark is another collection's, or so much was written that a scan is the better way.
        """
        ...


@dataclass(frozen=True)
class Others:
    """What others wrote to a collection. count: records held now. ids: of what is still there; None = too many."""

    count: int
    ids: list[str] | None


@runtime_checkable
class Discerning(Versioned, Protocol):
    """A store that can tell what it wrote itself from what others wrote."""

    def others(self, mark: str, held: int) -> Others | None:
        """Return what others than this open store wrote since a mark, at which `held` records were there.

        None whenever there is any doubt: then `touched` tells what was written, by whomever.
        """
        ...

    def own_writes(self) -> object:
        """Return what tells the writes of this open store; it can be pickled."""
        ...

    def count_as_own(self, writes: object) -> None:
        """Take as its own what another store of this collection told by `own_writes`.

        None = something was written for this one that nobody can tell, so that `others` is in doubt.
        """
        ...


@dataclass(frozen=True)
class Range:
    """Some keys of a collection: from `first` up to, and not including, `end`; None = no bound on that side.

    What a key is, only the engine that cut the collection knows: an id, the number of a row group. rows: about how
    many records there are.
    """

    first: str | None
    end: str | None
    rows: int


@runtime_checkable
class Partitioned(Readable, Protocol):
    """A collection that several can read at once, each some of its keys. No id may be there twice (`unique_ids`)."""

    def ranges(self, parts: int) -> list[Range]:
        """Cut the collection into at most `parts` ranges of about equal size, in order; [] when it cannot be cut.

        Every record that is there now is in exactly one of them, and so is one that is added later.
        """
        ...

    def scan_range(self, part: Range, rows: int = PAGE_ROWS) -> Iterator[Page]:
        """Do what `scan` does with the records of one range."""
        ...


@runtime_checkable
class Shared(Writable, Protocol):
    """A target that several workers write at once, while one process holds it (`exclusive`) and waits for them."""

    def portion(self, number: int) -> Writable:
        """Return the target as the worker of one partition writes it, in a process of its own.

        It is prepared and written like a target, and neither held nor finished. Who takes a partition over opens
        the same portion and finds what a lost worker left. Raises Busy while that one is still at work. Only ids
        that are in no other portion are written.
        """
        ...

    def gather(self, number: int | None = None) -> None:
        """Hear in the holding process that the worker of one partition is done; without a number, that all are.

        From then on all they wrote is in the target. A single one may be taken over while others are at work, or later.
        """
        ...


@runtime_checkable
class Switchable(Readable, Protocol):
    """A collection of a server that keeps other names for collections, each moved in one step (`atomic_switch`)."""

    @property
    def own_name(self) -> str:
        """The collection's own name, whatever name led to it."""
        ...

    def take_over(self, name: str, identity: str) -> bool:
        """Let another name of the server stand for this collection from now on; return whether it does now.

        Only where that name stands for the collection of `identity`; of any other it is not taken away.
        """
        ...


@dataclass(frozen=True)
class Probe:
    """What an engine reports to `doctor`: name, whether it is usable, version or install hint."""

    engine: str
    usable: bool
    detail: str


__all__ = [
    "ALL_KINDS",
    "PAGE_ROWS",
    "Capabilities",
    "Collection",
    "Comparable",
    "Discerning",
    "Glanced",
    "Hit",
    "IdKind",
    "Index",
    "Kind",
    "Kindred",
    "Others",
    "Page",
    "Partitioned",
    "Probe",
    "Publishing",
    "Range",
    "Readable",
    "Reject",
    "Sampled",
    "Searchable",
    "Shaped",
    "Shared",
    "Switchable",
    "Touched",
    "Versioned",
    "Writable",
    "glance",
    "sample",
    "scan_to_compare",
]
