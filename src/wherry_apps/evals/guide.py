"""The guide and further documents, cut into paragraphs that travel together.

Paragraphs are packed to 450 tokens with 80 tokens of the piece before in front; tokens are those of the Korean
tokeniser where it is installed, else what stands between spaces. Which of them it was is kept with the index.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wherry import BadRecord
from wherry_apps.evals.composing import Composed
from wherry_apps.evals.runs import Json, text_of

TOKENS, OVERLAP = 450, 80
FEWEST = 3
_GAP = re.compile(r"\n[ \t]*\n+")
_HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", re.MULTILINE)
_WORD = re.compile(r"\S+")
Spans = Sequence[tuple[int, int]]


def chunker(plain: bool = False) -> Json:
    """Return what cuts guides here, as it is kept with what was cut. plain: the Korean tokeniser is not used."""
    return {"kind": "paragraphs", "tokens": TOKENS, "overlap": OVERLAP, "tokenizer": _tokenizer_name(plain)}


def chunks_of(text: str, kind: str = "guide", path: str = "", plain: bool = False) -> list[Composed]:
    """Return the pieces of a document in their order, each with the heading it stands under."""
    clean = (text_of(text) or "").replace("\r\n", "\n")
    headings = [(found.start(), found.group(1).strip()) for found in _HEADING.finditer(clean)]
    found = []
    for start, end in _packed(clean, plain):
        heading = next((words for at, words in reversed(headings) if at < end and at <= _first(clean, start)), None)
        metadata: Json = {"kind": kind, **({"path": path} if path else {}), **({"heading": heading} if heading else {})}
        found.append(Composed(clean[start:end].strip(), metadata))
    return [one for one in found if one.content]


def read_text(path: Path) -> str:
    """Return the text of a file. Raises OSError, or BadRecord for one that is no text in UTF-8."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadRecord("the file is no text in UTF-8", where=str(path)) from None


def _packed(text: str, plain: bool) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of pieces: whole paragraphs up to the limit, after the last tokens of the piece before."""
    start = end = 0
    held: list[tuple[int, int]] = []
    for paragraph in _paragraphs(text):
        for spans in _parts(_tokens(text, paragraph, plain)):
            if held and len(held) + len(spans) > TOKENS:
                yield start, end
                held = held[-OVERLAP:] if len(spans) + OVERLAP <= TOKENS else []
                start = held[0][0] if held else spans[0][0]
            elif not held:
                start = spans[0][0]
            held += spans
            end = spans[-1][1]
    if held:
        yield start, end


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for gap in _GAP.finditer(text):
        if text[start : gap.start()].strip():
            yield start, gap.start()
        start = gap.end()
    if text[start:].strip():
        yield start, len(text)


def _parts(spans: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    for start in range(0, len(spans), TOKENS):
        yield spans[start : start + TOKENS]


def _tokens(text: str, paragraph: tuple[int, int], plain: bool) -> list[tuple[int, int]]:
    """Return where the tokens of a paragraph stand in the text; the first begins and the last ends with it."""
    start, end = paragraph
    part = text[start:end]
    if plain or _tokenizer_name(False) == "whitespace":
        found = [(start + word.start(), start + word.end()) for word in _WORD.finditer(part)]
    else:
        found = [(start + token.start, start + token.end) for token in _kiwi().tokenize(part) if token.len]
    if not found:
        return [(start, end)]
    return [(start, found[0][1]), *found[1:-1], (found[-1][0], end)] if len(found) > 1 else [(start, end)]


def _first(text: str, start: int) -> int:
    """Return where the first line of a piece ends: a heading there is the piece's own."""
    end = text.find("\n", start)
    return len(text) if end < 0 else end


@lru_cache(maxsize=2)
def _tokenizer_name(plain: bool) -> str:
    if plain or find_spec("kiwipiepy") is None:
        return "whitespace"
    try:
        return f"kiwi {version('kiwipiepy')}"
    except PackageNotFoundError:
        return "kiwi"


@lru_cache(maxsize=1)
def _kiwi() -> Any:
    from kiwipiepy import Kiwi

    return Kiwi()
