"""What the words of a collection are kept as: bags of hashed tokens, and BM25 over them.

A token is 64 bits: a hash whose two lowest bits name its family (morphemes, pieces, stems). Every family has
lengths and a weight of its own, so that many pieces of one word do not outvote a word. A count is kept in
halves: a token among the first words of a text, which say what it is about, counts one half more.

    score = sum over tokens of  weight(family) * idf * tf * (K1 + 1) / (tf + K1 * (1 - B + B * length / mean))
    idf = ln(1 + (N - df + 0.5) / (df + 0.5))
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from wherry.stores.base import Hit
from wherry.where import Where

K1, B = 1.2, 0.75
# Of reciprocal ranks: weight / (SMOOTHING + rank).
SMOOTHING = 60
# What a leg weighs that has no weight: it fills up, and never comes before what the other leg found.
FILL = 1e-9
FAMILIES = 4
FAMILY_BITS = np.uint64(FAMILIES - 1)
MOST_HALVES = 255


@dataclass(frozen=True)
class Bags:
    """The words of some records.

    ids: n ids. digests: uint64, shape (n,), of the text and metadata they were made of. metadata: JSON texts.
    starts: int64, shape (n + 1,), where each record's tokens begin. tokens: uint64, distinct per record.
    halves: uint8, how often each token occurs, in halves. lengths: int32, shape (n, FAMILIES), whole tokens.
    """

    ids: Sequence[str]
    digests: np.ndarray
    metadata: Sequence[str | None]
    starts: np.ndarray
    tokens: np.ndarray
    halves: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Query:
    """The words of a question: distinct tokens (uint64) and the weight of each one's family (float64)."""

    tokens: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Ranked:
    """A record that the words of a question found. score: BM25, higher is better."""

    id: str
    score: float


@dataclass(frozen=True)
class Statistics:
    """Of the whole collection. count: records. totals: float64, shape (FAMILIES,), tokens of all of them."""

    count: int
    totals: np.ndarray

    @property
    def means(self) -> np.ndarray:
        """The mean length per family, at least one token so that nothing is divided by zero."""
        return np.maximum(self.totals / max(self.count, 1), 1.0)


@dataclass(frozen=True)
class Lexicon:
    """What is recorded beside the words of a collection.

    tokenizer: what made them; words of another one are made anew. mark: of the store when they were read, None
    where it gives none. census: count and sum of the ids read. notes: anything else that is kept with them.
    """

    tokenizer: str
    mark: str | None = None
    census: tuple[int, int] = (0, 0)
    notes: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Lexical(Protocol):
    """The words of one collection, kept where they can be searched.

    Writers hold it alone; what they wrote counts when `keep` returns, and a crash before that leaves what was
    there before.
    """

    @property
    def place(self) -> str:
        """Return where the words are kept, fit to print."""
        ...

    def state(self) -> Lexicon | None:
        """Return what was recorded, None when nothing was built yet."""
        ...

    def statistics(self) -> Statistics:
        """Return the statistics that scores are weighed by."""
        ...

    def search(self, query: Query, k: int, where: Where | None = None) -> list[Ranked]:
        """Return the k best records that hold at least one of the tokens, best first, ties by id."""
        ...

    def frequencies(self, tokens: np.ndarray) -> np.ndarray:
        """Return in how many records each token occurs: int64, in the order of the tokens."""
        ...

    def known(self) -> Iterator[tuple[list[str], np.ndarray]]:
        """Yield the ids held and the digest of each (uint64), some thousands at a time."""
        ...

    def clear(self) -> None:
        """Forget every record."""
        ...

    def update(self, bags: Bags) -> None:
        """Hold these records; what was held under their ids is replaced."""
        ...

    def forget(self, ids: Sequence[str]) -> None:
        """Forget some records; unknown ids are ignored."""
        ...

    def keep(self, state: Lexicon) -> None:
        """Make what was changed durable, and record what it was made of."""
        ...

    def abandon(self) -> None:
        """Go back to what was there when `keep` returned last."""
        ...

    def close(self) -> None:
        """Release files and connections; a second call does nothing."""
        ...


@dataclass(frozen=True)
class Fusion:
    """How two rankings become one. words: what words found, best first. weights: of `lexical` and `vector`.

    depth: how many records the vector leg is asked for. smoothing: of weight / (smoothing + rank). A leg that weighs
    nothing only fills up what the other left empty. spare: so many more are asked for, because some may be gone.
    """

    words: Sequence[Ranked]
    weights: Mapping[str, float]
    depth: int
    k: int
    smoothing: int = SMOOTHING
    spare: int = 4


@dataclass(frozen=True)
class FusedHit:
    """A record that a store's own fusion found. by_vector, by_words: its rank in each leg, None where it is not."""

    hit: Hit
    by_vector: int | None
    by_words: int | None


@runtime_checkable
class Fuses(Protocol):
    """A store that asks its vectors, fuses, and brings the records along in one round trip."""

    def fused(self, vector: np.ndarray, fusion: Fusion, where: Where | None, exact: bool) -> list[FusedHit] | None:
        """Return the k best records of both legs, best first, ties by id; None where it has to be done apart."""
        ...


@dataclass(frozen=True)
class Published:
    """The words of a collection as they lie in a store. version: grows with each publication. manifest: as JSON."""

    version: int
    manifest: str


class Shelf(Protocol):
    """Room for the words of one collection inside a store: files under names, and one manifest that says which count.

    The files are those of the sidecar; who searches keeps a copy and asks for what is missing.
    """

    def read(self) -> Published | None:
        """Return what was published last, None when nothing was."""
        ...

    def fetch(self, name: str) -> bytes:
        """Return a file. Raises JournalCorrupt for one that is not there."""
        ...

    def publish(self, manifest: str, files: Mapping[str, bytes], keep: Collection[str], after: int) -> int:
        """Add files, replace the manifest and drop files that are not in `keep`, at once; return the new version.

        after: the version this follows, 0 for none. Raises Busy when somebody published since.
        """
        ...

    def close(self) -> None:
        """Release the connection; a second call does nothing."""
        ...


@runtime_checkable
class KeepsWords(Protocol):
    """A store with room for the words of its collection, so that every machine that searches it shares them."""

    def word_shelf(self, make: bool = False) -> Shelf | None:
        """Return the room for the words, None where there is none yet. make: make it. Raises AuthFailed or Rejected."""
        ...


def idf(count: int, frequencies: np.ndarray) -> np.ndarray:
    """Return how much each token tells, from the number of records and of those that hold it: float64."""
    return np.log1p((count - frequencies + 0.5) / (frequencies + 0.5))


def weighed(halves: np.ndarray, lengths: np.ndarray, means: np.ndarray | np.floating | float) -> np.ndarray:
    """Return what each occurrence counts before idf: float64, from halves and the lengths of their records."""
    counts = halves.astype(np.float64) / 2
    return counts * (K1 + 1) / (counts + K1 * (1 - B + B * lengths / means))


def families(tokens: np.ndarray) -> np.ndarray:
    """Return the family of each token: int64."""
    return (tokens & FAMILY_BITS).astype(np.int64)
