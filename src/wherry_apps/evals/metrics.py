"""Numbers for monitoring, beside those of the service: what indexing does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from wherry_apps.evals.filling import Tally

_SOURCES = Counter("wherry_evals_sources", "Sources by what became of them.", ["outcome"])
_TEXTS = Counter("wherry_evals_texts", "Texts that were embedded or had their vector already.", ["how"])
_SECONDS = Histogram(
    "wherry_evals_preindex_seconds", "How long a run over the index took.", buckets=(0.1, 1, 10, 60, 600, 3600)
)
_STALE = Gauge("wherry_evals_sources_stale", "Sources that are not as their places have them.")


def observe(tally: Tally, seconds: float) -> None:
    """Count what a run over the index did."""
    for outcome in ("new", "modified", "unchanged", "deleted", "failed"):
        _SOURCES.labels(outcome).inc(getattr(tally, outcome))
    _TEXTS.labels("embedded").inc(tally.embedded)
    _TEXTS.labels("reused").inc(tally.reused)
    _SECONDS.observe(seconds)


def stale(count: int) -> None:
    """Tell how many sources are not as their places have them."""
    _STALE.set(count)
