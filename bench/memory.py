"""Bar 5: peak memory of a whole process, from 10,000 to 1,000,000 records: between tables, then into files."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

from bench import tables
from bench.measure import Bar, multiples
from bench.pg_copy import SOURCE, TARGET, fresh

# One process per figure: `getrusage` of the finished child is its own peak, the server not counted.
_CHILD = """
import resource, sys, wherry
act, source, target = sys.argv[1:]
result = getattr(wherry, act)(source, target)
assert result.equal, result
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
_SMALL, _LARGE = 10_000, 1_000_000


def run(folder: Path, rows: int, rounds: int) -> list[Bar]:
    """Measure a first sync, a sync with nothing to do, and a deep verification; then first syncs into files."""
    peaks: dict[tuple[str, int], list[int]] = {}
    table = f"pgvector:#{TARGET}"
    for size in (_SMALL, _LARGE):
        tables.make(SOURCE, size)
        # A short run's peak depends on which of its threads happen to meet.
        for number in range(rounds):
            fresh()
            for name, act, target in (
                ("first sync", "sync", table),
                ("no change", "sync", table),
                ("deep verify", "verify", table),
                ("into an archive", "sync", str(folder / f"{size}-{number}.parquet")),
                ("into FAISS", "sync", f"faiss:{folder}/{size}-{number}#memory"),
            ):
                peaks.setdefault((name, size), []).append(_peak(act, target))
    tables.drop(SOURCE)
    fresh()
    return [_bar(name, peaks[name, _SMALL], peaks[name, _LARGE]) for name in dict.fromkeys(name for name, _ in peaks)]


def _bar(name: str, small: list[int], large: list[int]) -> Bar:
    shown = " -> ".join(f"{statistics.median(peaks) / 1024:.0f} MiB" for peaks in (small, large))
    return Bar("5", f"peak memory, {_LARGE:,} / {_SMALL:,} records: {name}", 1.1, False, multiples(large, small), shown)


def _peak(act: str, target: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, act, f"pgvector:#{SOURCE}?metric=cosine", target],
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.split()[-1])
