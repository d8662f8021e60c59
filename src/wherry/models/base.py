"""What a model is to the rest of Wherry: two small Protocols.

An embedder turns texts into vectors of one space; a chat model turns messages into an answer. Limits on
size and rate, retries, accounting and the start-up probe belong to the guard around them (`guard.py`), so
that a provider's file holds its wire and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from wherry.space import Space


@runtime_checkable
class Embedder(Protocol):
    """Makes vectors that may be compared with each other."""

    @property
    def spec(self) -> str:
        """Return the spec it was opened by, fit to print (`hash:1024`)."""
        ...

    def space(self) -> Space:
        """Return the card of its vectors; the dimension and the model's digest are known by then."""
        ...

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of documents: float32, shape (n, dimension), in the order of the texts.

        Raises BadRecord for a text that cannot be embedded (naming its position, never the text), AuthFailed,
        RateLimited, Unreachable, TimedOut or Rejected.
        """
        ...

    def embed_query(self, text: str) -> np.ndarray:
        """Return the vector of a question: float32, shape (dimension,), with the query prompt if there is one."""
        ...

    def close(self) -> None:
        """Release connections; a second call does nothing."""
        ...


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Usage:
    """What was consumed. tokens in and out; cost in US dollars, None where no price is known."""

    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None


@dataclass(frozen=True)
class Reply:
    """A whole answer. model: as the provider names it. extra: what only this provider tells."""

    text: str
    model: str
    usage: Usage = Usage()
    extra: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class Chat(Protocol):
    """Answers a conversation."""

    @property
    def spec(self) -> str:
        """Return the spec it was opened by, fit to print (`ollama:llama3.1:8b`)."""
        ...

    def reply(
        self, messages: Sequence[Message], *, max_tokens: int | None = None, schema: dict[str, Any] | None = None
    ) -> Reply:
        """Return the answer. schema: a JSON Schema the answer's text must be an object of.

        Raises AuthFailed, RateLimited, Unreachable, TimedOut or Rejected.
        """
        ...

    def stream(self, messages: Sequence[Message], *, max_tokens: int | None = None) -> Iterator[str]:
        """Yield the answer piece by piece."""
        ...

    def close(self) -> None:
        """Release connections; a second call does nothing."""
        ...
