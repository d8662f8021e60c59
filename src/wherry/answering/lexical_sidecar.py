"""The words of a collection beside it: files under the state folder, for every engine.

    lexicon/<collection>/manifest.json      which segments count, and what was recorded
    lexicon/<collection>/<segment>/         see lexical_segment
    lexicon/<collection>/dead-<segment>.npy which of its records were replaced or forgotten

A change writes new files and then replaces the manifest in one step: a crash leaves the old state, and files
that no manifest names are removed by the next change. Without a folder everything stays in memory.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from wherry.answering import lexical_segment as segments
from wherry.answering.lexical_segment import Segment
from wherry.errors import JournalCorrupt
from wherry.stores.lexical import (
    FAMILIES,
    Bags,
    Lexicon,
    Query,
    Ranked,
    Statistics,
    families,
    idf,
    weighed,
)  # fmt: skip
from wherry.where import Where, decode, matches

_FORMAT = 1
MANIFEST = "manifest.json"
# More segments than this are joined: each costs a search a few microseconds per token.
_MOST_SEGMENTS = 8
_GROUP_ROWS = 4096
_UNKNOWN, _MOST_CONDITIONS = -1, 64


@dataclass
class _Part:
    """A segment and which of its rows still count."""

    segment: Segment
    alive: np.ndarray
    dead_file: str = ""
    all_alive: bool = True

    def without(self, rows: Sequence[int]) -> _Part:
        alive = self.alive.copy()
        alive[list(rows)] = False
        return _Part(self.segment, alive, "", all_alive=False)


@dataclass
class _Held:
    """What counts at one moment; a search works on one of these while another is being made."""

    parts: list[_Part] = field(default_factory=list)
    state: Lexicon | None = None

    def statistics(self) -> Statistics:
        totals, count = np.zeros(FAMILIES), 0
        for part in self.parts:
            totals += part.segment.lengths[part.alive].sum(axis=0, dtype=np.float64)
            count += int(part.alive.sum())
        return Statistics(count, totals)


class Sidecar:
    """The words of one collection in files, or in memory when `folder` is None."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._held = self._kept = _Held()
        self._statistics: Statistics | None = None
        self._conditions = _Conditions()
        if folder is not None:
            self._held = _read(folder)

    @property
    def place(self) -> str:
        """Where the words are kept, fit to print."""
        return "this process" if self.folder is None else str(self.folder)

    def state(self) -> Lexicon | None:
        """Return what was recorded, None when nothing was built yet."""
        return self._held.state

    def statistics(self) -> Statistics:
        """Return the statistics of every record that counts."""
        if self._statistics is None:
            self._statistics = self._held.statistics()
        return self._statistics

    def search(self, query: Query, k: int, where: Where | None = None) -> list[Ranked]:
        """Return the k best records that hold at least one of the tokens, best first, ties by id."""
        held, statistics = self._held, self.statistics()
        if k < 1 or not len(query.tokens) or not statistics.count:
            return []
        worth = idf(statistics.count, _frequencies(held, query.tokens)) * query.weights
        means = statistics.means[families(query.tokens)]
        scored = [(part, _scores(part, query.tokens, worth, means)) for part in held.parts]
        return _best(scored, k, where, self._conditions)

    def frequencies(self, tokens: np.ndarray) -> np.ndarray:
        """Return in how many records each token occurs: int64."""
        return _frequencies(self._held, tokens)

    def known(self) -> Iterator[tuple[list[str], np.ndarray]]:
        """Yield the ids held and the digest of each, some thousands at a time."""
        for part in self._held.parts:
            alive = np.flatnonzero(part.alive)
            for start in range(0, len(alive), _GROUP_ROWS):
                rows = part.segment.rows.take(alive[start : start + _GROUP_ROWS])
                yield rows.column("id").to_pylist(), rows.column("digest").to_numpy()

    def clear(self) -> None:
        """Forget every record."""
        self._replace([])

    def update(self, bags: Bags) -> None:
        """Hold these records; what was held under their ids is replaced."""
        if len(bags):
            made = segments.of_bags(uuid4().hex[:12], bags)
            self._replace([*self._without(bags.ids), _Part(made, np.ones(len(made), dtype=bool))])

    def forget(self, ids: Sequence[str]) -> None:
        """Forget some records; unknown ids are ignored."""
        self._replace(self._without(ids))

    def _without(self, ids: Sequence[str]) -> list[_Part]:
        """Return the parts without some records: new ones, because searches are working on the old ones."""
        parts = []
        for part in self._held.parts:
            numbers = part.segment.numbers
            rows = [row for name in ids if (row := numbers.get(name)) is not None and part.alive[row]]
            parts.append(part.without(rows) if rows else part)
        return parts

    def keep(self, state: Lexicon) -> None:
        """Make what was changed durable, and record what it was made of."""
        with self._lock:
            parts = [part for part in self._held.parts if part.alive.any()]
            if len(parts) > _MOST_SEGMENTS or any(part.alive.mean() < 0.5 for part in parts):
                joined = segments.merged(uuid4().hex[:12], [(part.segment, part.alive) for part in parts])
                parts = [_Part(joined, np.ones(len(joined), dtype=bool))]
            if self.folder is not None:
                _write(self.folder, parts, state)
            self._held = self._kept = _Held(parts, state)
            self._statistics = None

    def abandon(self) -> None:
        """Go back to what was kept last, by whoever kept it."""
        self._held, self._statistics = self._kept if self.folder is None else _read(self.folder), None

    def close(self) -> None:
        """Let go of the files."""
        self._held, self._statistics = _Held(), None

    def _replace(self, parts: list[_Part]) -> None:
        self._held, self._statistics = _Held(parts, self._held.state), None


