"""Trying index settings on a sample of a collection, without touching the collection."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np

Form = Literal["full", "half", "bits"]


@dataclass(frozen=True)
class Build:
    """An approximate index. form: what it keeps of each component: all 32 bits, 16, or one (then re-ranked).

    m: links per node. ef_construction: build breadth.
    """

    form: Form
    m: int
    ef_construction: int


@dataclass(frozen=True)
class Cost:
    """What a build took. bytes: of the index on disk."""

    seconds: float
    bytes: int


class Trial(Protocol):
    """A sample of a collection on which indexes are built and asked; gone when the trial ends.

    rows: records in the sample; of: in the collection. questions: vectors of the collection that the sample does not
    hold where there are enough, float32 of shape (n, dimension). forms: what an index can keep here.
    """

    rows: int
    of: int
    questions: np.ndarray
    forms: tuple[Form, ...]

    def build(self, build: Build) -> Cost:
        """Build an index in place of the one before."""
        ...

    def ask(self, vector: np.ndarray, k: int, breadth: int) -> list[str]:
        """Return the ids of the k nearest by the index, with a search breadth."""
        ...

    def truth(self, vector: np.ndarray, k: int) -> list[tuple[str, float]]:
        """Return ids and distances of the k nearest by comparing all."""
        ...


@runtime_checkable
class Tunable(Protocol):
    """A collection whose index settings can be tried and changed."""

    def trial(self, rows: int, questions: int) -> AbstractContextManager[Trial]:
        """Make a sample of at most `rows` records, and about as many questions as asked for."""
        ...

    def retune(self, build: Build, breadth: int) -> None:
        """Build this index for the collection itself, let searches use this breadth, and drop the former index."""
        ...
