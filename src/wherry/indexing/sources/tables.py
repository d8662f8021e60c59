"""CSV and JSONL: each row is a document.

A row is called `FILE#ID` by its column `id`, else by a hash of what it holds, so that a row put in front
changes the name of no other row.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from wherry.errors import BadRecord
from wherry.indexing.base import Document, Part, Stamp
from wherry.indexing.sources.decoding import decode, tidy
from wherry.indexing.sources.formats import suffix_of

TEXT_NAMES = ("text", "content", "body", "document", "본문", "내용")
TITLE_NAMES = ("title", "제목")
_ID = "id"
_DELIMITERS = ",\t;|"
_FIELD_LIMIT = 1 << 28
_HASH_CHARACTERS = 16


@dataclass(frozen=True)
class Columns:
    """Which columns of a row are what. None: found by their usual names.

    Without a text column, a row's text is all of it, one `name: value` per line. metadata: all other columns
    when None.
    """

    id: str | None = None
    text: str | None = None
    metadata: tuple[str, ...] | None = None


class Row:
    """A row that a table has shown. data: its values as JSON."""

    __slots__ = ("_columns", "_data", "id", "stamp")

    def __init__(self, id: str, stamp: Stamp | None, data: bytes, columns: Columns) -> None:
        self.id, self.stamp = id, stamp
        self._data, self._columns = data, columns

    def bytes(self) -> bytes:
        """Return the row's values as JSON."""
        return self._data

    def read(self, data: bytes) -> Document:
        """Return the document a row is. Raises BadRecord where a column that was asked for is not there."""
        return document_of(self.id, orjson.loads(data), self._columns)


class Unreadable:
    """A document that was seen and cannot be read; asking for its bytes tells why."""

    __slots__ = ("_error", "id", "stamp")

    def __init__(self, id: str, error: BadRecord) -> None:
        self.id, self.stamp = id, None
        self._error = error

    def bytes(self) -> bytes:
        """Raise BadRecord."""
        raise self._error

    def read(self, data: bytes) -> Document:
        """Raise BadRecord."""
        raise self._error


def rows_of(table: str, data: bytes, stamp: Stamp | None, columns: Columns) -> Iterator[Row | Unreadable]:
    """Yield every row of a file in its order; what cannot be read comes as Unreadable."""
    try:
        text = decode(data, table)
        rows = _json_rows(table, text) if suffix_of(table) in (".jsonl", ".ndjson") else _csv_rows(table, text)
        names: set[str] = set()
        for row in rows:
            yield row if isinstance(row, Unreadable) else _named(table, row, stamp, columns, names)
    except BadRecord as error:
        yield Unreadable(table, error)


def document_of(name: str, row: dict[str, Any], columns: Columns) -> Document:
    """Return the document that a row is: its text, and what else it holds as metadata."""
    text_name = columns.text or next((known for known in TEXT_NAMES if known in row), None)
    _require_columns(name, row, [columns.text, *(columns.metadata or ())])
    title_name = next((known for known in TITLE_NAMES if known in row and known != text_name), None)
    title = _words(row[title_name]) if title_name else ""
    if text_name is None:
        kept = {key: value for key, value in row.items() if value not in (None, "")}
        text, others = "\n".join(f"{key}: {_words(value)}" for key, value in kept.items()), []
    else:
        text = _words(row[text_name])
        others = [key for key in row if key not in (text_name, title_name, columns.id or _ID)]
    wanted = others if columns.metadata is None else list(columns.metadata)
    metadata = {key: row[key] for key in wanted if row[key] is not None}
    parts = (Part(text),) if text.strip() else ()
    return Document(name, parts, title or None, {"format": "row", **metadata})


def _require_columns(name: str, row: dict[str, Any], wanted: Sequence[str | None]) -> None:
    missing = [column for column in wanted if column is not None and column not in row]
    if missing:
        raise BadRecord(
            f"the row has no column {', '.join(missing)}; it has {', '.join(row) or 'none'}",
            where=name,
            next="name columns that every row has",
        )


def _named(table: str, row: dict[str, Any], stamp: Stamp | None, columns: Columns, names: set[str]) -> Row:
    # Columns may change places without changing a name; the text keeps the order of the file.
    content = blake2b(orjson.dumps(row, option=orjson.OPT_SORT_KEYS)).hexdigest()[:_HASH_CHARACTERS]
    key = _words(row.get(columns.id or _ID)).strip() or content
    if key in names:
        # Two rows of one name are two documents; equal rows too.
        key = _free(f"{key}~{content}", names)
    names.add(key)
    return Row(f"{table}#{key}", stamp, orjson.dumps(row), columns)


def _free(key: str, names: set[str]) -> str:
    number = 2
    found = key
    while found in names:
        found, number = f"{key}~{number}", number + 1
    return found


def _words(value: Any) -> str:
    if value is None:
        return ""
    return tidy(value) if isinstance(value, str) else orjson.dumps(value).decode()


def _json_rows(table: str, text: str) -> Iterator[dict[str, Any] | Unreadable]:
    for number, line in enumerate(_lines(text), 1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except ValueError as error:
            yield _bad_line(table, number, f"is no JSON: {error}")
            continue
        if not isinstance(row, dict):
            yield _bad_line(table, number, "is no JSON object")
            continue
        yield row


def _csv_rows(table: str, text: str) -> Iterator[dict[str, Any] | Unreadable]:
    if not text.strip():
        return
    csv.field_size_limit(max(csv.field_size_limit(), _FIELD_LIMIT))
    reader = csv.reader(_lines(text), delimiter=_delimiter(table, text), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _require_header(table, header)
        for cells in reader:
            if len(cells) > len(header):
                yield _bad_line(table, reader.line_num, f"has {len(cells)} cells, the header {len(header)}")
            elif any(cells):
                yield dict(zip(header, [*cells, *[None] * (len(header) - len(cells))], strict=True))
    except csv.Error as error:
        # A quote that never ends swallows the rest: what follows it cannot be told.
        yield _bad_line(table, reader.line_num, f"cannot be read: {error}")


def _require_header(table: str, header: list[str]) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice or not all(header):
        what = f"names {', '.join(map(repr, twice))} twice" if twice else "leaves a column without a name"
        raise BadRecord(f"the header of the table {what}", where=table, next="give each column a name of its own")


def _delimiter(table: str, text: str) -> str:
    if suffix_of(table) == ".tsv":
        return "\t"
    header = re.sub(r'"[^"]*"', "", text[: text.find("\n") if "\n" in text else len(text)])
    return max(_DELIMITERS, key=lambda sign: (header.count(sign), -_DELIMITERS.index(sign)))


def _lines(text: str) -> Iterator[str]:
    """Yield lines with their ends; other than str.splitlines it ends them at \\n alone, and copies one at a time."""
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _bad_line(table: str, number: int, what: str) -> Unreadable:
    error = BadRecord(f"line {number:,} {what}", where=table, next="correct the line, then run the same command again")
    return Unreadable(f"{table}#line-{number}", error)
