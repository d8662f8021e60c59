"""Making stretches of text fit: cutting what is too long, joining what is short."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from wherry.indexing.chunking.clusters import whole
from wherry.indexing.chunking.pieces import trimmed
from wherry.indexing.chunking.sentences import sentences

Stretch = tuple[int, int]
# Cuts a stretch of a text into smaller ones that are together all of it.
Step = Callable[[str, int, int], Iterator[Stretch]]


def width(text: str, start: int, end: int) -> int:
    """Return how many characters a stretch has without the white space at its end."""
    while start < end and text[end - 1].isspace():
        end -= 1
    return end - start


def lines(text: str, start: int, end: int) -> Iterator[Stretch]:
    """Yield the lines of a stretch, their ends included."""
    while start < end:
        after = text.find("\n", start, end) + 1 or end
        yield start, after
        start = after


def fitting(text: str, start: int, end: int, room: int, steps: Sequence[Step] = (sentences,)) -> Iterator[Stretch]:
    """Yield stretches of at most `room` characters that are together the whole stretch.

    steps: ways of cutting, the kindest first; where none helps it is cut at white space, or within a word.
    """
    if width(text, start, end) <= room:
        yield start, end
    elif not steps:
        yield from _hard(text, start, end, room)
    else:
        for first, last in steps[0](text, start, end):
            yield from fitting(text, first, last, room, steps[1:])


def packed(text: str, stretches: Iterable[Stretch], size: int, overlap: int) -> Iterator[Stretch]:
    """Join neighbours as long as they fit into `size`; the last ones, up to `overlap`, begin the next as well.

    What is yielded has no white space at its ends.
    """
    held: deque[Stretch] = deque()
    for stretch in stretches:
        if held and width(text, held[0][0], stretch[1]) > size:
            yield trimmed(text, held[0][0], held[-1][1])
            _shorten(text, held, stretch, size, overlap)
        held.append(stretch)
    if held:
        yield trimmed(text, held[0][0], held[-1][1])


def _shorten(text: str, held: deque[Stretch], following: Stretch, size: int, overlap: int) -> None:
    """Drop stretches from the front until what is left may begin the next chunk; at least one goes."""
    end = held[-1][1]
    held.popleft()
    while held and (end - held[0][0] > overlap or width(text, held[0][0], following[1]) > size):
        held.popleft()


def _hard(text: str, start: int, end: int, room: int) -> Iterator[Stretch]:
    while width(text, start, end) > room:
        space = max(text.rfind(sign, start + room // 2, start + room) for sign in " \n\t")
        cut = space + 1 if space >= 0 else whole(text, start + room, start)
        yield start, cut
        start = cut
    yield start, end
