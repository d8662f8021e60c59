"""What a provider's file hands to the guard: single requests, without patience and without checks.

A wire sends one request, says what it cost, and turns the client's exceptions into Wherry's. Everything
else (batching, pace, retries, probe, accounting) is the guard's, once for all providers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from wherry.errors import BadAnswer
from wherry.models.base import Message, Reply
from wherry.models.spec import ModelSpec
from wherry.space import Space


@dataclass(frozen=True)
class Limits:
    """What one request may hold, and how many may be under way.

    items: texts. tokens: of all texts together. text_tokens: of one text, None where nobody says. concurrency:
    the most requests at the same time that are worth trying. usual: texts per request where nobody wishes otherwise.
    """

    items: int
    tokens: int | None
    text_tokens: int | None
    concurrency: int
    # More per request is slower to repeat and gains nothing that was ever measured.
    usual: int = 256


@dataclass(frozen=True)
class Sent:
    """The answer to one request. vectors: float32, shape (texts, width). tokens: as billed, None if not told."""

    vectors: np.ndarray
    tokens: int | None = None


class EmbedWire(Protocol):
    """Sends texts to one embedding model."""

    spec: ModelSpec

    @property
    def limits(self) -> Limits:
        """Return what a request may hold; may ask the server, once."""
        ...

    def space(self) -> Space:
        """Return the card of its vectors, the dimension None where only an answer can tell. Embeds nothing."""
        ...

    def send(self, texts: Sequence[str], *, query: bool) -> Sent:
        """Embed texts by one request. query: as questions, not as documents."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


class ChatWire(Protocol):
    """Sends conversations to one chat model."""

    spec: ModelSpec

    def reply(
        self, messages: Sequence[Message], *, max_tokens: int | None = None, schema: dict[str, Any] | None = None
    ) -> Reply:
        """Return the answer to one request; its usage has no cost yet."""
        ...

    def stream(self, messages: Sequence[Message], *, max_tokens: int | None = None) -> Iterator[str | Reply]:
        """Yield the pieces of the answer, then the whole of it with what it used."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


def matrix(rows: Sequence[Sequence[float | None]], where: str) -> np.ndarray:
    """Return rows of numbers as float32 of shape (rows, width); null becomes NaN. Raises BadAnswer when ragged."""
    if len({len(row) for row in rows}) > 1:
        raise BadAnswer("the model answered with vectors of different lengths", where=where)
    if not rows:
        return np.empty((0, 0), dtype=np.float32)
    return np.array(rows, dtype=np.float64).astype(np.float32)


def prompted(texts: Sequence[str], prompt: str | None) -> list[str]:
    """Return the texts with the prompt put before each."""
    return [prompt + text for text in texts] if prompt else list(texts)
