"""Getting the vectors that are missing, and keeping each the moment it arrives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from wherry.errors import BadRecord, WherryError
from wherry.indexing import cache
from wherry.indexing.database import Database
from wherry.indexing.writer import Writer
from wherry.models.guard import Arrival, GuardedEmbedder


class Till:
    """Pays for texts once. kept: told how many vectors were stored.

    While a request is under way the one before it is being stored, so of two requests at most the vectors are
    lost when the process dies.
    """

    def __init__(
        self, database: Database, embedder: Callable[[], GuardedEmbedder], kept: Callable[[int], None]
    ) -> None:
        self._database, self._embedder, self._kept = database, embedder, kept
        self._keeper = Writer(database, most=1)
        self.refused: dict[bytes, BadRecord] = {}

    def missing(self, wanted: Mapping[bytes, str]) -> dict[bytes, str]:
        """Return the texts nobody paid for yet, and no model refused in this run."""
        known = cache.have(self._database, list(wanted)).union(self.refused)
        return {key: text for key, text in wanted.items() if key not in known}

    def pay(self, wanted: Mapping[bytes, str]) -> tuple[set[bytes], WherryError | None]:
        """Embed texts and store each vector as it comes; all of them are stored when this returns.

        wanted: key of the cache -> text. Returns the keys that have no vector, refused ones aside, and the error
        that stopped everything, if one did; what arrived before it is kept.
        """
        keys, left = list(wanted), set(wanted)
        fatal: WherryError | None = None
        for arrival in self._embedder().arrivals(list(wanted.values())) if wanted else ():
            good, error = self._sorted(keys, arrival)
            fatal = fatal or error
            if good:
                left.difference_update(good)
                self._keeper.give(partial(self._keep, list(good), np.stack(list(good.values()))))
        self._keeper.drain()
        return left - self.refused.keys(), fatal

    def close(self) -> None:
        """Release the connection."""
        self._keeper.close()

    def _keep(self, keys: list[bytes], vectors: np.ndarray, database: Database) -> None:
        cache.keep(database, keys, vectors)
        self._kept(len(keys))

    def _sorted(self, keys: list[bytes], arrival: Arrival) -> tuple[dict[bytes, np.ndarray], WherryError | None]:
        good: dict[bytes, np.ndarray] = {}
        fatal: WherryError | None = None
        for position, result in zip(arrival.positions, arrival.results, strict=True):
            if isinstance(result, BadRecord):
                self.refused[keys[position]] = result
            elif isinstance(result, WherryError):
                fatal = fatal or result
            else:
                good[keys[position]] = result
        return good, fatal
