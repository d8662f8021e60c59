"""The vector leg: a question becomes a vector of the collection's own space, the store finds what is near.

A question is embedded by the model the collection's card names, or by one that is given and does not
contradict the card. A guess would compare what cannot be compared, and nobody would see it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from wherry.answering.hits import Hit, of_vectors
from wherry.errors import NoModel, SpaceMismatch, Unsupported, Usage
from wherry.models.base import Embedder
from wherry.space import Space
from wherry.stores.base import Readable, Searchable
from wherry.where import Where

Vector = np.ndarray | Sequence[float]
# What has to agree between the model of a question and the one that made the collection.
_SAME = ("provider", "model", "model_digest", "dimension")


def nearest(store: Readable, vector: np.ndarray, k: int, where: Where | None, exact: bool = False) -> tuple[Hit, ...]:
    """Return the k records nearest to a vector. Raises Unsupported for a store that cannot search."""
    # Not isinstance: that reads every property of the store, which takes as long as the search itself.
    if not callable(getattr(store, "search", None)):
        raise Unsupported(
            "this collection cannot be searched where it is",
            where=store.address,
            next="sync it into a store that searches, for example pgvector:#NAME",
        )
    return of_vectors(cast(Searchable, store).search(vector, k, where, exact))


def embedder_of(space: Space, address: str, given: str | Embedder | None = None) -> Embedder:
    """Return the embedder for questions to a collection.

    given: a spec or an open embedder; None is the model that the card names. Raises Usage where no model is
    known, SpaceMismatch naming both where the card and the embedder contradict each other.
    """
    if isinstance(given, Embedder):
        return _fitting(given, space, address)
    embedder = opened(given or _spec_of(space, address))
    try:
        return _fitting(embedder, space, address)
    except BaseException:
        embedder.close()
        raise


def opened(spec: str) -> Embedder:
    """Open an embedder by its spec. Raises what the models do for one that is unknown or not installed."""
    from wherry.models.registry import open_embedder

    return open_embedder(spec)


def require_question(text: str) -> None:
    """Raise Usage for a text that asks nothing or is no Unicode."""
    if not text.strip():
        raise Usage("the question is empty", where="query")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Usage("the question holds half of a surrogate pair, which is no character", where="query") from None


def _spec_of(space: Space, address: str) -> str:
    if not space.provider or not space.model:
        raise NoModel(
            "the collection does not say which model made its vectors, so a text cannot be compared with them",
            where=address,
            next="name the model with --embedder SPEC, or ask with a vector",
        )
    prefix = f"{space.provider}:"
    return space.model if space.model.startswith(prefix) else prefix + space.model


def _fitting(embedder: Embedder, space: Space, address: str) -> Embedder:
    own = embedder.space()
    wrong = [
        f"{name}: {mine} / {theirs}"
        for name in _SAME
        if (mine := getattr(space, name)) is not None and (theirs := getattr(own, name)) is not None and mine != theirs
    ]
    if wrong:
        raise SpaceMismatch(
            f"the vectors of {address} and of {embedder.spec} may not be compared ({'; '.join(wrong)})",
            where=f"{address} / {embedder.spec}",
            left="nothing was searched",
            next="ask with the model that made the collection, or re-embed the collection",
        )
    return embedder