def _frequencies(held: _Held, tokens: np.ndarray) -> np.ndarray:
    found = np.zeros(len(tokens), dtype=np.int64)
    for part in held.parts:
        begin, end = part.segment.spans(tokens)
        if part.all_alive:
            found += end - begin
        else:
            found += [int(part.alive[part.segment.records[b:e]].sum()) for b, e in zip(begin, end, strict=True)]
    return found


def _scores(part: _Part, tokens: np.ndarray, worth: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Return BM25 of every row of a segment: float64, shape (rows,), zero where nothing fits."""
    segment = part.segment
    begin, end = segment.spans(tokens)
    scores = np.zeros(len(segment))
    kinds = families(tokens)
    for position in np.flatnonzero(end > begin).tolist():
        span = slice(int(begin[position]), int(end[position]))
        rows = segment.records[span]
        counted = weighed(segment.halves[span], segment.lengths[rows, kinds[position]], means[position])
        scores[rows] += worth[position] * counted
    scores[~part.alive] = 0
    return scores


class _Conditions:
    """Which records satisfy which conditions, as far as anybody asked: metadata is decoded once per condition."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], np.ndarray] = {}
        self._lock = threading.Lock()

    def fitting(self, segment: Segment, rows: np.ndarray, where: Where) -> np.ndarray:
        """Return for some rows of a segment whether they satisfy a condition: bool."""
        known = self._of(segment, where)
        unknown = rows[known[rows] == _UNKNOWN]
        if len(unknown):
            texts = segment.rows.column("metadata").take(unknown).to_pylist()
            known[unknown] = [matches(where, decode(text)) for text in texts]
        return known[rows] == 1

    def _of(self, segment: Segment, where: Where) -> np.ndarray:
        name = (segment.name, repr(where))
        with self._lock:
            # The one that was asked last goes to the end; the one that was not for longest goes first.
            known = self._known.pop(name, None)
            if known is None:
                known = np.full(len(segment), _UNKNOWN, dtype=np.int8)
                while len(self._known) >= _MOST_CONDITIONS:
                    self._known.pop(next(iter(self._known)))
            self._known[name] = known
            return known


def _best(
    scored: Sequence[tuple[_Part, np.ndarray]], k: int, where: Where | None, conditions: _Conditions
) -> list[Ranked]:
    """Return the k best rows of all segments that satisfy a condition, best first, ties by id."""
    everything = np.concatenate([scores for _, scores in scored]) if scored else np.zeros(0)
    starts = np.cumsum([0, *(len(scores) for _, scores in scored)])
    left, found = np.flatnonzero(everything > 0), list[Ranked]()
    room = k
    while len(left) and len(found) < k:
        # Everything that ties with the last one is taken too, so that the id decides.
        chosen = _top(everything, left, room)
        for number, (part, _) in enumerate(scored):
            rows = chosen[(chosen >= starts[number]) & (chosen < starts[number + 1])] - starts[number]
            if where is not None:
                rows = rows[conditions.fitting(part.segment, rows, where)]
            names = part.segment.rows.column("id").take(rows).to_pylist() if len(rows) else []
            found += [Ranked(n, float(everything[starts[number] + r])) for n, r in zip(names, rows, strict=True)]
        if len(found) < k:
            left = np.setdiff1d(left, chosen, assume_unique=True)
        room *= 4
    return sorted(found, key=lambda hit: (-hit.score, hit.id))[:k]


def _top(scores: np.ndarray, left: np.ndarray, room: int) -> np.ndarray:
    """Return those rows of some whose score is among the `room` highest, with all that tie for the last place."""
    if len(left) <= room:
        return left
    values = scores[left]
    least = np.partition(values, len(values) - room)[len(values) - room]
    return left[values >= least]


def _read(folder: Path) -> _Held:
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != _FORMAT:
            return _Held()
        parts = [_read_part(folder, entry) for entry in manifest["segments"]]
        state = manifest["state"]
        lexicon = Lexicon(state["tokenizer"], state["mark"], tuple(state["census"]), state["notes"])
    except FileNotFoundError:
        return _Held()
    except (ValueError, KeyError, TypeError) as error:
        raise JournalCorrupt(
            f"the words of a collection cannot be read: {type(error).__name__}",
            where=str(folder),
            left="the collection itself is not touched",
            next="remove the folder and run `wherry lexicon build` again",
        ) from None
    return _Held(parts, lexicon)


def _read_part(folder: Path, entry: dict[str, str]) -> _Part:
    segment = segments.read(folder / entry["name"])
    if not entry["dead"]:
        return _Part(segment, np.ones(len(segment), dtype=bool))
    dead = np.load(folder / entry["dead"], allow_pickle=False)
    return _Part(segment, ~dead, entry["dead"], all_alive=False)


def _write(folder: Path, parts: list[_Part], state: Lexicon) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part in parts:
        if not (folder / part.segment.name).exists():
            part.segment.write(folder / part.segment.name)
        if not part.all_alive and not part.dead_file:
            part.dead_file = f"dead-{part.segment.name}-{uuid4().hex[:6]}.npy"
            np.save(folder / part.dead_file, ~part.alive)
    recorded = {"tokenizer": state.tokenizer, "mark": state.mark, "census": state.census, "notes": dict(state.notes)}
    listed = [{"name": part.segment.name, "dead": part.dead_file} for part in parts]
    text = json.dumps({"format": _FORMAT, "state": recorded, "segments": listed}, ensure_ascii=False)
    replace_file(folder / MANIFEST, text)
    _sweep(folder, {name for entry in listed for name in entry.values()})


def replace_file(path: Path, text: str) -> None:
    """Write a file so that readers find the old one or the new one, whole."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def _sweep(folder: Path, named: set[str]) -> None:
    """Remove what no manifest names; whoever has it mapped keeps it until they are done."""
    for entry in folder.iterdir():
        if entry.name in named or entry.name == MANIFEST:
            continue
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
