"""Getting the vectors that are missing, and keeping each the moment it arrives."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from wherry.errors import BadRecord, WherryError
from wherry.indexing import cache
from wherry.indexing.database import Database
from wherry.models.guard import GuardedEmbedder

Kept = Callable[[int], None]


def pay(
    database: Database, embedder: GuardedEmbedder, wanted: Mapping[bytes, str], kept: Kept
) -> tuple[dict[bytes, BadRecord], WherryError | None]:
    """Embed texts and commit their vectors as they come.

    wanted: key of the cache -> text. kept: told how many vectors were stored. Returns the texts the model refuses,
    each with its error, and the error that stopped everything, if one did; what arrived before it is kept.
    """
    keys, texts = list(wanted), list(wanted.values())
    refused: dict[bytes, BadRecord] = {}
    fatal: WherryError | None = None
    for arrival in embedder.arrivals(texts):
        good: list[tuple[bytes, np.ndarray]] = []
        for position, result in zip(arrival.positions, arrival.results, strict=True):
            if isinstance(result, BadRecord):
                refused[keys[position]] = result
            elif isinstance(result, WherryError):
                fatal = fatal or result
            else:
                good.append((keys[position], result))
        if good:
            cache.keep(database, [key for key, _ in good], np.stack([vector for _, vector in good]))
            kept(len(good))
    return refused, fatal
