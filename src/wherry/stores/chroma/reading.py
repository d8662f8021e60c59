"""A Chroma collection, to be read."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
from chromadb.api import ClientAPI
from chromadb.api.models.Collection import Collection as Handle
from chromadb.errors import NotFoundError

from wherry.errors import BadAddress, NoSuchCollection, WherryError
from wherry.record import Page
from wherry.space import Metric, Space
from wherry.stores.base import ALL_KINDS, PAGE_ROWS, Capabilities, Collection, Hit, IdKind, Index, Kind
from wherry.stores.chroma import filters, laid_out, searching
from wherry.stores.chroma.backlog import holds_beside, lists_of_numbers
from wherry.stores.chroma.faults import LostVector, translated
from wherry.stores.chroma.holds import processes_with
from wherry.stores.chroma.links import FolderLink, ServerLink, batch_limit_here
from wherry.stores.chroma.place import DATABASE_FILE, Place, closest
from wherry.stores.chroma.portions import Portions
from wherry.stores.chroma.rows import get
from wherry.stores.chroma.values import BESIDE
from wherry.stores.exact import Query, checked, search_pages
from wherry.stores.hits import as_records
from wherry.stores.layouts import PLAIN, Codec
from wherry.where import Where

CARD = "wherry_space"
METRICS = {"l2": Metric.L2, "cosine": Metric.COSINE, "ip": Metric.IP}
_NAMES_AT_ONCE = 1000


class ChromaSource:
    """A Chroma collection of a folder or a server; it is never created, and never given an embedder."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._opening = threading.Lock()
        self._opened: FolderLink | ServerLink | None = None
        self._known: tuple[int, Handle] | None = None
        self._layout: str | None = None
        self._followed: str | None = None
        self._writing = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.address!r})"

    @property
    def address(self) -> str:
        """The address, fit to print."""
        return self.place.shown

    @property
    def identity(self) -> str:
        """Equal for two stores exactly when they hold the same collection."""
        return self.place.identity

    @property
    def capabilities(self) -> Capabilities:
        """What Chroma 1.5 holds and promises; the batch size is the client's own."""
        with translated(self.place):
            if not self.place.is_there:
                return _capabilities(_limit_here())
            with self._link().using() as client:
                return _capabilities(client.get_max_batch_size())

    def describe(self) -> Collection:
        """Return what is there now. Raises NoSuchCollection, naming the collections that are."""
        with self._using(anew=True) as handle:
            count, layout = handle.count(), self._layout_in(handle)
        configuration, metadata = handle.configuration_json, handle.metadata or {}
        engine, card = _engine_space(handle), _card(metadata)
        return Collection(
            name=handle.name,
            exists=True,
            count=count,
            space=self._space(handle),
            index=_index(configuration),
            bytes=self._bytes(),
            notes=tuple(self._notes(engine, card, metadata)),
            layout=layout,
            volume=self.place.volume,
        )

    def scan(self, rows: int = PAGE_ROWS) -> Iterator[Page]:
        """Yield all records: the ids are listed first, then read page by page in that order.

        Records that vanish in between are simply not there; records that come in between are not seen.
        """
        listed = self._listed()
        for page in self._portions().pages(listed, rows):
            if page.read:
                yield self._read(page)

    def sample(self, rows: int) -> Page:
        """Return up to `rows` records; the ids of all the others are not listed."""
        return self.fetch(self._listed(limit=rows))

    def ids(self, rows: int = PAGE_ROWS) -> Iterator[pa.Array]:
        """Yield every id, those of records without a vector included."""
        listed = self._listed()
        for start in range(0, len(listed), rows):
            yield listed.slice(start, rows)

    def fetch(self, ids: pa.Array) -> Page:
        """Return the records with these ids."""
        return self._read(self._portions().everything(ids))

    def search(self, vector: np.ndarray, k: int, where: Where | None = None, exact: bool = False) -> list[Hit]:
        """Return the k nearest records: by Chroma's index, or by reading all where that gives too few."""
        with self._using() as handle:
            query = checked(vector, k, self._space(handle), self.address)
            count = handle.count()
        if exact:
            return search_pages(self.scan(), query, where)
        form = None if where is None else self._filter(where)
        return searching.search(lambda limit: self._nearest(query, form, limit), self.scan, query, where, count)

    def _nearest(self, query: Query, form: filters.Form | None, limit: int) -> list[Hit] | None:
        with self._using() as handle:
            try:
                found = searching.asked(handle, query, form, limit)
            except NotFoundError:
                self._known = None
                raise
        return None if found is None else as_records(found, self._codec())

    def _space(self, handle: Handle) -> Space:
        """Return the collection's space: what the engine says, then what the card does."""
        known = _engine_space(handle).filled_from(_card(handle.metadata or {}))
        return known.with_metric(self.place.stated, self.address)

    def _filter(self, where: Where) -> filters.Form | None:
        """Return a filter for a condition; None where some metadata lies where none looks, or nobody can tell."""
        folder = self.place.folder
        if folder is None or self._codec() is not None or holds_beside(folder, BESIDE):
            return None
        return filters.filter_of(where, lists_of_numbers(folder, filters.ordered_keys(where)))

    def close(self) -> None:
        """Release the client; a second call does nothing."""
        if self._opened is not None:
            self._opened.close()
        self._opened = self._known = None

    def _link(self) -> FolderLink | ServerLink:
        with self._opening:
            place = self.place
            if self._opened is None and place.server is not None:
                self._opened = ServerLink(place, place.server)
            elif self._opened is None and place.folder is not None:
                if not place.is_there:
                    raise self._no_folder()
                self._opened = FolderLink(place.folder)
            return cast("FolderLink | ServerLink", self._opened)

    @contextmanager
    def _using(self, anew: bool = False) -> Iterator[Handle]:
        """Hold the collection as it is now, in Wherry's errors. anew: ask Chroma what it is, too."""
        with translated(self.place):
            link = self._link()
            if isinstance(link, FolderLink):
                link.folder.refresh()
            with link.using() as client:
                if anew:
                    self._known = None
                yield self._handle(client)

    def _handle(self, client: ClientAPI) -> Handle:
        """Return the collection; asked for once per client. Raises NoSuchCollection."""
        link = self._link()
        # Read once: another thread may forget it in between.
        known = self._known
        if known is None or known[0] != link.generation:
            handle = self._found(client)
            if handle is None:
                raise self._no_collection(client)
            self._known = known = (link.generation, handle)
        return known[1]

    def _found(self, client: ClientAPI) -> Handle | None:
        if not self.place.name:
            raise BadAddress(f"{self.address} names no collection", next=_offered(client, ""))
        try:
            handle = client.get_collection(self.place.name, embedding_function=None)
        except NotFoundError:
            return None
        if isinstance(self._opened, FolderLink):
            self._opened.folder.settle(handle)
        return handle

    def _get(self, ids: list[str] | None, everything: bool, limit: int | None = None) -> dict[str, Any]:
        with translated(self.place), self._link().using() as client:
            handle = self._handle(client)
            try:
                return get(handle, ids, everything, limit)
            except NotFoundError:
                self._known = None
                raise

    def _layout_in(self, handle: Handle) -> str:
        if self._layout is None:
            self._layout = laid_out.layout_of(handle, self.place.layout, self._followed, self._writing)
        return self._layout

    def _codec(self) -> Codec | None:
        if self._layout is None:
            with self._using() as handle:
                self._layout_in(handle)
        return laid_out.codec_of(self._layout or PLAIN)

    def _read(self, page: Page) -> Page:
        """Return a page as plain records, whatever framework wrote them."""
        codec = self._codec()
        return page if codec is None else codec.read(page)

    def _listed(self, limit: int | None = None) -> pa.Array:
        with self._using(anew=True):
            pass
        # One question for all of them: pages of ids by offset would lose some while others are deleted.
        return pa.array(self._get(None, False, limit)["ids"], type=pa.string())

    def _portions(self) -> Portions:
        with self._using() as handle:
            dimension = handle._model.dimension or _card(handle.metadata or {}).dimension or 0
        return Portions(self._get_again, dimension)

    def _get_again(self, ids: list[str], everything: bool) -> dict[str, Any]:
        """Get records; where another process wrote meanwhile, its vectors are seen after reopening."""
        try:
            return self._get(ids, everything)
        except LostVector:
            link = self._link()
            if not isinstance(link, FolderLink) or not link.folder.refresh():
                raise
        return self._get(ids, everything)

    def _bytes(self) -> int | None:
        folder = self.place.folder
        return None if folder is None else _size(folder)

    def _notes(self, engine: Space, card: Space, metadata: dict[str, Any]) -> Iterator[str]:
        conflicts = engine.conflicts(card)
        if conflicts:
            yield f"the space card contradicts the collection ({'; '.join(conflicts)}); the collection counts"
        if "hnsw:space" in metadata and engine.metric != METRICS.get(metadata["hnsw:space"]):
            yield f"its metadata says hnsw:space={metadata['hnsw:space']}, its index is {engine.metric}"
        others = [] if self.place.folder is None else processes_with(self.place.folder)
        if others:
            yield f"{', '.join(others)} has the folder open; what it writes from now on may not be seen"

    def _no_folder(self) -> WherryError:
        return NoSuchCollection(
            f"there is no Chroma folder here (no {DATABASE_FILE})",
            where=self.address,
            left="nothing was made",
            next="check the path",
        )

    def _no_collection(self, client: ClientAPI) -> WherryError:
        return NoSuchCollection(
            f"there is no collection {self.place.name!r}",
            where=self.address,
            left="nothing was made",
            next=_offered(client, self.place.name),
        )


