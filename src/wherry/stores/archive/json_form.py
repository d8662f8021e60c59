"""`.json`: one object in the shape of a LlamaCloud export.

    {"index_name": …, "index_id": …, "total_documents": n, "embedding_dimension": d,
     "wherry": {"format": 1, "count": n, "space": {…}, "index": {…}},
     "documents": [
    {"id": …, "text": …, "metadata": {…}, "embedding": […]},
    …
    ], "wherry_seal": {"count": n, "records": …, "seal": …, "again": …}}

The two keys of ours are additions that other readers pass over. Without them the file is somebody
else's, and only its structure and what it states of itself can be checked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa

from wherry.errors import Refused
from wherry.space import Space
from wherry.stores.archive.card import CARD_KEY, SEAL_KEY, Card, Tally
from wherry.stores.archive.disk import ArchiveFile
from wherry.stores.archive.lookup import Lookup
from wherry.stores.archive.seal import Sink, damaged, verify_seal
from wherry.stores.archive.splitter import Splitter, corrupt
from wherry.stores.archive.survey import Survey
from wherry.stores.archive.text_form import TextForm, encoded, parsed, small_parts

_LIST = "documents"
_NAME, _TOTAL, _DIMENSION = "index_name", "total_documents", "embedding_dimension"
NO_SEAL = "the file carries no checksum: damage inside a value cannot be seen"


class JsonForm(TextForm):
    """The export as one object."""

    suffix = ".json"

    def raw_documents(self, file: ArchiveFile) -> Iterator[tuple[int, bytes]]:
        """Yield every element of `documents`."""
        return iter(self._splitter(file))

    def _splitter(self, file: ArchiveFile) -> Splitter:
        return Splitter(file.stream(), _LIST, file.shown)

    def inspect(self, file: ArchiveFile) -> tuple[Card, Lookup | None]:
        """Check the seal of an archive of ours; read all of any other."""
        if verify_seal(file):
            splitter = self._splitter(file)
            # Everything of ours stands before the first document.
            next(iter(splitter), None)
            return _sealed_card(file, _members(splitter, file.shown)), None
        return self._surveyed(file)

    def _surveyed(self, file: ArchiveFile) -> tuple[Card, Lookup]:
        splitter, survey = self._splitter(file), Survey()
        survey.take(parsed(splitter, file.shown))
        members = _members(splitter, file.shown)
        _require_export(splitter, members, file.shown)
        survey.require_total(members.pop(_TOTAL, None), file.shown)
        dimension = survey.dimension(members.pop(_DIMENSION, None), file.shown)
        card = Card(
            _name(members, file),
            survey.count,
            Space(dimension=dimension),
            integer_ids=bool(survey.integer_ids and not survey.text_ids),
            notes=(*survey.notes(), NO_SEAL),
            losses=tuple(survey.losses()),
            extra=members,
        )
        return card, survey.lookup

    def write(self, sink: Sink, card: Card, batches: Iterable[pa.RecordBatch], tally: Tally) -> None:
        """Write the export, one document per line."""
        extra = {k: v for k, v in card.extra.items() if k not in (CARD_KEY, SEAL_KEY)}
        head = {
            _NAME: card.name,
            "index_id": extra.pop("index_id", ""),
            _TOTAL: card.count,
            _DIMENSION: card.space.dimension,
            **extra,
            CARD_KEY: card.to_dict(),
        }
        sink.write(_dumps(head)[:-1] + b',"%b":[' % _LIST.encode())
        start = b"\n"
        for part in small_parts(batches):
            sink.write(start + b",\n".join(encoded(part)))
            start = b",\n"
        sink.write(b'\n],"%b":%b}\n' % (SEAL_KEY.encode(), _dumps(tally.closing())))


def _sealed_card(file: ArchiveFile, members: dict[str, Any]) -> Card:
    if not isinstance(members.get(CARD_KEY), dict):
        raise damaged(file.shown, f"its {CARD_KEY} key is not before the documents")
    card = Card.from_dict(_name(members, file), members.pop(CARD_KEY), file.shown)
    extra = {k: v for k, v in members.items() if k not in (_TOTAL, _DIMENSION, SEAL_KEY)}
    return replace(card, extra=extra)


def _members(splitter: Splitter, shown: str) -> dict[str, Any]:
    return {name: _loads(name, raw, shown) for name, raw in splitter.fields.items()}


def _loads(name: str, raw: bytes, shown: str) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise corrupt(shown, "the value is no JSON", f"key {name!r:.60}") from None


def _require_export(splitter: Splitter, members: dict[str, Any], shown: str) -> None:
    if CARD_KEY in members or SEAL_KEY in members:
        raise damaged(shown, "it has lost its seal")
    if "retrieval_nodes" in members:
        why = "this is the reply to a query, which lists the nearest passages and not all of them"
    elif "chunks" in members and splitter.found:
        why = "this is a page of the API, whose items are its chunks; the documents are their origin"
    elif not splitter.found:
        keys = ", ".join(sorted(members)[:5]) or "none"
        why = f"this is JSON, but no export: it has no list of documents (its keys: {keys})"
    else:
        return
    raise Refused(why, where=shown, left="nothing was read from it", next="export the whole index")


def _name(members: dict[str, Any], file: ArchiveFile) -> str:
    name = members.pop(_NAME, None)
    return name if isinstance(name, str) and name else file.path.stem


def _dumps(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()
