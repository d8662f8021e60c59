"""The vector leg: a question becomes a vector of the collection's own space, the store finds what is near.

A question is embedded by the model the collection's card names, or by one that is given and does not
contradict the card. A guess would compare what cannot be compared, and nobody would see it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import cast
from urllib.parse import urlencode

import numpy as np

from wherry.address import HIDDEN, Address
from wherry.answering.hits import Hit, of_vectors
from wherry.errors import BadAddress, NoModel, SpaceMismatch, UnknownModel, Unsupported, Usage, WherryError
from wherry.models.base import Embedder
from wherry.postgres.link import VARIABLE
from wherry.postgres.server import was_made
from wherry.space import Space
from wherry.stores.base import Readable, Searchable
from wherry.where import Where

Vector = np.ndarray | Sequence[float]
# What has to agree between the model of a question and the one that made the collection.
_SAME = ("provider", "model", "model_digest", "dimension")
# Computed in this process by its name alone: no server and no option is to be known.
_HERE = {"hash"}


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
    embedder = opened(given) if given else _own(space, address)
    try:
        return _fitting(embedder, space, address)
    except BaseException:
        embedder.close()
        raise


def _own(space: Space, address: str) -> Embedder:
    """Open the model that made a collection, in the way that made it."""
    remembered = _spec_of_index(space, address)
    if remembered is not None:
        try:
            return opened(remembered)
        except (UnknownModel, BadAddress):
            # A program's own embedder has a name that nobody else can open.
            remembered = None
    spec = _spec_of(space, address)
    embedder = opened(spec)
    try:
        wanted = _unlike(space, embedder.space())
    except BaseException:
        embedder.close()
        raise
    if not wanted:
        return embedder
    embedder.close()
    return opened(f"{spec}?{urlencode(wanted)}")


def _unlike(space: Space, own: Space) -> dict[str, str]:
    """Return the options by which a model makes vectors as the card says, where it does not do so by itself."""
    pairs = (("dim", space.dimension, own.dimension), ("query_prompt", space.query_prompt, own.query_prompt))
    alone = own.provider in _HERE
    return {name: str(card) for name, card, mine in pairs if card is not None and card != mine and not alone}


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


def _spec_of_index(space: Space, address: str) -> str | None:
    """Return the spec that an index was made by, its server and options too; None where it cannot be known.

    A card travels with its vectors and names no server: a file from somebody else must not decide whom questions
    are sent to. What this database remembers of an index of its own may.
    """
    known = os.environ.get(VARIABLE) or was_made() or "//" in address
    if space.provider is None or space.provider in _HERE or HIDDEN in address or not known:
        return None
    from wherry.indexing.place import located

    try:
        with located(Address.parse(address)) as (_, _, live):
            return None if HIDDEN in live.embedder else live.embedder
    except WherryError:
        # No index, or nobody to ask about one: then the card has to do.
        return None


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
