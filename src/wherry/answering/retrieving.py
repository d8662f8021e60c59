"""A service of the cloud as a side that is searched: it embeds questions itself, and that is all it offers."""

from __future__ import annotations

from typing import Any, cast

from wherry.answering.hits import Hit, of_vectors
from wherry.answering.vector import require_question
from wherry.errors import Unsupported
from wherry.stores.base import Readable
from wherry.where import Where


def retrieves(store: Readable) -> bool:
    """Tell whether a store is a service that embeds questions itself and has no other search."""
    return not callable(getattr(store, "search", None)) and callable(getattr(store, "retrieve", None))


def retrieved(store: Readable, question: str, k: int, where: Where | None) -> tuple[Hit, ...]:
    """Return the k records a service finds for a text. Raises Unsupported for a condition, which none is asked with."""
    require_question(question)
    if where is not None:
        raise Unsupported(
            "this service is asked without conditions",
            where=store.address,
            next="ask without one, or sync it into a store that searches",
        )
    return of_vectors(cast(Any, store).retrieve(question, k))
