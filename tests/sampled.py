"""Which calls are struck in a commit, where a campaign strikes every one."""

from __future__ import annotations

from collections.abc import Iterable


def sampled(kinds: Iterable[str], every: int = 12) -> list[int]:
    """Return numbers of calls, from 1: the first and the last of each kind, and every so many between."""
    times: dict[str, list[int]] = {}
    for number, kind in enumerate(kinds, 1):
        times.setdefault(kind, []).append(number)
    return sorted({at for seen in times.values() for at in (*seen[::every], seen[-1])})
