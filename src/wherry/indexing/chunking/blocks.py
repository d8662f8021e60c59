"""The blocks of a Markdown text: headings, paragraphs, lists, tables, code, each with the characters it covers.

Read through markdown-it. Together the blocks are the whole text: what stands between two of them (blank lines,
link definitions) belongs to the one before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

# Longer texts are read slab by slab: tokens take far more memory than the text they stand for.
SLAB = 1 << 20
_TITLE = 1_000
# Words that mean nothing else in Markdown; reading a title takes as long as reading its block.
_PLAIN = re.compile(r"(?:[^\W_]|[ ,.])*")
_LINE_END = re.compile(r"\r\n?|\n")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})", re.MULTILINE)
_HEADING_LINE = re.compile(r"^#{1,6}[ \t]", re.MULTILINE)
_BLANK_LINE = re.compile(r"\n[ \t\r]*\n")
_KINDS = {
    "heading_open": "heading",
    "paragraph_open": "paragraph",
    "bullet_list_open": "list",
    "ordered_list_open": "list",
    "table_open": "table",
    "fence": "code",
    "code_block": "code",
    "blockquote_open": "quote",
    "html_block": "html",
    "hr": "rule",
}
_INNER = {"list_item_open", "tr_open"}


@dataclass(frozen=True)
class Block:
    """A block. start, end: characters, end exclusive, the blank lines after it included.

    level, title: of a heading. cuts: where items of a list or rows of a table begin. header: the lines of a
    table's header.
    """

    kind: str
    start: int
    end: int
    level: int = 0
    title: str = ""
    cuts: tuple[int, ...] = ()
    header: str = ""


def blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a text in order."""
    for start, end in _slabs(text):
        yield from _parsed(text, start, end)


def _parsed(text: str, start: int, end: int) -> Iterator[Block]:
    slab = text if (start, end) == (0, len(text)) else text[start:end]
    begins = [start, *(start + found.end() for found in _LINE_END.finditer(slab))]
    tokens = _parser().parse(slab)
    tops = [at for at, token in enumerate(tokens) if token.level == 0 and token.type in _KINDS and token.map]
    if not tops:
        if slab.strip():
            yield Block("paragraph", start, end)
        return
    for number, at in enumerate(tops):
        first = start if number == 0 else _begin(begins, tokens[at], end)
        last = end if number + 1 == len(tops) else _begin(begins, tokens[tops[number + 1]], end)
        until = len(tokens) if number + 1 == len(tops) else tops[number + 1]
        if first < last:
            yield _block(text, tokens[at:until], begins, first, last)


def _begin(begins: list[int], token: Token, end: int) -> int:
    line = token.map[0] if token.map else 0
    return begins[line] if line < len(begins) else end


def _block(text: str, tokens: list[Token], begins: list[int], start: int, end: int) -> Block:
    kind = _KINDS[tokens[0].type]
    if kind == "heading":
        return Block(kind, start, end, level=int(tokens[0].tag[1:]), title=_title(tokens))
    if kind not in ("list", "table"):
        return Block(kind, start, end)
    inner = [_begin(begins, token, end) for token in tokens if token.type in _INNER and token.level <= 2]
    cuts = tuple(sorted({at for at in inner if start < at < end}))
    if kind == "list":
        return Block(kind, start, end, cuts=cuts)
    body = next((_begin(begins, token, end) for token in tokens if token.type == "tbody_open"), end)
    first = _begin(begins, tokens[0], end)
    return Block(kind, start, end, cuts=tuple(at for at in cuts if at > body), header=text[first:body].strip("\r\n"))


def _title(tokens: list[Token]) -> str:
    """Return the words of a heading as a reader sees them."""
    inline = next((token.content for token in tokens if token.type == "inline"), "")[:_TITLE]
    if _PLAIN.fullmatch(inline):
        return " ".join(inline.split())
    words = [
        " " if piece.type in ("softbreak", "hardbreak") else piece.content
        for token in _words_parser().parseInline(inline)
        for piece in token.children or []
        if piece.type != "html_inline"
    ]
    return " ".join("".join(words).split())


def _slabs(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while len(text) - start > SLAB:
        end = _slab_end(text, start, start + SLAB)
        yield start, end
        start = end
    yield start, len(text)


def _slab_end(text: str, start: int, limit: int) -> int:
    """Return where a slab ends: before a heading, else after a blank line, else after a line, outside of code."""
    middle = start + SLAB // 2
    fenced = _fenced(text, start, limit)
    for pattern, after in ((_HEADING_LINE, False), (_BLANK_LINE, True)):
        places = [found.end() if after else found.start() for found in pattern.finditer(text, middle, limit)]
        for place in reversed(places):
            if start < place and not any(first < place < last for first, last in fenced):
                return place
    line = text.rfind("\n", middle, limit) + 1
    return line or limit


def _fenced(text: str, start: int, limit: int) -> list[tuple[int, int]]:
    """Return where fenced code stands; code that does not end goes on beyond the limit."""
    found, opened = [], None
    for fence in _FENCE.finditer(text, start, limit):
        if opened is None:
            opened = fence
        elif fence[1][0] == opened[1][0] and len(fence[1]) >= len(opened[1]):
            found.append((opened.start(), fence.end()))
            opened = None
    return found if opened is None else [*found, (opened.start(), limit + 1)]


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    # What stands within a block is wanted as it is written.
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


@lru_cache(maxsize=1)
def _words_parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark")