def _offered(client: ClientAPI, name: str) -> str:
    names = [c.name for c in client.list_collections(limit=_NAMES_AT_ONCE)]
    return f"collections here: {', '.join(closest(name, names))}" if names else "there are no collections here"


def _engine_space(handle: Handle) -> Space:
    return Space(dimension=handle._model.dimension, metric=_metric(handle.configuration_json, handle.metadata or {}))


def _metric(configuration: dict[str, Any], metadata: dict[str, Any]) -> Metric | None:
    """Return the metric of the index; metadata is asked only where the configuration says nothing."""
    for kind in ("hnsw", "spann"):
        found = (configuration.get(kind) or {}).get("space")
        if found is not None:
            return METRICS.get(found)
    return METRICS.get(metadata.get("hnsw:space", ""))


def _index(configuration: dict[str, Any]) -> Index:
    found = configuration.get("hnsw") or configuration.get("spann") or {}
    return Index("hnsw", m=found.get("max_neighbors"), ef_construction=found.get("ef_construction"))


def _card(metadata: dict[str, Any]) -> Space:
    """Read the space card; a text under that key that is no card says nothing."""
    try:
        card = json.loads(metadata.get(CARD, "{}"))
        return Space.from_dict(card) if isinstance(card, dict) else Space()
    except (ValueError, TypeError, BadAddress):
        return Space()


