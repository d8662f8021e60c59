"""Which calls are struck in a commit, where a campaign strikes every one."""

from __future__ import annotations

from collections.abc import Iterable

_EVERY = 12


def sampled(kinds: Iterable[str], whole: bool = False) -> list[int]:
    """Return numbers of calls, from 1: the first and the last of each kind, and some between; whole = all of them."""
    times: dict[str, list[int]] = {}
    for number, kind in enumerate(kinds, 1):
        times.setdefault(kind, []).append(number)
    return sorted({at for seen in times.values() for at in (*seen[:: 1 if whole else _EVERY], seen[-1])})
