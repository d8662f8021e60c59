"""Saying whether a model can run on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wherry import out
from wherry.cli.bars import listening
from wherry.cli.compare import side_table, verdict_line
from wherry.cli.words import safe, size
from wherry.fitting import Fit, fit, fit_all

if TYPE_CHECKING:
    from rich.console import RenderableType

_ALL = "all"
_PLACES = {
    "gpu": "It fits into the graphics card.",
    "gpu and memory": "It fits partly into the graphics card; the rest runs on the processor, more slowly.",
    "memory": "It fits into memory and runs on the processor, slowly.",
    "nowhere": "It does not fit on this machine.",
    "provider": "It needs nothing of this machine.",
}


def fits(model: str, context: int, json: bool) -> int:
    """Print whether a model fits, or which of all known ones do; 1 when the one does not."""
    with listening(json):
        found = fit_all(context=context) if model == _ALL else (fit(model, context=context),)
    if model == _ALL:
        _put({"models": [one.to_dict() for one in found]}, json, [_table(found)])
        return 0
    _put(found[0].to_dict(), json, _one(found[0]))
    return found[0].exit_code


def _put(value: dict[str, object], json: bool, lines: list[RenderableType]) -> None:
    if json:
        out.put_json(value)
    else:
        out.put_all(lines)


def _one(found: Fit) -> list[RenderableType]:
    return [
        *(safe(reason) for reason in found.reasons),
        verdict_line(found.fits, safe(found.model), _PLACES[found.place]),
    ]


def _table(found: tuple[Fit, ...]) -> RenderableType:
    rows = [
        [one.model, size(one.need.memory if one.need else None), size(one.need.disk if one.need else None), one.place]
        for one in found
    ]
    return side_table(["model", "memory", "disk", "fits into"], rows)
