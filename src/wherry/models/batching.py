"""Cutting many texts into requests: by how many there are and by their tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from wherry.models.tokens import estimate


@dataclass(frozen=True)
class Batch:
    """The texts of one request. positions: where they stood in the call. tokens: about how many."""

    positions: list[int]
    texts: list[str]
    tokens: int

    def halves(self) -> tuple[Batch, Batch]:
        """Return the first and the second half; there must be two texts at least."""
        middle = len(self.texts) // 2
        return self._part(slice(middle)), self._part(slice(middle, None))

    def _part(self, which: slice) -> Batch:
        texts = self.texts[which]
        return Batch(self.positions[which], texts, sum(map(estimate, texts)))


def batches(
    texts: Sequence[str], positions: Sequence[int], items: Callable[[], int], tokens: float | None, ratio: float
) -> Iterator[Batch]:
    """Cut the texts at these positions into batches of at most `items` texts and about `tokens` tokens.

    items: asked anew for each batch. ratio: tokens billed per token estimated so far. A text that is too large by
    itself goes alone.
    """
    held: list[int] = []
    size, most = 0, items()
    for position in positions:
        count = estimate(texts[position])
        if held and (len(held) >= most or (tokens is not None and (size + count) * ratio > tokens)):
            yield Batch(held, [texts[n] for n in held], size)
            held, size, most = [], 0, items()
        held.append(position)
        size += count
    if held:
        yield Batch(held, [texts[n] for n in held], size)
