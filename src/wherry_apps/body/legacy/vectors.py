"""Vectors of earlier programs: one column for all, or texts; each goes into the column of its length."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from wherry_apps.body.legacy.catalog import Look

FORMER = "embedding"
_WANTED = {"embedding_1536": 1536, "embedding_1024": 1024}
_BATCH = 200
# What earlier programs made their vectors of 1,536 components with; of shorter ones nobody knows.
_MAKER = {"provider": "openai", "model": "text-embedding-3-small", "normalised": True, "text_sha256": None}


@dataclass(frozen=True)
class Unread:
    """A vector that could not be read. report: its id."""

    report: int
    column: str
    why: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


def move_vectors(look: Look) -> list[Unread]:
    """Bring every vector of `analysis_reports` into the column of its length; return those that cannot be read."""
    unread: list[Unread] = []
    held = look.columns("analysis_reports")
    wrong = [name for name, n in _WANTED.items() if name in held and held[name].type != f"vector({n})"]
    for name in wrong:
        look.run(f"ALTER TABLE analysis_reports RENAME COLUMN {name} TO former_{name}")
    sources = [f"former_{name}" for name in wrong] + ([FORMER] if FORMER in held else [])
    if not sources:
        return []
    for name, n in _WANTED.items():
        look.run(f"ALTER TABLE analysis_reports ADD COLUMN IF NOT EXISTS {name} vector({n})")
    for source in sources:
        unread += _moved(look, source)
        look.run(f"ALTER TABLE analysis_reports DROP COLUMN {source}")
        look.changes.append(f"analysis_reports.{source.removeprefix('former_')} went into the column of its length")
    _note_makers(look)
    return unread


def _moved(look: Look, source: str) -> list[Unread]:
    shown = source.removeprefix("former_")
    unread: list[Unread] = []
    for report, written in _read(look, source):
        vector = _vector(written)
        target = next((name for name, n in _WANTED.items() if vector and len(vector) == n), None)
        if vector is None or target is None:
            why = "is no list of finite numbers" if vector is None else f"has {len(vector)} components"
            unread.append(Unread(report, shown, why))
            continue
        look.run(
            f"UPDATE analysis_reports SET {target} = CAST(:v AS vector) WHERE id = :id AND {target} IS NULL",
            v=json.dumps(vector),
            id=report,
        )
    return unread


def _read(look: Look, source: str) -> Iterator[tuple[int, str]]:
    """Yield report and vector as text, a batch at a time: they are large."""
    after = -(2**31)
    while True:
        rows = look.rows(
            f"SELECT id, {source}::text FROM analysis_reports WHERE {source} IS NOT NULL AND id > :after "
            f"ORDER BY id LIMIT {_BATCH}",
            after=after,
        )
        if not rows:
            return
        yield from ((row[0], row[1]) for row in rows)
        after = rows[-1][0]


def _vector(written: str) -> list[float] | None:
    text = written.strip()
    if text.startswith("{") and text.endswith("}"):
        # An array of PostgreSQL.
        text = f"[{text[1:-1]}]"
    try:
        found = json.loads(text)
        found = json.loads(found) if isinstance(found, str) else found
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, list) or not found or not all(_plain(value) for value in found):
        return None
    return [float(value) for value in found]


def _plain(value: Any) -> bool:
    right = isinstance(value, (int, float)) and not isinstance(value, bool)
    return right and math.isfinite(value) and abs(value) < 1e30


def _note_makers(look: Look) -> None:
    look.run("ALTER TABLE analysis_reports ADD COLUMN IF NOT EXISTS embedding_info jsonb DEFAULT '{}'::jsonb")
    look.run(
        "UPDATE analysis_reports SET embedding_info = coalesce(embedding_info, '{}'::jsonb) "
        "|| jsonb_build_object('embedding_1536', CAST(:maker AS jsonb)) "
        "WHERE embedding_1536 IS NOT NULL AND NOT coalesce(embedding_info, '{}'::jsonb) ? 'embedding_1536'",
        maker=json.dumps(_MAKER),
    )
