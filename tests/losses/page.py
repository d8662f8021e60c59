"""Writes docs/losses.md from what the engines claim: `python -m tests.losses.page`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tests.losses.engines import ENGINES, capabilities_of
from wherry.moving.losses import possible
from wherry.space import Metric
from wherry.stores.base import Capabilities

PAGE = Path(__file__).parents[2] / "docs" / "losses.md"
_HEAD = """# What a move can lose

Written by `python -m tests.losses.page` from the capabilities the engines claim. Each pair below is moved there
and back in the tests with records that are hard to hold (ids that look alike, nulls, nested values, integers
beyond 64 bits, -0.0, 25,000 characters of text): whatever did not come back bit for bit stood here, and in what
`wherry plan` said before.

- **lossy**: gone for good; `sync` refuses it without `--accept-losses`.
- **rounding**: vectors differ by at most 1e-6 of their length.
- **kept**: kept exactly beside and comes back; the engine's own filters do not see it.
- **=**: nothing.

Records that an engine cannot hold at all (a longer id than it takes, a zero vector under cosine) go into
quarantine by id; they are never altered to fit.
"""


def written(folder: Path) -> str:
    """Return the text of the page."""
    claims = {engine: capabilities_of(engine, folder, "nobody") for engine in ENGINES}
    return _HEAD + "".join(_matrix(claims, metric) for metric in (Metric.COSINE, Metric.L2)) + _limits(claims)


def _matrix(claims: dict[str, Capabilities], metric: Metric) -> str:
    rows = "".join(
        f"| **{one}** | " + " | ".join(_cell(claims, one, other, metric) for other in ENGINES) + " |\n"
        for one in ENGINES
    )
    head = f"\n## Under {metric}\n\n| from \\ to | " + " | ".join(ENGINES) + " |\n|---" + "|---" * len(ENGINES) + "|\n"
    return head + rows


def _cell(claims: dict[str, Capabilities], one: str, other: str, metric: Metric) -> str:
    if one == other:
        return ""
    losses = possible(claims[one], claims[other], metric)
    return ", ".join(f"{loss.severity}: {loss.code}" for loss in losses) or "="


def _limits(claims: dict[str, Capabilities]) -> str:
    rows = "".join(
        f"| {engine} | {_or(c.max_id_bytes, 'any')} | {_or(c.max_dimension, 'any')} | {_yes(c.zero_vectors)} "
        f"| {_yes(c.nul_in_text)} | {', '.join(sorted(c.filterable)) or 'none'} |\n"
        for engine, c in claims.items()
    )
    return (
        "\n## What an engine holds\n\n| engine | bytes of an id | dimensions | zero vector under cosine "
        "| NUL in text | its filters see |\n|---|---|---|---|---|---|\n" + rows
    )


def _or(value: int | None, word: str) -> str:
    return word if value is None else f"{value:,}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ["WHERRY_HOME"] = folder
        PAGE.write_text(written(Path(folder)), encoding="utf-8")
