"""An embedder of somebody else's making, as a wire: so that the guard can go around it too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wherry.errors import BadRecord, Rejected
from wherry.models.base import Embedder
from wherry.models.spec import ModelSpec
from wherry.models.wire import Limits, Sent
from wherry.space import Space


class PlainEmbedder:
    """Sends texts to an Embedder. Its `limits` are used where it has any."""

    def __init__(self, spec: ModelSpec, embedder: Embedder) -> None:
        self.spec = spec
        self._embedder = embedder

    @property
    def limits(self) -> Limits:
        """Return the limits the embedder states, else one request at a time of usual size."""
        stated = getattr(self._embedder, "limits", None)
        return stated if isinstance(stated, Limits) else Limits(items=256, tokens=None, text_tokens=None, concurrency=1)

    def space(self) -> Space:
        """Return the card of its vectors."""
        return self._embedder.space()

    def send(self, texts: Sequence[str], *, query: bool) -> Sent:
        """Embed texts."""
        if query:
            return Sent(np.stack([self._embedder.embed_query(text) for text in texts]))
        try:
            return Sent(np.asarray(self._embedder.embed(texts)))
        except BadRecord as error:
            # The embedder names one text; the guard finds it by halving, and the others are embedded.
            raise Rejected(error.what, where=str(self.spec), next=error.next, divisible=True) from None

    def close(self) -> None:
        """Close the embedder."""
        self._embedder.close()
