"""From an export to what is stored: vectors copied where the model of the questions made them, else made anew."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import wherry
from wherry_apps.checkup.checks import Checked, stored_metadata
from wherry_apps.checkup.exports import Export, Item
from wherry_apps.checkup.places import Places

_AT_ONCE = 64
Heard = Callable[[int, int], None]


@dataclass(frozen=True)
class Prepared:
    """What was prepared. copied: whether the vectors are the export's own. embedded: texts a model was asked for."""

    copied: bool
    items: int
    embedded: int
    space: wherry.Space
    why: str


def silent(done: int, total: int) -> None:
    """Hear nothing."""


def prepare(places: Places, export: Export, checked: Checked, heard: Heard = silent) -> Prepared:
    """Write what is to be stored into a file with checksums. What a model was paid for is kept and asked once.

    Raises what the model raises; run again, it goes on behind the last texts that were embedded.
    """
    model = wherry.open_embedder(places.config.embedder)
    try:
        space = model.space()
        why = _why_anew(places, checked, space)
        places.prepared.unlink(missing_ok=True)
        if not why:
            records = (_record(item, item.vector or ()) for item in export.items)
            count = wherry.put(records, str(places.prepared), space)
            return Prepared(True, count, 0, space, "the model of the questions made these vectors")
        kept = _Kept(places.prepared.with_name("vectors.sqlite3"), model, space)
        with closing(kept):
            count = wherry.put(kept.records(export.items, heard), str(places.prepared), space)
        return Prepared(False, count, kept.asked, space, why)
    finally:
        model.close()


def _why_anew(places: Places, checked: Checked, space: wherry.Space) -> str:
    """Say why the vectors cannot be copied, empty where they can."""
    maker = places.config.made_by or checked.made_by
    if checked.without_vector:
        return f"{checked.without_vector:,} of {checked.documents:,} items have no vector"
    if maker is None:
        return "nobody says which model made the vectors"
    if _plain(maker) != _plain(places.config.embedder):
        return f"{_plain(maker)} made the vectors, {_plain(places.config.embedder)} embeds the questions"
    if checked.dimension != space.dimension:
        return f"the vectors have {checked.dimension} components, those of {places.config.embedder} {space.dimension}"
    return ""


def _plain(spec: str) -> str:
    """Return provider and model of a spec, without its options."""
    return spec.partition("?")[0].strip().lower()


def _record(item: Item, vector: Sequence[float]) -> wherry.Record:
    return wherry.Record(item.id, vector, item.text, stored_metadata(item))


class _Kept:
    """Vectors that a model was asked for, by model and text; written down batch by batch."""

    def __init__(self, path: Path, model: wherry.Embedder, space: wherry.Space) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file, self._model, self._space = sqlite3.connect(path), model, space
        self._file.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL)")
        self.asked = 0

    def records(self, items: Sequence[Item], heard: Heard) -> Iterator[wherry.Record]:
        """Yield every item with its vector."""
        for start in range(0, len(items), _AT_ONCE):
            part = items[start : start + _AT_ONCE]
            for item, vector in zip(part, self._vectors([item.text for item in part]), strict=True):
                yield _record(item, vector.tolist())
            heard(start + len(part), len(items))

    def _vectors(self, texts: list[str]) -> list[np.ndarray]:
        keys = [self._key(text) for text in texts]
        known = {key: self._known(key) for key in keys}
        lacking = {key: text for key, text in zip(keys, texts, strict=True) if known[key] is None}
        if lacking:
            made = self._model.embed(list(lacking.values()))
            with self._file:
                rows = [(k, v.astype("<f4").tobytes()) for k, v in zip(lacking, made, strict=True)]
                self._file.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
            known |= dict(zip(lacking, made, strict=True))
            self.asked += len(lacking)
        return [found for key in keys if (found := known[key]) is not None]

    def _known(self, key: bytes) -> np.ndarray | None:
        row = self._file.execute("SELECT vector FROM vectors WHERE key = ?", [key]).fetchone()
        return None if row is None else np.frombuffer(row[0], dtype="<f4")

    def _key(self, text: str) -> bytes:
        card = f"{self._model.spec}\n{self._space.dimension}\n{self._space.model_digest}\n{text}"
        return hashlib.sha256(card.encode()).digest()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
