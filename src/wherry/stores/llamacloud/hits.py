"""From what the service retrieves to hits."""

from __future__ import annotations

from typing import Any

from wherry.errors import Rejected
from wherry.stores.base import Hit
from wherry.stores.llamacloud.chunks import rows_of


def hit_of(found: dict[str, Any], where: str) -> Hit:
    """Return a node with its score as a hit. Raises Rejected for one without a score."""
    node, score = found.get("node"), found.get("score")
    if not isinstance(node, dict) or isinstance(score, bool) or not isinstance(score, int | float):
        raise Rejected("the service found a chunk and gave no score for it", where=where)
    [row] = rows_of("", [node], ())
    return Hit(row.id, float(score), 1.0 - float(score), row.text, row.metadata)


__all__ = ["hit_of"]
