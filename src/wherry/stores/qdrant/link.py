"""What a store needs of Qdrant, wherever it runs: few calls, in the engine's own terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from wherry.space import Metric
from wherry.stores.qdrant.ids import Found, PointId
from wherry.stores.qdrant.shape import Shape


@dataclass(frozen=True)
class Points:
    """Points as they were read.

    ids: integers, or UUIDs, as objects or in lower case. payloads: one object per point, free to be
    changed.
    vectors: the chosen vector as the bytes of float32, None where a point has none; empty when not
    asked for.
    next: the point to go on from, None at the end.
    """

    ids: list[Found]
    payloads: list[dict[str, Any]]
    vectors: list[bytes | None]
    next: Found | None = None


@dataclass(frozen=True)
class Making:
    """The settings of a collection that is to be made. `card` is kept beside it."""

    dimension: int
    metric: Metric
    m: int
    ef_construct: int
    vector: str
    card: dict[str, Any]


class Link(Protocol):
    """One collection of a Qdrant, in process or behind a server. Errors are Wherry's."""

    @property
    def identity(self) -> str:
        """Equal for two links exactly when they lead to the same collection."""
        ...

    @property
    def volume(self) -> str | None:
        """A path on the disk that holds the data, None where that disk is not ours to see."""
        ...

    def shape(self) -> Shape | None:
        """Return the collection's settings, None when it is not there."""
        ...

    def count(self) -> int:
        """Return the exact number of points."""
        ...

    def size(self) -> int | None:
        """Return the bytes on disk, None where nobody can say."""
        ...

    def notes(self) -> tuple[str, ...]:
        """Return what a person should know about this way to the collection."""
        ...

    def scroll(self, start: Found | None, rows: int, keys: Sequence[str] | None, vector: str | None) -> Points:
        """Read up to `rows` points in the order of their ids from `start` on; `next` of these tells where to go on.

        keys: the payload keys to read, None for all. vector: the vector to read, None for none.
        """
        ...

    def retrieve(self, points: Sequence[PointId], keys: Sequence[str] | None, vector: str | None) -> Points:
        """Read these points; those that are not there are left out."""
        ...

    def make(self, settings: Making) -> None:
        """Create the collection."""
        ...

    def put(
        self, points: Sequence[PointId], vectors: np.ndarray, payloads: Sequence[dict[str, Any]], vector: str
    ) -> None:
        """Store points durably, each replacing what was under its id. vectors: float32 (n, d)."""
        ...

    def remove(self, points: Sequence[PointId]) -> None:
        """Delete points; those that are not there are ignored."""
        ...

    def settle(self, fields: dict[str, str]) -> None:
        """Build the vector index and the indexes of payload keys (key -> type), and wait for them."""
        ...

    def close(self) -> None:
        """Release files and connections; a second call does nothing."""
        ...
