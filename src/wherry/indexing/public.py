"""The acts on an index under the names that `wherry` gives them: `wherry index status` is `wherry.index_status`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from wherry.address import Address
from wherry.indexing import again, checking, generations, planning
from wherry.indexing import status as standing
from wherry.indexing.act import Progress
from wherry.indexing.base import Chunker
from wherry.indexing.checking import Checked, Repaired
from wherry.indexing.model import Wish
from wherry.indexing.opening import Documents
from wherry.indexing.planning import IndexPlan
from wherry.indexing.results import IndexResult, Rebuild
from wherry.indexing.status import Status

Into = str | os.PathLike[str] | Address


def index_plan(
    documents: Documents,
    into: Into,
    *,
    embedder: Wish = None,
    chunker: str | Chunker | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> IndexPlan:
    """Work out what `index` would do, embed and cost; nothing is spent and nothing written."""
    return planning.plan(documents, into, embedder=embedder, chunker=chunker, include=include, exclude=exclude)


def index_status(into: Into) -> Status:
    """Return what an index covers, what waits and what ran last. Raises NoSuchCollection where there is none."""
    return standing.status(into)


def index_verify(into: Into, *, deep: bool = False) -> Checked:
    """Compare an index with its manifest; `deep` reads every text, metadata and vector."""
    return checking.verify(into, deep=deep)


def index_repair(into: Into, *, deep: bool = False) -> Repaired:
    """Mark what `index_verify` finds, so that the next run writes it again, from vectors that were paid for."""
    return checking.repair(into, deep=deep)


def index_retry(into: Into, *, embedder: Wish = None, progress: Progress | None = None) -> IndexResult:
    """Index the sources of an index again as they were given last, documents that failed included."""
    return again.refresh(into, embedder=embedder, retry=True, progress=progress)


def index_rebuild(into: Into, embedder: Wish, *, progress: Progress | None = None) -> Rebuild:
    """Embed an index again with another model, beside the live generation, and switch when it is complete."""
    return generations.rebuild(into, embedder, progress=progress)


def index_rollback(into: Into) -> Rebuild:
    """Let readers see the generation before the live one again."""
    return generations.rollback(into)


def index_prune(into: Into) -> int:
    """Drop the generations that serve nobody; return how many."""
    return generations.prune(into)
