"""Which row of a staging holds which record, and whether that record still counts.

Rows are numbered through the live generation and the segments laid over it. Which rows a new segment replaces is
looked up when somebody has to know: a first copy, whose ids are all new, needs no map of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wherry.stores.faiss.generation import Generation
from wherry.stores.faiss.idmap import IdMap, hashes
from wherry.stores.faiss.log import Frame

LATEST = 4


@dataclass(frozen=True)
class Segment:
    """Records of one frame, and their first row."""

    first: int
    frame: Frame

    @property
    def end(self) -> int:
        """The row after the last."""
        return self.first + self.frame.rows


class Rows:
    """The rows of one staging; for one thread at a time. Of two that count and hold one id, the later is meant."""

    def __init__(self, base: Generation | None, words: Callable[[Segment], pa.RecordBatch]) -> None:
        """Begin with the rows of a generation. words: returns the ids, and more, of a segment."""
        self.base, self._words = base, words
        self.base_rows = base.rows if base is not None else 0
        self.segments: list[Segment] = []
        # Of the first segments only: what those after replace was not looked up yet.
        self._map, self._mapped, self._settled = IdMap(), 0, 0
        self._live = np.ones(self.base_rows + 1024, dtype=bool)
        self.dead = 0

    @property
    def end(self) -> int:
        """The row after the last."""
        return self.segments[-1].end if self.segments else self.base_rows

    def add(self, frame: Frame) -> None:
        """Add the records of a frame; they count, and so do those they replace until that is looked up."""
        segment = Segment(self.end, frame)
        if segment.end > len(self._live):
            grown = np.ones(2 * segment.end, dtype=bool)
            grown[: segment.first] = self.living(0, segment.first)
            self._live = grown
        self.segments.append(segment)

    def living(self, start: int, stop: int) -> np.ndarray:
        """Return which of some rows count, bool (stop - start)."""
        return self._live[start:stop]

    def delete(self, ids: pa.Array) -> None:
        """Let no row of some ids count any more."""
        self._look_up()
        self._bury(self._on_map(ids, hashes(ids)))

    def _bury(self, rows: np.ndarray) -> None:
        self._live[rows] = False
        self.dead += len(rows)

    def _look_up(self) -> None:
        """Bury what is replaced by segments that were not looked up yet, and put those on the map."""
        for segment in self.segments[self._mapped :]:
            ids = self._words(segment).column(0)
            keys = hashes(ids)
            self._bury(self._on_map(ids, keys))
            self._map.add(keys, segment.first)
            self._mapped += 1

    def find(self, ids: pa.Array) -> np.ndarray:
        """Return the rows of some ids, ascending."""
        rows = self._among_latest(ids)
        if rows is not None:
            return rows
        self._look_up()
        return self._on_map(ids, hashes(ids))

    def _among_latest(self, ids: pa.Array) -> np.ndarray | None:
        """Return the rows of ids that are all in the last segments: what was just written is read back at once."""
        rows = [np.empty(0, dtype=np.int64)]
        for segment in reversed(self.segments[max(self._mapped, len(self.segments) - LATEST) :]):
            if not len(ids):
                break
            held = self._words(segment).column(0)
            there = pc.is_in(held, value_set=ids).to_numpy(zero_copy_only=False)
            there = there & self.living(segment.first, segment.end)
            rows.append(np.flatnonzero(there) + segment.first)
            ids = ids.filter(pc.invert(pc.is_in(ids, value_set=held.filter(pa.array(there)))))
        return np.sort(np.concatenate(rows)) if not len(ids) else None

    def _on_map(self, ids: pa.Array, keys: np.ndarray) -> np.ndarray:
        """Return the rows of some ids in the generation and in what was looked up, ascending."""
        staged = self._map.find(ids, keys, self._ids_at, self._live)
        if self.base is None or len(staged) == len(ids):
            return staged
        return np.concatenate([self.base.find(ids, keys, self._live), staged])

    def _ids_at(self, rows: np.ndarray) -> pa.Array:
        parts = [self._words(s).column(0).take(pa.array(part)) for s, part in split(self.segments, rows)]
        return pa.concat_arrays(parts)

    def settle(self) -> None:
        """See to it that no two rows that count hold one id."""
        if max(self._mapped, self._settled) < len(self.segments):
            # Where a map is there or has to be made, asking it is all the work; a first copy hardly ever needs one.
            if self.base is not None or self._mapped or self._has_repeats():
                self._look_up()
            self._settled = len(self.segments)

    def _has_repeats(self) -> bool:
        keys, at = np.empty(self.end - self.dead, dtype=np.uint64), 0
        for ids in self.ids(self.segments, self._live):
            keys[at : at + len(ids)] = hashes(ids)
            at += len(ids)
        keys.sort()
        return bool((keys[1:] == keys[:-1]).any())

    def ids(self, segments: list[Segment], live: np.ndarray) -> Iterator[pa.Array]:
        """Yield the ids of the generation and of some segments, as far as their rows are in `live`, bool by row."""
        for start, ids in self.base.ids() if self.base is not None else ():
            yield ids.filter(pa.array(live[start : start + len(ids)]))
        for segment in segments:
            yield self._words(segment).column(0).filter(pa.array(live[segment.first : segment.end]))


def split(segments: list[Segment], rows: np.ndarray) -> Iterator[tuple[Segment, np.ndarray]]:
    """Yield each segment with those of `rows` that are in it, counted within it; `rows` ascend."""
    starts = np.array([segment.first for segment in segments])
    at = np.searchsorted(starts, rows, side="right") - 1
    for number in np.unique(at).tolist():
        yield segments[number], rows[at == number] - segments[number].first
