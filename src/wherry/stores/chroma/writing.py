"""A Chroma collection, to be written.

Chroma's own `add` leaves an id that is there as it is, without a word, and its `upsert` keeps old
metadata keys and old documents. So a record is replaced by deleting and adding it, a few at a time: a
kill between the two leaves at most that many records out, in a batch that the journal knows to be
unfinished, and the next run writes it again.

What `upsert` returned from survives a kill, and what it was doing does not harm what was there; how that
is so, against Chroma's own habits, is in `loading.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from json import JSONDecodeError
from typing import Any, cast

import numpy as np
import pyarrow as pa
from chromadb.api import ClientAPI
from chromadb.api.collection_configuration import CreateCollectionConfiguration
from chromadb.api.models.Collection import Collection as Handle

from wherry.errors import BadRecord, Rejected, UnknownMetric, Unsupported, WherryError
from wherry.record import vectors_of
from wherry.space import Metric, Space
from wherry.state import locked
from wherry.stores.base import Collection, Index
from wherry.stores.chroma import laid_out
from wherry.stores.chroma.faults import is_too_large, translated
from wherry.stores.chroma.holds import held
from wherry.stores.chroma.links import FolderLink, make_folder
from wherry.stores.chroma.loading import Loading, loading_threshold
from wherry.stores.chroma.place import Place, require_name
from wherry.stores.chroma.reading import CARD, METRICS, ChromaSource
from wherry.stores.chroma.rows import Columns, add, columns_of
from wherry.stores.layouts import meant

_REPLACED_AT_ONCE = 256
_IDS_AT_ONCE = 4096
_REQUEST_BYTES = 8 << 20
_FEWEST_LINKS = 2
# Lengths whose square a float32 can hold with full precision; beyond, cosine makes zeros and NaN of vectors.
_LENGTHS = (1e-20, 1.8e19)
_NAMES = {metric: name for name, metric in METRICS.items()}


class ChromaStore(ChromaSource):
    """A Chroma collection of a folder or a server; `prepare` makes it."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._holding, self._writing = False, True
        self._loader: Loading | None = None

    def describe(self) -> Collection:
        """Return what is there now, which may be nothing yet."""
        if not self._exists():
            said, layout = Space(metric=self.place.stated), meant(self.place.layout, self._followed, None)
            return Collection(self.place.name, False, 0, said, layout=layout, volume=self.place.volume)
        return super().describe()

    def follow(self, layout: str) -> None:
        """Hear the layout of what is to be written: a collection still to be made gets it, if no other is asked for."""
        self._followed, self._layout = layout, None

    def prepare(self, space: Space, index: Index, rows: int) -> None:
        """Create the collection with the space's metric and the index's parameters; one that is there stays.

        Raises BadAddress for a name Chroma cannot have, UnknownMetric, Unsupported, SpaceMismatch.
        """
        require_name(self.place.name, self.address)
        configuration = self._configuration(space, index, rows)
        with nullcontext() if self._holding else self.exclusive():
            folder = self.place.folder
            if folder is not None and not self.place.is_there:
                with translated(self.place):
                    make_folder(folder)
            if self._exists():
                self._adopt(space)
                return
            with translated(self.place), self._link().using() as client:
                client.create_collection(
                    self.place.name,
                    configuration=cast(CreateCollectionConfiguration, {"hnsw": configuration}),
                    metadata=_card_text(space) | laid_out.card(meant(self.place.layout, self._followed, None)),
                    embedding_function=None,
                )
                self._layout = None

    def upsert(self, batch: pa.RecordBatch, absent: bool = False) -> None:
        """Store records, each replacing all of what was under its id; durable against a kill on return.

        Which ids are there is asked in any case, which costs under 1 % of the write: Chroma would leave
        a record as it is when the promise of `absent` does not hold.
        """
        if batch.num_rows == 0:
            return
        self._require_lengths(batch)
        codec = self._codec()
        batch = batch if codec is None else codec.written(batch)
        columns = self._columns(batch)
        there = self._there(columns.ids)
        new = [row for row, record_id in enumerate(columns.ids) if record_id not in there]
        old = [row for row, record_id in enumerate(columns.ids) if record_id in there]
        for part in columns.take(new).parts(self._rows_at_once(batch)):
            self._add(part)
        for part in columns.take(old).parts(min(_REPLACED_AT_ONCE, self._rows_at_once(batch))):
            self._replace(part)

    def delete(self, ids: pa.Array) -> None:
        """Delete records; ids that are not there are ignored."""
        unique = list(dict.fromkeys(ids.to_pylist()))
        for start in range(0, len(unique), _IDS_AT_ONCE):
            part = unique[start : start + _IDS_AT_ONCE]
            self._write(len(part), lambda handle, part=part: handle.delete(ids=part))

    def finish(self, space: Space, index: Index) -> None:
        """Bring a folder's index files up to date; a server does that by itself."""
        with translated(self.place):
            link = self._link()
            if isinstance(link, FolderLink):
                self._loading(link).finish()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the collection against other writers, or raise Busy.

        A folder is held against every process of this machine, see `held`. A collection of a server is
        held against runs that share the state folder; other machines are not seen.
        """
        folder = self.place.folder
        hold: AbstractContextManager[None] = (
            locked(f"writer of {self.identity}", self.address) if folder is None else held(self.place, folder)
        )
        with hold:
            self._holding = True
            try:
                yield
            finally:
                self._holding = False

    def close(self) -> None:
        """Release the client; a second call does nothing."""
        self._loader = None
        super().close()

    def _exists(self) -> bool:
        if not self.place.is_there:
            return False
        with translated(self.place), self._link().using() as client:
            return self._found(client) is not None

    def _configuration(self, space: Space, index: Index, rows: int) -> dict[str, Any]:
        if space.metric is None:
            raise UnknownMetric(
                "the metric of the vectors is not recorded, and Chroma's default (l2) would be a guess",
                where=self.address,
                left="nothing was written",
            )
        if space.metric not in _NAMES:
            raise Unsupported(
                f"Chroma has no {space.metric} metric",
                where=self.address,
                left="nothing was written",
                next="choose another target",
            )
        if index.m is not None and index.m < _FEWEST_LINKS:
            raise Unsupported(f"an index of {index.m} links per record finds nothing", where=self.address)
        found = {"space": _NAMES[space.metric], "max_neighbors": index.m, "ef_construction": index.ef_construction}
        if self.place.folder is not None:
            found["sync_threshold"] = loading_threshold(rows)
        return {name: value for name, value in found.items() if value is not None}

    def _adopt(self, space: Space) -> None:
        """Check that a collection that is there takes vectors of `space`; an empty one gets its card."""
        found = super().describe()
        found.space.require_same(space, self.address, "the source")
        with self._using() as handle:
            metadata = dict(handle.metadata or {})
            # Chroma refuses to rewrite metadata in which the metric is named.
            if found.count == 0 and CARD not in metadata and "hnsw:space" not in metadata:
                handle.modify(metadata=metadata | _card_text(space) | laid_out.card(found.layout))
                self._known = None

    def _columns(self, batch: pa.RecordBatch) -> Columns:
        try:
            return columns_of(batch)
        except ValueError as error:
            words = "metadata is no JSON object" if isinstance(error, JSONDecodeError) else str(error)
            raise Rejected(words, where=self.address, left="nothing of the batch was written") from None

    def _require_lengths(self, batch: pa.RecordBatch) -> None:
        """Raise BadRecord for vectors that cosine would destroy: Chroma squares in float32."""
        with self._using() as handle:
            if handle.configuration_json.get("hnsw", {}).get("space") != _NAMES[Metric.COSINE]:
                return
        lengths = np.linalg.norm(vectors_of(batch).astype(np.float64), axis=1)
        bad = (lengths != 0) & ~((lengths >= _LENGTHS[0]) & (lengths <= _LENGTHS[1]))
        # What is no number at all is refused by Chroma itself.
        rows = np.flatnonzero(bad & np.isfinite(lengths)).tolist()
        if rows:
            named = ", ".join(repr(batch.column("id")[row].as_py()) for row in rows[:3])
            raise BadRecord(
                f"{len(rows)} vectors are too short or too long for Chroma's cosine: {named}",
                where=self.address,
                left="nothing of the batch was written",
                next=f"bring their lengths between {_LENGTHS[0]:g} and {_LENGTHS[1]:g}, or leave them out",
            )

    def _there(self, ids: list[str]) -> set[str]:
        there: set[str] = set()
        for start in range(0, len(ids), _IDS_AT_ONCE):
            there.update(self._get(ids[start : start + _IDS_AT_ONCE], False)["ids"])
        return there

    def _rows_at_once(self, batch: pa.RecordBatch) -> int:
        limit = self._limit()
        if self.place.server is None:
            return limit
        return max(1, min(limit, int(_REQUEST_BYTES / (batch.nbytes / batch.num_rows))))

    def _limit(self) -> int:
        with translated(self.place), self._link().using() as client:
            return client.get_max_batch_size()

    def _add(self, part: Columns) -> None:
        def act(handle: Handle) -> None:
            add(handle, part)
            if handle._model.dimension is None:
                # Chroma takes the dimension from the first record; ask again for it.
                self._known = None

        try:
            self._write(len(part), act)
        except WherryError as error:
            if len(part) == 1 or error.__cause__ is None or not is_too_large(error.__cause__):
                raise
            for half in part.parts((len(part) + 1) // 2):
                self._add(half)

    def _replace(self, part: Columns) -> None:
        self._write(len(part), lambda handle: handle.delete(ids=part.ids))
        self._add(part)

    def _write(self, operations: int, act: Callable[[Handle], object]) -> None:
        """Do something that Chroma logs as so many operations."""
        left = "what earlier batches wrote, and this batch in part or not at all"
        with translated(self.place, left):
            link = self._link()
            if isinstance(link, FolderLink):
                self._loading(link).write(operations, act)
                return
            with link.using() as client:
                act(self._handle(client))

    def _loading(self, link: FolderLink) -> Loading:
        if self._loader is None:
            self._loader = Loading(link.folder, self._handle_of)
        return self._loader

    def _handle_of(self, client: ClientAPI, anew: bool) -> Handle:
        if anew:
            self._known = None
        return self._handle(client)


def _card_text(space: Space) -> dict[str, str]:
    return {CARD: json.dumps(space.to_dict(), ensure_ascii=False, sort_keys=True)}
