"""Markdown and plain text: the text as it is; title and front matter taken from its beginning."""

from __future__ import annotations

import re
from typing import Any

from wherry.indexing.base import Document, Part
from wherry.indexing.sources.decoding import decode

_FENCE = re.compile(r"---[ \t]*\n")
_END = re.compile(r"^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.MULTILINE)
_LINE = re.compile(r"([A-Za-z가-힣_][\w.-]*)[ \t]*:(?:[ \t]+(.*?))?[ \t]*")
_ITEM = re.compile(r"[ \t]*-[ \t]+(.*?)[ \t]*")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?")
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t]*#*[ \t]*$|^(\S.*)\n {0,3}(?:=+|-+)[ \t]*$", re.MULTILINE)
_CODE = re.compile(r"^ {0,3}(`{3,}|~{3,}).*?(?:^ {0,3}\1|\Z)", re.MULTILINE | re.DOTALL)
_MARKUP = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)|[*`]+|(?<!\w)_+|_+(?!\w)")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
# A title is looked for at the beginning, and so is front matter.
_HEAD = 1 << 16
_TITLE = 300
# What Wherry itself says of every chunk: front matter of these names is kept beside it and never in its place.
_OWN = ("source", "document", "headings", "page", "chunk", "start", "end", "format")


def read_markdown(document: str, data: bytes) -> Document:
    """Return a Markdown file: front matter as metadata where it is simple, the rest as one part."""
    text, metadata = front_matter(decode(data, document))
    stated = metadata.pop("title", None)
    title = str(stated) if stated is not None else heading_of(text)
    beside = {f"front_{key}" if key in _OWN else key: value for key, value in metadata.items()}
    return Document(document, _parts(text), title, {"format": "markdown", **beside})


def read_text(document: str, data: bytes) -> Document:
    """Return a text file as one part."""
    return Document(document, _parts(decode(data, document)), None, {"format": "text"})


def _parts(text: str) -> tuple[Part, ...]:
    # Not text.strip(): a long text would be copied for it.
    return () if not text or text.isspace() else (Part(text),)


def front_matter(text: str) -> tuple[str, dict[str, Any]]:
    """Cut off front matter that is a list of `name: value` lines; return (the rest, its values).

    Values are words, numbers, true and false, and flat lists. Anything else that YAML can say leaves the
    text as it is, so that nothing is lost and nothing is guessed.
    """
    begin = _FENCE.match(text)
    end = _END.search(text, begin.end(), _HEAD) if begin else None
    if begin is None or end is None:
        return text, {}
    values = _values(text[begin.end() : end.start()].splitlines())
    return (text, {}) if values is None else (text[end.end() :], values)


def _values(lines: list[str]) -> dict[str, Any] | None:
    values: dict[str, Any] = {}
    listed = ""
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        item = _ITEM.fullmatch(line)
        if item and listed:
            value = _scalar(item[1])
            if value is _Unread:
                return None
            values[listed] = [*(values[listed] or []), value]
            continue
        pair = _LINE.fullmatch(line)
        value = _value(pair[2] or "") if pair else _Unread
        if pair is None or value is _Unread or pair[1] in values:
            return None
        values[pair[1]] = value
        listed = "" if pair[2] else pair[1]
    return values


class _Unread:
    """What is more than this small part of YAML."""


def _value(word: str) -> Any:
    if not (word.startswith("[") and word.endswith("]")):
        return _scalar(word)
    inner = word[1:-1].strip()
    items = [_scalar(item.strip()) for item in inner.split(",")] if inner else []
    return _Unread if _Unread in items else items


def _scalar(word: str) -> Any:
    if len(word) > 1 and word[0] == word[-1] and word[0] in "\"'":
        body = word[1:-1]
        return _Unread if word[0] in body or "\\" in body else body
    if word.lower() in _WORDS:
        return _WORDS[word.lower()]
    if _NUMBER.fullmatch(word):
        return float(word) if "." in word else int(word)
    # Signs that begin something else in YAML; a colon or a comment within a word does so too.
    plain = word[0] not in "[]{}&*!|>%@`\"'," and ": " not in word and " #" not in word and not word.endswith(":")
    return word if plain else _Unread


def heading_of(text: str) -> str | None:
    """Return the words of the first heading near the beginning of a Markdown text."""
    found = _HEADING.search(_CODE.sub(lambda code: "\n" * code[0].count("\n"), text[:_HEAD]))
    words = plain((found[1] or found[2]).strip()) if found else ""
    return words[:_TITLE] or None


def plain(markdown: str) -> str:
    """Return the words of a line of Markdown without the marks of emphasis, code and links."""
    return _MARKUP.sub(lambda found: found[1] or "", markdown).strip()
