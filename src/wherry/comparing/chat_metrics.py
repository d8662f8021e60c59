"""How alike two answers are worded, and whether they cite what they were given.

Likeness of wording is all that is measured: two answers that say the same in other words are unlike here, and two
that differ in one decisive word are alike. It finds the answers that a person should read, and replaces nobody.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass

import numpy as np

from wherry.answering.citations import Checked
from wherry.models.hashing import HashEmbedder

_SIZE = 3
_DIMENSION = 1024


@dataclass(frozen=True)
class Citations:
    """The passages an answer points at. valid: numbers that were given to it; other: numbers that were not."""

    valid: frozenset[int]
    other: frozenset[int]

    @property
    def kept(self) -> bool:
        """Whether it cites at all, and nothing that it was not given."""
        return bool(self.valid) and not self.other


NO_CITATIONS = Citations(frozenset(), frozenset())


def wording(one: str, other: str) -> float:
    """Return the share of three-letter pieces that two texts have in common: Dice over counts, 0 to 1.

    Case, spaces and punctuation do not count. 1 where both are empty.
    """
    first, second = _pieces(one), _pieces(other)
    total = first.total() + second.total()
    return 2 * (first & second).total() / total if total else 1.0


def likeness(one: str, other: str) -> float:
    """Return the cosine of both texts under the offline embedder, which knows spelling and no meaning; 0 for empty."""
    if not one.strip() or not other.strip():
        return float(not one.strip() and not other.strip())
    first, second = HashEmbedder(_DIMENSION).embed([_whole(one), _whole(other)])
    return float(np.clip(first @ second, -1.0, 1.0))


def citations(answer: str, passages: int) -> Citations:
    """Return what an answer cites, read as `wherry.ask` reads it, where passages were numbered from 1."""
    checked = Checked(range(1, passages + 1))
    checked.feed(answer)
    checked.end()
    return Citations(frozenset(checked.cited), frozenset(int(number) for number in checked.invalid))


def shared(old: Citations, new: Citations) -> float:
    """Return the share of the passages the old answer cites that the new one cites too; 1 where it cites none."""
    return len(old.valid & new.valid) / len(old.valid) if old.valid else 1.0


def _pieces(text: str) -> Counter[str]:
    letters = "".join(c for c in unicodedata.normalize("NFC", text).casefold() if c.isalnum())
    if len(letters) < _SIZE:
        return Counter([letters] if letters else [])
    return Counter(letters[n : n + _SIZE] for n in range(len(letters) - _SIZE + 1))


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
