"""What an index run would do and cost, before anything is spent. Reads documents, embeds nothing, writes nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from wherry.address import Address
from wherry.errors import WherryError
from wherry.indexing import cache, fingerprints
from wherry.indexing.base import Chunker
from wherry.indexing.diff import Known, compare
from wherry.indexing.manifest import Manifest, Standing, look
from wherry.indexing.model import Model, Wish
from wherry.indexing.opening import Choice, Documents, chunker_of, sources_of
from wherry.indexing.place import Place, place_of
from wherry.indexing.preparing import prepare
from wherry.indexing.scan import Scan, scan
from wherry.models.base import Usage
from wherry.postgres.database import Database

_GROUP_CHUNKS = 2048
_PACE = """
SELECT sum((statistics->>'chunks_embedded')::float), sum(extract(epoch FROM ended_at - started_at))::float
FROM wherry.runs WHERE "index" = $1 AND state = 'done' AND (statistics->>'chunks_embedded')::bigint > 0
"""


@dataclass(frozen=True)
class IndexPlan:
    """What a run would do.

    new, changed, unchanged, deleted, failed: documents; a renamed one counts as changed. chunks: of the new and
    changed ones; to_embed: texts that were never paid for. tokens, cost (US dollars): estimates, cost None where
    no price is known. minutes: by the pace of earlier runs of this index, None where there was none.
    """

    into: str
    embedder: str
    new: int
    changed: int
    unchanged: int
    deleted: int
    failed: int
    chunks: int
    to_embed: int
    tokens: int
    cost: float | None
    minutes: float | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as a JSON object."""
        return asdict(self)


@dataclass
class _Sums:
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    failed: int = 0
    chunks: int = 0
    to_embed: int = 0
    tokens: int = 0
    cost: float | None = 0.0

    def pay(self, usage: Usage) -> None:
        """Add what some texts would take."""
        self.tokens += usage.tokens_in
        self.cost = None if self.cost is None or usage.cost is None else self.cost + usage.cost


def plan(
    documents: Documents,
    into: str | os.PathLike[str] | Address,
    *,
    embedder: Wish = None,
    chunker: str | Chunker | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> IndexPlan:
    """Work out what `index` would do with the same arguments. Raises what opening and listing raise."""
    place = place_of(into if isinstance(into, Address) else os.fspath(into))
    scans = [scan(one.source) for one in sources_of(documents, Choice(tuple(include), tuple(exclude)))]
    standing = look(place.database, place.target, [one.source.name for one in scans]) or Standing()
    model = Model(embedder, standing.live, place.target.shown)
    try:
        model.require_same()
        sums, seen = _Sums(), set[bytes]()
        for one in scans:
            row = standing.sources.get(one.source.name)
            _Planned(place, standing, model, one, chunker_of(chunker, row, one.source)[0], sums, seen).go()
        notes = tuple(f"{one.source.name} could not be listed to its end" for one in scans if not one.complete)
        minutes = _minutes(place.database, standing, sums.to_embed)
        return IndexPlan(place.target.shown, model.spec, **asdict(sums), minutes=minutes, notes=notes)
    finally:
        model.close()
        place.close()


class _Planned:
    """One source within a plan."""

    def __init__(
        self, place: Place, standing: Standing, model: Model, one: Scan, chunker: Chunker, sums: _Sums, seen: set[bytes]
    ) -> None:
        self.place, self.standing, self.model, self.scan = place, standing, model, one
        self.chunker, self.sums, self.seen = chunker, sums, seen
        self.recipe = fingerprints.recipe_fp(one.source.parser, chunker.identity)
        self._texts: dict[bytes, str] = {}
        # Documents the source no longer has, by their content: a new one that equals one of them was renamed.
        self._gone: dict[bytes, list[Known]] = {}

    def go(self) -> None:
        """Add up what the source needs."""
        known = self._known()
        for item in self.scan.listed:
            if item.id not in known:
                self.sums.unchanged += 1
                continue
            try:
                data = item.bytes()
                stood = known[item.id] or self._renamed_from(data)
                if stood is not None and stood.id == item.id and self._same(stood, data):
                    self.sums.unchanged += 1
                    continue
                document = prepare(self.scan.source.name, self.chunker, self.recipe, item, data, None, b"")
            except (OSError, WherryError):
                self.sums.failed += 1
                continue
            change = compare(document, stood)
            self.sums.new += change.kind == "new"
            self.sums.unchanged += change.kind == "unchanged"
            self.sums.changed += change.kind not in ("new", "unchanged")
            self.sums.chunks += len(document.pieces)
            self._texts |= {piece.fp: piece.text for piece in change.pieces if piece.fp not in self.seen}
            if len(self._texts) >= _GROUP_CHUNKS:
                self._price()
        self._price()

    def _renamed_from(self, data: bytes) -> Known | None:
        names = self._gone.get(fingerprints.source_fp(data))
        if not names:
            return None
        self.sums.deleted -= 1
        return names.pop(0)

    def _same(self, stood: Known, data: bytes) -> bool:
        return stood.source_fp == fingerprints.source_fp(data) and stood.recipe_fp == self.recipe

    def _known(self) -> dict[str, Known | None]:
        """Return what stands of every document that would be read; None for one that is new."""
        listed = [(item.id, item.stamp) for item in self.scan.listed]
        if self.standing.index is None or self.standing.live is None:
            return {name: None for name, _ in listed}
        mine = Manifest(self.standing.index, self.standing.live.number, self.scan.source.name)
        found = mine.differences(self.place.database, listed, self.recipe)
        if self.scan.deletes:
            gone = mine.known(self.place.database, [d.id for d in found if not d.listed])
            self.sums.deleted += len(gone)
            for one in gone.values():
                self._gone.setdefault(one.source_fp or b"", []).append(one)
        names = [d.id for d in found if d.listed]
        stood = mine.known(self.place.database, names)
        return {name: stood.get(name) for name in names}

    def _price(self) -> None:
        """Add what the texts collected so far would take, less those that were paid for."""
        texts, self._texts = self._texts, {}
        self.seen |= texts.keys()
        if self.standing.live is not None:
            keys = {fingerprints.embed_fp(key, self.model.settings): key for key in texts}
            for paid in cache.have(self.place.database, list(keys)):
                del texts[keys[paid]]
        if texts:
            self.sums.to_embed += len(texts)
            self.sums.pay(self.model.embedder.estimate(list(texts.values())))


def _minutes(database: Database, standing: Standing, texts: int) -> float | None:
    if not texts or standing.index is None:
        return 0.0 if not texts else None
    embedded, seconds = database.ask(_PACE, [standing.index])[0]
    return round(texts * seconds / embedded / 60, 3) if embedded and seconds else None
