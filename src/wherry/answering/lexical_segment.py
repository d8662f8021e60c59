"""Part of the words of a collection as files that are mapped, never loaded: written once, never changed.

tokens.npy    uint64, sorted          rows.arrow   id, digest, metadata of each record
starts.npy    int64, one more         lengths.npy  int32, (records, families)
records.npy   uint32, by token        halves.npy   uint8, by token
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from wherry.errors import JournalCorrupt
from wherry.stores.lexical import Bags

_ARRAYS = ("tokens", "starts", "records", "halves", "lengths")


@dataclass(frozen=True)
class Segment:
    """Some records by their tokens.

    tokens: uint64, sorted. starts: int64, where the postings of each token begin. records: uint32, rows that hold
    it, ascending. halves: uint8. lengths: int32, shape (rows, families). rows: id, digest and metadata.
    """

    name: str
    tokens: np.ndarray
    starts: np.ndarray
    records: np.ndarray
    halves: np.ndarray
    lengths: np.ndarray
    rows: pa.Table

    def __len__(self) -> int:
        return self.rows.num_rows

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The row of each id."""
        return {name: row for row, name in enumerate(self.rows.column("id").to_pylist())}

    def spans(self, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where the postings of each token begin and end; an empty span for one that is not here."""
        at = np.searchsorted(self.tokens, tokens)
        here = at < len(self.tokens)
        here[here] = self.tokens[at[here]] == tokens[here]
        at = np.where(here, at, 0)
        begin = np.where(here, self.starts[at], 0) if len(self.tokens) else np.zeros(len(tokens), dtype=np.int64)
        end = np.where(here, self.starts[at + 1], 0) if len(self.tokens) else begin
        return begin, end

    def write(self, folder: Path) -> None:
        """Write the files; they count once a manifest names them."""
        folder.mkdir(parents=True)
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name))
        with pa.OSFile(str(folder / "rows.arrow"), "wb") as sink, pa.ipc.new_file(sink, self.rows.schema) as writer:
            writer.write_table(self.rows)


def read(folder: Path) -> Segment:
    """Map the files of a segment. Raises JournalCorrupt when they are not whole."""
    try:
        # Plain views: numpy's own class of mapped arrays makes every slice slow.
        arrays = [
            np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False).view(np.ndarray) for name in _ARRAYS
        ]
        rows = pa.ipc.open_file(pa.memory_map(str(folder / "rows.arrow"))).read_all()
    except (OSError, ValueError, pa.ArrowInvalid) as error:
        raise JournalCorrupt(
            f"the words of a collection cannot be read: {type(error).__name__}",
            where=str(folder),
            left="the collection itself is not touched",
            next="remove the folder and run `wherry lexicon build` again",
        ) from None
    return Segment(folder.name, *arrays, rows=rows)


def of_bags(name: str, bags: Bags) -> Segment:
    """Turn bags, by record, into a segment, by token."""
    sizes = np.diff(bags.starts)
    owners = np.repeat(np.arange(len(bags), dtype=np.uint32), sizes)
    rows = pa.table(
        {
            "id": pa.array(bags.ids, type=pa.string()),
            "digest": pa.array(bags.digests, type=pa.uint64()),
            "metadata": pa.array(bags.metadata, type=pa.string()),
        }
    )
    return _by_token(name, bags.tokens, owners, bags.halves, bags.lengths, rows)


def merged(name: str, parts: Sequence[tuple[Segment, np.ndarray]]) -> Segment:
    """Join segments into one, leaving out what is dead. parts: each with bool, shape (rows,), what lives."""
    tokens, owners, halves, lengths, rows = [], [], [], [], []
    offset = 0
    for segment, alive in parts:
        renumbered = np.cumsum(alive) - 1 + offset
        records = np.asarray(segment.records)
        kept = alive[records]
        tokens.append(np.repeat(np.asarray(segment.tokens), np.diff(segment.starts))[kept])
        owners.append(renumbered[records[kept]].astype(np.uint32))
        halves.append(np.asarray(segment.halves)[kept])
        lengths.append(np.asarray(segment.lengths)[alive])
        rows.append(segment.rows.filter(pa.array(alive)))
        offset += int(alive.sum())
    joined = [np.concatenate(column) for column in (tokens, owners, halves, lengths)]
    return _by_token(name, *joined, rows=pa.concat_tables(rows).combine_chunks())


def _by_token(
    name: str, tokens: np.ndarray, owners: np.ndarray, halves: np.ndarray, lengths: np.ndarray, rows: pa.Table
) -> Segment:
    order = np.lexsort((owners, tokens))
    ordered = tokens[order]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(ordered) else np.zeros(0, int)
    starts = np.append(first, len(ordered)).astype(np.int64)
    return Segment(name, ordered[first], starts, owners[order], halves[order], lengths, rows)
