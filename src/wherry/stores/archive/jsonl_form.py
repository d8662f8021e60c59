"""`.jsonl`: a record per line, between a line that says what follows and one that says what came.

    {"wherry": {"format": 1, "count": n, "space": {…}, "index": {…}, "name": …}}
    {"id": …, "text": …, "metadata": {…}, "embedding": […]}
    …
    {"wherry_seal": {"count": n, "records": …, "seal": …, "again": …}}

A file of somebody else has only the records (`vector` is understood for `embedding`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa

from wherry.space import Space
from wherry.stores.archive.card import CARD_KEY, SEAL_KEY, Card, Tally
from wherry.stores.archive.disk import CHUNK, ArchiveFile
from wherry.stores.archive.lookup import Lookup
from wherry.stores.archive.seal import Sink, damaged, verify_seal
from wherry.stores.archive.splitter import corrupt
from wherry.stores.archive.survey import Survey
from wherry.stores.archive.text_form import TextForm, encoded, small_parts

_BOM = b"\xef\xbb\xbf"
NO_CLOSING = "the file has no closing line: a truncation at the end of a line cannot be seen"


class JsonlForm(TextForm):
    """A record per line."""

    suffix = ".jsonl"

    def raw_documents(self, file: ArchiveFile) -> Iterator[tuple[int, bytes]]:
        """Yield every line that is a record."""
        sealed = False
        for number, (offset, line) in enumerate(lines(file)):
            if number == 0 and _own(line, CARD_KEY) is not None:
                sealed = True
            elif not (sealed and line.startswith(b'{"%b"' % SEAL_KEY.encode())):
                yield offset, line

    def inspect(self, file: ArchiveFile) -> tuple[Card, Lookup | None]:
        """Check the seal of an archive of ours; read all of any other."""
        first = next(lines(file), (0, b""))[1]
        head = _own(first, CARD_KEY)
        if verify_seal(file):
            if head is None:
                raise damaged(file.shown, "its first line is missing")
            card = Card.from_dict(str(head.get("name") or file.path.stem), head, file.shown)
            return replace(card, extra=dict(head.get("extra") or {})), None
        if head is not None:
            raise damaged(file.shown, "its closing line is missing or is not the last")
        if not first:
            raise corrupt(file.shown, "the file holds no record", "the whole file")
        return self._surveyed(file)

    def _surveyed(self, file: ArchiveFile) -> tuple[Card, Lookup]:
        survey = Survey()
        survey.take(self.documents(file))
        card = Card(
            file.path.stem,
            survey.count,
            Space(dimension=survey.dimension(None, file.shown)),
            integer_ids=bool(survey.integer_ids and not survey.text_ids),
            notes=(*survey.notes(), NO_CLOSING),
            losses=tuple(survey.losses()),
        )
        return card, survey.lookup

    def write(self, sink: Sink, card: Card, batches: Iterable[pa.RecordBatch], tally: Tally) -> None:
        """Write the lines."""
        sink.write(_line({CARD_KEY: {**card.to_dict(), "name": card.name, "extra": card.extra}}))
        for part in small_parts(batches):
            sink.write(b"".join(line + b"\n" for line in encoded(part)))
        sink.write(_line({SEAL_KEY: tally.closing()}))


def lines(file: ArchiveFile) -> Iterator[tuple[int, bytes]]:
    """Yield every line that is not blank, with its offset, without its end."""
    stream, offset, rest = file.stream(), 0, b""
    while chunk := stream.read(max(CHUNK, len(rest))):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield from _line_at(offset, line)
            offset += len(line) + 1
    yield from _line_at(offset, rest)


def _line_at(offset: int, line: bytes) -> Iterator[tuple[int, bytes]]:
    if offset == 0:
        skipped = len(_BOM) if line.startswith(_BOM) else 0
        offset, line = skipped, line[skipped:]
    if line.strip():
        yield offset, line


def _own(line: bytes, key: str) -> dict[str, Any] | None:
    """Return what a line of ours says under `key`, None for a record."""
    if b'"%b"' % key.encode() not in line:
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or "id" in found or not isinstance(found.get(key), dict):
        return None
    own: dict[str, Any] = found[key]
    return own


def _line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"
