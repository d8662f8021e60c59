"""When a watch has seen enough: `error_rate>1% or p95>2x`, compared with what readers saw before the switch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from wherry.errors import Usage

QUANTITIES = ("error_rate", "p50", "p95", "p99", "overlap", "shadow_error_rate", "disk", "memory")
_PART = re.compile(r"\s*([a-z_0-9]+)\s*([<>])\s*([0-9]*\.?[0-9]+)\s*(%|x|ms|s)?\s*")
_SCALES = {"%": 0.01, "ms": 0.001, "s": 1.0, "": 1.0, "x": 1.0}


@dataclass(frozen=True)
class Condition:
    """One comparison. relative: the limit is a multiple of what was seen before the switch."""

    quantity: str
    above: bool
    limit: float
    relative: bool
    words: str

    def broken(self, seen: Mapping[str, float | None], before: Mapping[str, float | None]) -> str | None:
        """Say how it is broken, None when it is not or when there is nothing to compare."""
        value, base = seen.get(self.quantity), before.get(self.quantity)
        if value is None or (self.relative and base is None):
            return None
        limit = self.limit * (base or 0.0) if self.relative else self.limit
        if (value > limit) if self.above else (value < limit):
            beside = f", {base:.4g} before" if self.relative and base is not None else ""
            return f"{self.words}: {self.quantity} is {value:.4g}{beside}"
        return None


def parse(text: str) -> tuple[Condition, ...]:
    """Return the comparisons of a line, joined by `or`. Raises Usage, naming the part that cannot be read."""
    return tuple(_part(part) for part in re.split(r"\s+or\s+", text.strip()) if part)


def _part(text: str) -> Condition:
    found = _PART.fullmatch(text)
    if found is None or found[1] not in QUANTITIES:
        raise Usage(
            f"{text!r} is no condition",
            where="--rollback-if",
            next=f"write for example 'error_rate>1% or p95>2x'; known are {', '.join(QUANTITIES)}",
        )
    unit = found[4] or ""
    return Condition(found[1], found[2] == ">", float(found[3]) * _SCALES[unit], unit == "x", text.strip())
