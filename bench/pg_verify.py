"""Bar 4: deep verification against the read rate of the slower side, in equal order and with a tenth of it moved."""

from __future__ import annotations

from pathlib import Path

import wherry
from bench import tables
from bench.measure import Bar, in_turn, per_second
from bench.pg_copy import SOURCE, TARGET, fresh
from wherry.stores.registry import open_source


def run(folder: Path, rows: int, rounds: int) -> list[Bar]:
    """Measure a deep verification beside scans of either side alone."""
    tables.make(SOURCE, rows)
    fresh()
    wherry.sync(f"pgvector:#{SOURCE}", f"pgvector:#{TARGET}")
    one, other, raw, both = in_turn([_scan(SOURCE), _scan(TARGET), lambda: tables.read(TARGET), _verify], rounds)
    slower = [max(pair) for pair in zip(one, other, strict=True)]
    ratios = tuple(s / b for s, b in zip(slower, both, strict=True))
    shown = (
        f"verify {per_second(rows, both)}, scan of a side {per_second(rows, slower)}, "
        f"raw COPY that decodes nothing {per_second(rows, raw)}"
    )
    equal = Bar("4a", "deep verify pg <-> pg / scan of the slower side", 0.8, True, ratios, shown)
    return [equal, _moved(rows, rounds)]


def _moved(rows: int, rounds: int) -> Bar:
    """Measure it again when updates have moved a tenth of the target's rows to its end."""
    with tables.connect() as connection:
        connection.execute(f"UPDATE {TARGET} SET text = text WHERE right(id, 1) = '7'")
        connection.execute(f"VACUUM ANALYZE {TARGET}")
    one, other, both = in_turn([_scan(SOURCE), _scan(TARGET), _verify], rounds)
    ratios = tuple(max(pair) / b for *pair, b in zip(one, other, both, strict=True))
    return Bar("4b", "the same, a tenth of the target moved", 0.4, True, ratios, f"verify {per_second(rows, both)}")


def _scan(table: str):  # type: ignore[no-untyped-def]
    def scan() -> None:
        store = open_source(f"pgvector:#{table}")
        try:
            for page in store.scan():
                # Reading a side means having its records, not only the bytes they came in.
                assert page.records.num_rows
        finally:
            store.close()

    return scan


def _verify() -> None:
    proof = wherry.verify(f"pgvector:#{SOURCE}", f"pgvector:#{TARGET}")
    if proof.verdict != "verified":
        raise RuntimeError("two equal tables were found to differ")
