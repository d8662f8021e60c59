"""`wherry tune`: trying index settings on a sample, and showing the curve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from wherry import out
from wherry.answering.tune import tune as measure
from wherry.cli.bars import listening
from wherry.cli.words import command, safe, size

if TYPE_CHECKING:
    from rich.console import RenderableType

    from wherry.answering.tune import Tried, Tuning

_FORMS = {"full": "32 bits", "half": "16 bits", "bits": "1 bit, re-ranked"}


def tune(address: str, recall: float, k: int, rows: int, questions: int, apply: bool, json: bool) -> int:
    """Measure, print what was found; 1 where no setting reaches the recall."""
    with listening(json, address) as progress:
        found = measure(address, recall, k, rows=rows, questions=questions, apply=apply, progress=progress)
    if json:
        out.put_json(found.to_dict())
    else:
        out.put_all(shown(found))
    return found.exit_code


def shown(found: Tuning) -> list[RenderableType]:
    """Show a tuning: the verdict, the best of each index, and what to run next."""
    parts: list[RenderableType] = [Text(_verdict(found), style="bold"), _table(found)]
    if found.rows < found.of:
        parts.append(
            f"note: measured on {found.rows:,} of {found.of:,} records; all of them need a larger ef_search for the"
            " same recall, so measure again with more --rows before relying on the last digit"
        )
    parts.append(f"exact search of the sample: {found.exact_ms:.2f} ms; curve: {found.files[-1]}")
    if found.chosen is not None and not found.applied:
        again = ("wherry", "tune", found.address, "--recall", f"{found.wanted:g}", "-k", str(found.k), "--apply")
        parts.append("next: " + command(*again))
    return parts


def _verdict(found: Tuning) -> str:
    if found.chosen is None:
        return f"No setting reaches a recall of {found.wanted:g} on {safe(found.address)}."
    one = found.chosen
    words = f"{_FORMS[one.form]}, m {one.m}, ef_construction {one.ef_construction}, ef_search {one.ef_search}"
    state = "built and in use" if found.applied else "chosen, not built"
    return f"{words}: recall@{found.k} {one.recall:.3f} in {one.ms:.2f} ms; {state}"


def _table(found: Tuning) -> Table:
    """Return the fastest of each index that reaches the recall, else the one that comes nearest to it."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("index", "m", "ef_construction", "ef_search", "recall", "median", "p95", "size", "build"):
        table.add_column(name, no_wrap=True)
    best: dict[tuple[str, int, int], Tried] = {}
    for one in found.tried:
        known = best.get((one.form, one.m, one.ef_construction))
        if known is None or known.recall < found.wanted:
            best[one.form, one.m, one.ef_construction] = one
    for one in best.values():
        numbers = (one.m, one.ef_construction, one.ef_search)
        times = (f"{one.ms:.2f} ms", f"{one.p95_ms:.2f} ms", size(one.bytes), f"{one.build_seconds:.1f} s")
        table.add_row(_FORMS[one.form], *map(str, numbers), f"{one.recall:.3f}", *times)
    return table
