"""Getting the vectors that are missing, and keeping each the moment it arrives."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from wherry.errors import BadRecord, WherryError
from wherry.indexing import cache
from wherry.indexing.writer import Writer
from wherry.models.guard import Arrival, GuardedEmbedder
from wherry.postgres.database import Database

# Groups whose vectors may still be on their way to the database, and more.
_RECENT_GROUPS = 8


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
        self._ordered: deque[set[bytes]] = deque(maxlen=_RECENT_GROUPS)
        self.refused: dict[bytes, BadRecord] = {}

    def order(self, wanted: Mapping[bytes, str]) -> dict[bytes, str]:
        """Return the texts to pay for now: nobody paid for them, ordered them, or saw them refused in this run.

        For one thread, which may be another one than that of `pay`; orders are paid for in their order.
        """
        known = cache.have(self._database, list(wanted)).union(self.refused, *self._ordered)
        missing = {key: text for key, text in wanted.items() if key not in known}
        self._ordered.append(set(missing))
        return missing

    def pay(self, order: Mapping[bytes, str]) -> tuple[set[bytes], Callable[[], None], WherryError | None]:
        """Embed what was ordered and store each vector as it comes.

        order: key of the cache -> text. Returns the keys that have no vector, refused ones aside; a function that
        waits until the others are stored; and the error that stopped everything, if one did.
        """
        keys, left = list(order), set(order)
        fatal: WherryError | None = None
        for arrival in self._embedder().arrivals(list(order.values())) if order else ():
            good, error = self._sorted(keys, arrival)
            fatal = fatal or error
            if good:
                left.difference_update(good)
                self._keeper.give(partial(self._keep, list(good), np.stack(list(good.values()))))
        return left - self.refused.keys(), self._keeper.promise(), fatal

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
