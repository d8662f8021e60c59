"""`hash:N`: the embedder that needs no model, no key and no network."""

from __future__ import annotations

from collections.abc import Sequence

from wherry.errors import BadAddress
from wherry.models.hashing import HashEmbedder
from wherry.models.spec import ModelSpec
from wherry.models.wire import Limits, Sent
from wherry.space import Space


class HashWire:
    """Hashes texts in this process."""

    limits = Limits(items=1024, tokens=None, text_tokens=None, concurrency=1)

    def __init__(self, spec: ModelSpec, embedder: HashEmbedder) -> None:
        self.spec = spec
        self._embedder = embedder

    def space(self) -> Space:
        """Return the card of its vectors."""
        return self._embedder.space()

    def send(self, texts: Sequence[str], *, query: bool) -> Sent:
        """Embed texts; a question is embedded as a document is."""
        return Sent(self._embedder.embed(texts))

    def close(self) -> None:
        """Release nothing."""


def open_embedder(spec: ModelSpec) -> HashWire:
    """Open `hash:N`. Raises BadAddress when N is no number of dimensions."""
    spec.require({"batch"})
    if not (spec.model.isascii() and spec.model.isdigit() and len(spec.model) <= 6):
        raise BadAddress(f"{spec} names no number of dimensions", next="use hash:1024")
    return HashWire(spec, HashEmbedder(int(spec.model)))
