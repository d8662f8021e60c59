"""Vectors made anew: the texts of one collection, embedded by another model, into another collection.

What the target holds already with the same text and payload is not paid for again, so that a run that was stopped
goes on. A text that fails is left out and named; no vector takes its place.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

import wherry
from wherry import Address, BadRecord, Metric, Record, Space, WherryError

_ROWS = 256


@dataclass(frozen=True)
class Remade:
    """What became of the records. failed: id -> why. equal: ids, texts and payloads agree but for those that failed."""

    read: int
    written: int
    unchanged: int
    failed: dict[str, str]
    equal: bool


def reembed(source: Address, target: Address, embedder: Any, batch: int) -> Remade:
    """Embed every text of `source` into `target`. batch: texts at a time. Raises SpaceMismatch, Unreachable, ..."""
    space = embedder.space().filled_from(Space(metric=Metric.COSINE))
    from_, to = wherry.open_source(source), wherry.open_target(target)
    failed: dict[str, str] = {}
    read = written = unchanged = 0
    try:
        wherry.put([], to, space)
        for page in from_.scan(_ROWS):
            failed |= {reject.id: f"{reject.reason} {reject.detail}".strip() for reject in page.rejects}
            records = _rows(page.records)
            read += page.read
            there = _held(to, list(records))
            wanted = [i for i, parts in records.items() if there.get(i) != parts]
            unchanged += len(records) - len(wanted)
            for start in range(0, len(wanted), batch):
                made = _made(embedder, wanted[start : start + batch], records, failed)
                written += wherry.put(made, to, space) if made else 0
        gone = sorted(_ids(to) - _ids(from_))
        if gone:
            to.delete(pa.array(gone, type=pa.string()))
            here = to.describe()
            to.finish(here.space, here.index)
        equal = read == written + unchanged + len(failed) and _agree(from_, to, failed)
    finally:
        from_.close()
        to.close()
    return Remade(read, written, unchanged, failed, equal)


def _agree(from_: Any, to: Any, failed: dict[str, str]) -> bool:
    """Tell whether the target holds exactly what did not fail, with the same texts and payloads."""
    if _ids(to) != _ids(from_) - set(failed):
        return False
    for page in from_.scan(_ROWS):
        wanted = {i: parts for i, parts in _rows(page.records).items() if i not in failed}
        if _held(to, list(wanted)) != wanted:
            return False
    return True


def _made(
    embedder: Any, ids: list[str], records: dict[str, tuple[str | None, Any]], failed: dict[str, str]
) -> list[Record]:
    texts = [records[i][0] or "" for i in ids]
    made = []
    for record_id, text, vector in zip(ids, texts, embedder.embed_each(texts), strict=True):
        if isinstance(vector, BadRecord) or not text:
            failed[record_id] = vector.what if isinstance(vector, BadRecord) else "it has no text"
        elif isinstance(vector, WherryError):
            raise vector
        else:
            made.append(Record(record_id, vector, text, records[record_id][1]))
    return made


def _held(store: Any, ids: list[str]) -> dict[str, tuple[str | None, Any]]:
    return _rows(store.fetch(pa.array(ids, type=pa.string())).records) if ids else {}


def _rows(batch: pa.RecordBatch) -> dict[str, tuple[str | None, Any]]:
    """Return text and payload by id; the vectors are not looked at."""
    columns = (batch.column(name).to_pylist() for name in ("id", "text", "metadata"))
    return {i: (text, json.loads(payload) if payload else None) for i, text, payload in zip(*columns, strict=True)}


def _ids(store: Any) -> set[str]:
    return {i for page in store.ids() for i in page.to_pylist()}
