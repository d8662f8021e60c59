"""The library that questions are asked of: the side the route leads to, the common documents, a hospital's own.

Everything stays open between questions and is shared by threads. What a manifest says anew is opened anew, so that
a rebuilt index is seen without a restart; questions under way finish where they began.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

import wherry
from wherry_apps.checkup.documents import Documents, address_of, common_key, hospital_key
from wherry_apps.checkup.manifests import LIBRARY, changed_at, made_by, read_manifest
from wherry_apps.checkup.phases import named
from wherry_apps.checkup.places import Places, near, places
from wherry_apps.checkup.rules import Passage, merged

# More than is asked for, so that repeats and what is below the floor leave enough.
_SPARE = 3


@dataclass(frozen=True)
class Searched:
    """What was found. backend: `local` or `cloud`. offline: no step left the machine, embedding included."""

    passages: tuple[Passage, ...]
    backend: str
    offline: bool
    notes: tuple[str, ...] = ()


class _Collection:
    """One open index of documents, for several threads; opened anew when its manifest changes."""

    def __init__(self, places: Places, key: str) -> None:
        self._places, self._key = places, key
        self._lock = threading.Lock()
        self._seen: tuple[int, int] = (0, 0)
        self._store: Any = None
        self._before: list[Any] = []

    def search(self, question: str, k: int, model: wherry.Embedder) -> Sequence[wherry.Hit]:
        """Return the nearest records; none where there is no such collection."""
        store = self._refreshed()
        if store is None:
            return ()
        # Until they are made anew, documents of a former model are asked by that model.
        same = made_by(read_manifest(self._places, self._key), model.space())
        return tuple(wherry.search(question, in_=store, k=k, mode="vector", embedder=model if same else None))

    def _refreshed(self) -> Any:
        now = changed_at(self._places, self._key)
        with self._lock:
            if now != self._seen:
                while self._before:
                    self._before.pop().close()
                if self._store is not None:
                    # Questions under way may still use it; it is closed at the next change.
                    self._before.append(self._store)
                there = read_manifest(self._places, self._key) is not None
                self._store = wherry.open_source(address_of(self._key)) if there else None
                self._seen = now
            return self._store

    def close(self) -> None:
        """Close the store; the next question opens it again."""
        with self._lock:
            stores, self._store, self._before = [*self._before, self._store], None, []
            self._seen = (0, 0)
        for store in stores:
            if store is not None:
                store.close()


class Library:
    """Everything that can be asked."""

    def __init__(self, where: Places, documents: Documents) -> None:
        self.places, self._documents = where, documents
        self._lock = threading.Lock()
        self._reader: Any = None
        self._seen: Any = None
        self._collections: dict[str, _Collection] = {}
        self._model: wherry.Embedder | None = None

    def search(self, question: str, k: int, hospital: str | None = None, owner: str | None = None) -> Searched:
        """Return the best k passages: the hospital's own first. An unknown hospital has none.

        Raises what the store of the side raises: nothing falls back to the other side by itself.
        """
        wide = k * _SPARE
        reader = self._opened()
        address = reader.address
        backend = "local" if address == self.places.local else "cloud"
        here = address.partition(":")[0] not in ("llamacloud", "llamacloud+http", "llamacloud+https")
        keys = self._hospital_keys(hospital, owner)
        found = [*self._of_side(reader, address, question, wide)] if self._there(address, keys) else []
        common = [*self._of_documents(common_key(self.places), question, wide, "global")]
        # A document that was taken up anew supersedes what was moved of it.
        anew = self._documents.common_paths()
        found = [p for p in found if p.first("file_path", "file_name", "source") not in anew]
        for key in keys:
            common += self._of_documents(key, question, wide, "hospital")
        offline = here and self.embeds_here(*keys)
        return Searched(tuple(merged([*found, *common], k, self.places.floor)), backend, offline)

    def embeds_here(self, *keys: str) -> bool:
        """Tell whether questions to the library and to these collections are embedded on this machine."""
        made = [read_manifest(self.places, key) for key in (LIBRARY, common_key(self.places), *keys)]
        return self.places.embeds_here and all(near(str(one["provider"])) for one in made if one)

    def _there(self, address: str, hospitals: list[str]) -> bool:
        """Tell whether a library was moved here at all. Raises NotFound where there is nothing to ask."""
        if address != str(self.places.prepared) or self.places.prepared.is_file():
            return True
        keys = [common_key(self.places), *hospitals]
        if not any(read_manifest(self.places, key) for key in keys):
            raise wherry.NotFound(
                "there is no library yet",
                where=str(self.places.root),
                next="wherry checkup extract, or wherry checkup update FOLDER",
            )
        return False

    def _of_side(self, reader: Any, address: str, question: str, k: int) -> Iterator[Passage]:
        by_hand = address == self.places.local and read_manifest(self.places, LIBRARY) is None
        # A collection that no phase made does not say which model made it: the operator says so.
        asked = self._embedder().embed_query(question) if by_hand else question
        hits = reader.search(asked, k, "vector")
        other = [h for h in hits if h.metric is not None and h.metric is not wherry.Metric.COSINE]
        cosines = self._cosines(reader, address, asked, [h.id for h in other]) if other else {}
        for hit in hits:
            yield _passage(hit, "global", cosines.get(hit.id, hit.similarity))

    def _cosines(self, reader: Any, address: str, question: Any, ids: list[str]) -> dict[str, float]:
        """Return the cosines of records whose collection measures otherwise, from the vectors it stores."""
        with reader.side(address) as searcher:
            asked = np.asarray(searcher.vector_of(question), dtype=np.float64)
            records = wherry.to_records(searcher.store.fetch(pa.array(ids, pa.string())).records)
        vectors = {r.id: np.asarray(r.vector, dtype=np.float64) for r in records}
        return {i: float(v @ asked / (np.linalg.norm(v) * np.linalg.norm(asked))) for i, v in vectors.items()}

    def _of_documents(self, key: str, question: str, k: int, source: str) -> Iterable[Passage]:
        with self._lock:
            collection = self._collections.setdefault(key, _Collection(self.places, key))
        return [_passage(h, source, h.similarity) for h in collection.search(question, k, self._embedder())]

    def _hospital_keys(self, hospital: str | None, owner: str | None) -> list[str]:
        if not hospital:
            return []
        owners = self._documents.owners(hospital, owner)
        return [hospital_key(self.places, hospital, one) for one in owners]

    def _opened(self) -> Any:
        """Return the reader of the route; anew when the library was loaded anew or the variables were written."""
        now = (changed_at(self.places, LIBRARY), self.places.variables_at())
        with self._lock:
            if self._reader is None or now != self._seen:
                before, self._seen = self._reader, now
                self.places = places(self.places.root)
                named(self.places)
                self._reader = wherry.route(self.places.route, self.places.environment())
                if before is not None:
                    # Questions under way keep their side open until they are done.
                    before.close()
            return self._reader

    def _embedder(self) -> wherry.Embedder:
        with self._lock:
            if self._model is None:
                self._model = wherry.open_embedder(self.places.config.embedder)
            return self._model

    def leads_to(self) -> tuple[str, str]:
        """Return which side questions go to, and its address."""
        address = str(self._opened().address)
        return ("local" if address == self.places.local else "cloud"), address

    def close(self) -> None:
        """Close everything; a second call does nothing."""
        with self._lock:
            reader, self._reader = self._reader, None
            collections, self._collections = list(self._collections.values()), {}
            model, self._model = self._model, None
        if reader is not None:
            reader.close()
        for collection in collections:
            collection.close()
        if model is not None:
            with suppress(wherry.WherryError):
                model.close()


def _passage(hit: wherry.Hit, source: str, similarity: float | None) -> Passage:
    return Passage(hit.id, hit.text or "", float(similarity or 0.0), source, hit.metadata)
