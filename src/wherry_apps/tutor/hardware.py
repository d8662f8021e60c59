"""Whether this machine can run the local models: memory, graphics card, the tier of the plan, which model fits."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import wherry

MODELS = ("ollama:llama3.1:8b", "ollama:llama3.2:3b", "ollama:qwen2.5:7b")
_GIB = 1 << 30
# A card or a machine says a little less than is written on it.
_NEARLY = 0.93
_NUMBER = re.compile(r"RTX\s*(\d)0(\d)0\s*(Ti)?", re.IGNORECASE)


@dataclass(frozen=True)
class Tier:
    """A tier of the plan. ram, card: bytes; rank: how fast its card is among GeForce RTX cards."""

    name: str
    ram: int
    gpu: str
    card: int
    rank: float


TIERS = (
    Tier("minimum", 16 * _GIB, "RTX 3060", 12 * _GIB, 3.5),
    Tier("recommended", 32 * _GIB, "RTX 4070", 12 * _GIB, 4.7),
    Tier("best", 64 * _GIB, "RTX 4090", 24 * _GIB, 6.1),
)


def tier_of(ram: int | None, cards: Sequence[tuple[str, int]]) -> str:
    """Return the highest tier that memory and one card reach, `below minimum` where none is.

    ram: bytes. cards: name and bytes of each. A card that is no GeForce RTX is judged by its memory alone.
    """
    reached = [
        tier.name
        for tier in TIERS
        if (ram or 0) >= tier.ram * _NEARLY and any(_reaches(name, size, tier) for name, size in cards)
    ]
    return reached[-1] if reached else "below minimum"


def hardware(models: Sequence[str] = MODELS) -> dict[str, Any]:
    """Return memory, cards, the tier, and for each model whether it fits and why."""
    found = [wherry.fit(model) for model in models]
    total = memory_bytes()
    cards = [(gpu.name, gpu.total) for gpu in found[0].gpus]
    return {
        "ram_bytes": total, "ram_free_bytes": found[0].memory_free,
        "gpus": [{"name": name, "bytes": size} for name, size in cards], "tier": tier_of(total, cards),
        "tiers": [{"name": t.name, "ram_bytes": t.ram, "gpu": t.gpu} for t in TIERS],
        "models": [
            {
                "model": one.model, "fits": one.fits, "place": one.place, "downloaded": one.present,
                "memory_bytes": one.need.memory if one.need else None,
                "disk_bytes": one.need.disk if one.need else None,
                "reasons": list(one.reasons),
            }
            for one in found
        ],
    }  # fmt: skip


def memory_bytes() -> int | None:
    """Return the bytes of memory of the machine, None where the system does not say."""
    names = ("SC_PHYS_PAGES", "SC_PAGE_SIZE")
    if any(name not in os.sysconf_names for name in names):
        return None
    return os.sysconf(names[0]) * os.sysconf(names[1])


def _reaches(name: str, size: int, tier: Tier) -> bool:
    rank = _rank(name)
    return size >= tier.card * _NEARLY and (rank is None or rank >= tier.rank)


def _rank(name: str) -> float | None:
    """Return how fast a GeForce RTX card is: half a class a generation; None for other cards."""
    found = _NUMBER.search(name)
    if found is None:
        return None
    generation, kind = int(found[1]), int(found[2])
    return kind * 0.7 + (generation - 3) * 0.5 - 0.6 + (0.4 if found[3] else 0)
