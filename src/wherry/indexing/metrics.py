"""Numbers of index runs for Prometheus, counted where somebody serves them.

A command that ends has nobody to tell, so nothing is imported for it: a process that has imported
`prometheus_client` gets the numbers in that package's own registry.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wherry.indexing.results import Statistics

KINDS = ("new", "modified", "metadata_only", "renamed", "deleted", "unchanged", "failed")


def observe(index: str, statistics: Statistics, state: str, seconds: float) -> None:
    """Count a run that ended. state: done or failed. seconds: of the run."""
    if "prometheus_client" not in sys.modules:
        return
    runs, documents, chunks, tokens, durations, failed = _meters()
    runs.labels(index, state).inc()
    for kind in KINDS:
        documents.labels(index, kind).inc(getattr(statistics, kind))
    chunks.labels(index, "embedded").inc(statistics.chunks_embedded)
    chunks.labels(index, "reused").inc(statistics.chunks_reused)
    tokens.labels(index).inc(statistics.tokens)
    durations.labels(index).observe(seconds)
    failed.labels(index).set(statistics.failed)


@cache
def _meters() -> tuple[Any, ...]:
    from prometheus_client import Counter, Gauge, Histogram

    return (
        Counter("wherry_index_runs", "Index runs that ended", ["index", "state"]),
        Counter("wherry_index_documents", "Documents by what a run did with them", ["index", "kind"]),
        Counter("wherry_index_chunks", "Chunks embedded, and reused without a model", ["index", "how"]),
        Counter("wherry_index_tokens", "Tokens that models billed", ["index"]),
        Histogram("wherry_index_run_seconds", "How long runs took", ["index"], buckets=(0.1, 1, 10, 60, 600, 3600)),
        Gauge("wherry_index_failed_documents", "Documents the last run could not index", ["index"]),
    )
