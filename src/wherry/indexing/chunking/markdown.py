"""Chunks that follow the headings of a Markdown text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise, takewhile

from wherry.errors import Usage
from wherry.indexing.base import Chunk, Document
from wherry.indexing.chunking.blocks import Block, blocks
from wherry.indexing.chunking.packing import Step, Stretch, fitting, lines, width
from wherry.indexing.chunking.pieces import Span, chunks_of, trimmed
from wherry.indexing.chunking.sentences import sentences

VERSION = 1
_STEPS: dict[str, Sequence[Step]] = {"paragraph": (sentences,), "code": (lines,)}
_OTHER_STEPS: Sequence[Step] = (lines, sentences)
# A prefix tells where a chunk stands; it must leave most of the room to the chunk itself.
_PREFIX_SHARE = 3
_SMALLEST_SHARE = 6
Path = tuple[tuple[int, str], ...]


class Markdown:
    """Cuts at headings, and within a section between paragraphs, items of lists and rows of tables.

    size: characters a chunk has at most, its prefix included. Code, tables and lists that fit are not torn. A
    section shorter than `smallest` (a sixth of the size) takes what follows under the same heading. prefix: begin
    a chunk with the document's title and the headings it stands under, as far as they are not in it, and a piece
    of a table with the table's header.
    Raises Usage for a size below 1.
    """

    def __init__(self, size: int = 1200, prefix: bool = True, smallest: int | None = None) -> None:
        self.size, self.prefix = size, prefix
        self.smallest = size // _SMALLEST_SHARE if smallest is None else smallest
        if size < 1 or not 0 <= self.smallest <= size:
            raise Usage(
                f"chunks of {size} characters, the smallest of {self.smallest}, cannot be made",
                next="give a size of at least 1 and a smallest one below it: markdown?size=1200",
            )

    @property
    def identity(self) -> str:
        """Return name, versions and options."""
        options = f"size={self.size} prefix={int(self.prefix)} smallest={self.smallest}"
        return f"markdown/{VERSION} {options} markdown-it-py/{version('markdown-it-py')}"

    def cut(self, document: Document) -> list[Chunk]:
        """Return the chunks of a document in order."""
        return list(self.each(document))

    def each(self, document: Document) -> Iterator[Chunk]:
        """Yield the chunks one by one, for documents too large to hold twice."""
        return chunks_of(document, lambda text: _Section(text, self, document.title or "").spans())


@dataclass(frozen=True)
class _Unit:
    """A stretch that goes into one chunk. lead: what is repeated when a chunk begins with it."""

    start: int
    end: int
    lead: str = ""


@dataclass
class _Held:
    """The chunk that is being filled. prefix: what it says before that. tail: where headings stand at its end.

    level: of the headings that may follow within it. body: the headings above all that is in it and no heading;
    None while there are only headings.
    """

    start: int
    end: int
    prefix: str
    level: int
    tail: int | None = None
    tail_path: Path = ()
    body: Path | None = None


class _Section:
    """Fills chunks with the blocks of one text."""

    def __init__(self, text: str, chunker: Markdown, title: str) -> None:
        self.text, self.chunker, self.title = text, chunker, " ".join(title.split())
        self._path: Path = ()
        self._first = ""
        self._held: _Held | None = None

    def spans(self) -> Iterator[Span]:
        """Yield the chunks of the text."""
        for block in blocks(self.text):
            if block.kind == "heading":
                yield from self._heading(block)
            else:
                for unit in self._units(block):
                    yield from self._add(unit)
        yield from self._flush()

    def _heading(self, block: Block) -> Iterator[Span]:
        above = tuple(entry for entry in self._path if entry[0] < block.level)
        self._path = (*above, (block.level, block.title))
        self._first = self._first or block.title
        if width(self.text, block.start, block.end) > self.chunker.size:
            for piece in fitting(self.text, block.start, block.end, self.chunker.size, _OTHER_STEPS):
                yield from self._add(_Unit(*piece))
            return
        held = self._held
        if held is not None and not (self._joins(held, block.level, above) and self._fits(held, block.end)):
            yield from self._flush()
            held = None
        if held is None:
            held = self._held = self._opened(block.start, block.end, above, block.level)
        held.end = block.end
        if held.tail is None:
            held.tail, held.tail_path = block.start, above

    def _joins(self, held: _Held, level: int, above: Path) -> bool:
        """Tell whether a heading may stand within a chunk: the chunk is small, and both are under one heading."""
        if held.body is None:
            return True
        if level < held.level or (held.body and not _shared(held.body, above)):
            return False
        return width(self.text, held.start, held.end) < self.chunker.smallest

    def _add(self, unit: _Unit) -> Iterator[Span]:
        held = self._held
        if held is not None and not self._fits(held, unit.end) and held.tail is not None and held.tail > held.start:
            yield from self._flush_before_tail(held)
            held = self._held
        if held is not None and not self._fits(held, unit.end):
            yield from self._flush()
            held = None
        if held is None:
            level = self._path[-1][0] + 1 if self._path else 1
            held = self._held = self._opened(unit.start, unit.end, self._path, level, unit.lead)
        held.end, held.tail = unit.end, None
        # A few words above the first heading do not make the chunk one without headings.
        held.body = _shared(held.body, self._path) if held.body else self._path

    def _flush_before_tail(self, held: _Held) -> Iterator[Span]:
        """Give away all but the headings at the end: they begin the next chunk."""
        tail, path, end = held.tail or held.start, held.tail_path, held.end
        held.end = tail
        yield from self._flush()
        self._held = self._opened(tail, end, path, path[-1][0] + 1 if path else 1)
        self._held.tail, self._held.tail_path = tail, path

    def _opened(self, start: int, end: int, above: Path, level: int, lead: str = "") -> _Held:
        """Begin a chunk; what is said before it gives way where it leaves too little room."""
        prefix, room = self._prefix(above), self.chunker.size - width(self.text, start, end)
        fit = next((said for said in (prefix + lead, prefix) if len(said) <= room), "")
        return _Held(start, end, fit, level)

    def _flush(self) -> Iterator[Span]:
        held, self._held = self._held, None
        if held is None:
            return
        start, end = trimmed(self.text, held.start, held.end)
        # The indentation of the first line says something in code and lists.
        start = max(self.text.rfind("\n", held.start, start) + 1, held.start)
        path = self._path if held.body is None else held.body
        headings = tuple(title for _, title in path if title)
        yield Span(start, end, held.prefix, headings)

    def _fits(self, held: _Held, end: int) -> bool:
        return len(held.prefix) + width(self.text, held.start, end) <= self.chunker.size

    def _prefix(self, path: Path) -> str:
        if not self.chunker.prefix:
            return ""
        titles = [title for _, title in path if title]
        # Most titles are the first heading, which the path has or the chunk itself begins with.
        if self.title and self.title not in titles and self.title != self._first:
            titles.insert(0, self.title)
        while titles and sum(map(len, titles)) + 3 * len(titles) > self.chunker.size // _PREFIX_SHARE:
            # The inner heading says more about the chunk than the outer one.
            titles.pop(0)
        return " > ".join(titles) + "\n\n" if titles else ""

    def _units(self, block: Block) -> Iterator[_Unit]:
        """Yield a block as a whole where it fits into a chunk, else in pieces that do."""
        room = self._room()
        if width(self.text, block.start, block.end) <= room:
            yield _Unit(block.start, block.end)
            return
        # The header of a table that goes on in the next chunk is repeated there, when it is short.
        header = block.header + "\n" if block.header and self.chunker.prefix else ""
        lead = header if len(header) <= room // _PREFIX_SHARE else ""
        steps = _STEPS.get(block.kind, _OTHER_STEPS)
        for number, (start, end) in enumerate(_items(block)):
            for piece in fitting(self.text, start, end, room - len(lead), steps):
                yield _Unit(*piece, lead if number else "")

    def _room(self) -> int:
        """Return how long a piece may be, so that it fits below its headings."""
        room = max(1, self.chunker.size - len(self._prefix(self._path)))
        held = self._held
        if held is None or held.tail is None:
            return room
        above = len(self._prefix(held.tail_path)) + held.end - held.tail
        beside = self.chunker.size - above
        return beside if beside >= self.chunker.size // 2 else room


def _items(block: Block) -> Iterator[Stretch]:
    places = [block.start, *block.cuts, block.end]
    yield from pairwise(places)


def _shared(one: Path, other: Path) -> Path:
    return tuple(mine for mine, theirs in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