def _size(folder: str | Path) -> int:
    """Return the bytes of all files below a folder; each collection of it has a folder of its own."""
    size = 0
    # What is written meanwhile has journals that come and go.
    with suppress(FileNotFoundError), os.scandir(folder) as found:
        for entry in found:
            with suppress(FileNotFoundError):
                size += _size(entry.path) if entry.is_dir(follow_symlinks=False) else entry.stat().st_size
    return size


@lru_cache(maxsize=1)
def _limit_here() -> int:
    return batch_limit_here()


def _capabilities(max_batch: int) -> Capabilities:
    return Capabilities(
        id_kind=IdKind.TEXT,
        max_id_bytes=None,
        max_batch=max_batch,
        max_dimension=None,
        precision_bits=32,
        # Within two units in the last place, also of vectors that are unit already; lengths come back.
        normalises=frozenset({Metric.COSINE}),
        metrics=frozenset(METRICS.values()),
        needs_metric=True,
        zero_vectors=True,
        null_text=True,
        nul_in_text=True,
        metadata=ALL_KINDS,
        checked_metadata=True,
        filterable=frozenset({Kind.BOOL, Kind.INTEGER, Kind.FLOAT, Kind.TEXT, Kind.LIST}),
        integer_bits=None,
        negative_zero=True,
        text_in_place=True,
        snapshot_scan=False,
        stable_order=True,
        unique_ids=True,
        atomic_batch=False,
        detects_changes=False,
        atomic_switch=False,
    )
