"""Bar 1: PostgreSQL to PostgreSQL against a raw binary COPY pipe and pg_dump | pg_restore."""

from __future__ import annotations

from pathlib import Path

import wherry
from bench import tables
from bench.measure import Bar, in_turn, per_second, rate_ratios, timed
from wherry.state import home

SOURCE, TARGET = "bench_source", "bench_target"


def run(folder: Path, rows: int, rounds: int) -> list[Bar]:
    """Measure the copy alone (no statistics, no closing count), the whole first sync, dump and restore."""
    tables.make(SOURCE, rows)
    # The first load into a new cluster runs at half speed: it warms the log files for everyone.
    tables.empty(TARGET)
    tables.pipe(SOURCE, TARGET)
    copying: list[float] = []
    pipe, run, whole = in_turn([_pipe, lambda: copying.append(_copy()), _whole], rounds)
    dump = [timed(lambda: tables.dump_and_restore(SOURCE, "bench_restored")) for _ in range(min(3, rounds))]
    copy = copying
    shown = f"pipe {per_second(rows, pipe)}, copy {per_second(rows, copy)} (run of it {per_second(rows, run)})"
    shown += f", sync with read-back {per_second(rows, whole)}"
    restored = f"dump and restore {per_second(rows, dump)}"
    return [
        Bar("1a", "pg -> pg, copy / raw binary COPY pipe", 0.9, True, rate_ratios(copy, pipe), shown),
        Bar("1b", "pg -> pg, first sync with read-back / pipe", 0.5, True, rate_ratios(whole, pipe), shown),
        Bar(
            "1c",
            "pg -> pg, copy / pg_dump | pg_restore",
            3.5,
            True,
            rate_ratios(copy[: len(dump)], dump),
            restored,
        ),
    ]


def _pipe() -> None:
    tables.empty(TARGET)
    tables.pipe(SOURCE, TARGET)


def _copy() -> float:
    """Copy without reading back; return the seconds from the first record read to the last one written."""
    fresh()
    return wherry.sync(f"pgvector:#{SOURCE}", f"pgvector:#{TARGET}", level="counted").copying


def _whole() -> None:
    fresh()
    result = wherry.sync(f"pgvector:#{SOURCE}", f"pgvector:#{TARGET}")
    if result.verified != "deep" or not result.equal:
        raise RuntimeError(f"the sync ended as {result.verified}, equal: {result.equal}")


def fresh() -> None:
    """Remove the target and what is remembered of it."""
    tables.drop(TARGET)
    for journal in (home() / "journal").glob("*"):
        journal.unlink()
