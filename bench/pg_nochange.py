"""Bar 3: a sync with nothing to do, and one with ten changed records."""

from __future__ import annotations

from pathlib import Path

import wherry
from bench import tables
from bench.measure import Bar, in_turn, multiples, per_second, timed
from bench.pg_copy import SOURCE, TARGET, fresh
from wherry.stores.base import Readable
from wherry.stores.registry import open_source, open_target

_CHANGE = f"UPDATE {SOURCE} SET text = text || '.' WHERE id IN (SELECT id FROM {SOURCE} ORDER BY random() LIMIT 10)"


def run(folder: Path, rows: int, rounds: int) -> list[Bar]:
    """Measure with and without the source's proof of what changed."""
    tables.make(SOURCE, rows)
    fresh()
    wherry.sync(f"pgvector:#{SOURCE}", f"pgvector:#{TARGET}")
    _nothing()
    read, proved = in_turn([_read, _nothing], rounds)
    same, changed = _beside_ten(rounds)
    read_again, unproved = in_turn([_read, _nothing_without_proof], rounds)
    shown = (
        f"read {per_second(rows, read)}, no change {per_second(rows, proved)}, ten changed {per_second(rows, changed)}"
    )
    plain = f"every record read and digested: {per_second(rows, unproved)}, read {per_second(rows, read_again)}"
    return [
        Bar("3a", "no-change sync / one binary COPY read of the source", 1.3, False, multiples(proved, read), shown),
        Bar("3b", "ten changed records / no change", 1.2, False, multiples(changed, same), shown),
        Bar("3c", "no change, source without marks / read", 1.3, False, multiples(unproved, read_again), plain),
    ]


def _read() -> None:
    tables.read(SOURCE)


def _nothing() -> None:
    result = wherry.sync(f"pgvector:#{SOURCE}", f"pgvector:#{TARGET}")
    if result.written or result.deleted:
        raise RuntimeError("a sync with nothing to do wrote something")


def _beside_ten(rounds: int) -> tuple[list[float], list[float]]:
    """Time a sync with nothing to do and one after ten records were changed, in turn."""
    same, changed = [], []
    for _ in range(rounds):
        same.append(timed(_nothing))
        with tables.connect() as connection:
            connection.execute(_CHANGE)
        changed.append(timed(_ten))
    return same, changed


def _ten() -> None:
    result = wherry.sync(f"pgvector:#{SOURCE}", f"pgvector:#{TARGET}")
    if result.written != 10:
        raise RuntimeError(f"ten records were changed and {result.written} were written")


class _WithoutProof:
    """A source without marks, as most engines are."""

    def __init__(self, store: Readable) -> None:
        self._store = store

    def __getattr__(self, name: str) -> object:
        if name in ("mark", "touched"):
            raise AttributeError(name)
        return getattr(self._store, name)


def _nothing_without_proof() -> None:
    source, target = open_source(f"pgvector:#{SOURCE}"), open_target(f"pgvector:#{TARGET}")
    try:
        result = wherry.sync(_WithoutProof(source), target)  # type: ignore[arg-type]
    finally:
        source.close()
        target.close()
    if result.written or result.deleted:
        raise RuntimeError("a sync with nothing to do wrote something")
