"""`wherry search`: asking a collection, and showing what it found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from wherry import out
from wherry.answering.search import search as ask
from wherry.cli.bars import listening
from wherry.cli.words import duration, records, safe

if TYPE_CHECKING:
    from rich.console import RenderableType

    from wherry.answering.hits import Hit, Hits

_TEXT_CHARACTERS = 240
_METADATA_CHARACTERS = 160


def search(
    query: str,
    address: str,
    k: int,
    mode: str | None,
    where: str | None,
    exact: bool,
    embedder: str | None,
    decay: str | None,
    json: bool,
) -> int:
    """Search and print the hits, best first."""
    with listening(json, address):
        found = ask(query, address, k, mode, where, exact=exact, embedder=embedder, decay=decay)
    if json:
        out.put_json(found.to_dict())
    else:
        out.put_all(shown(found))
    return 0


def shown(found: Hits) -> list[RenderableType]:
    """Show hits as a person reads them: what was searched, then each hit with its text."""
    title = f"{records(len(found))} of {safe(found.address)}, {found.mode}, {duration(found.seconds)}"
    parts: list[RenderableType] = [Text(title if len(found) else f"Nothing found. {title}", style="bold")]
    for rank, hit in enumerate(found, 1):
        parts += _hit(rank, hit)
    return parts + [f"note: {safe(note)}" for note in found.notes]


def _hit(rank: int, hit: Hit) -> list[RenderableType]:
    lines: list[RenderableType] = [Text(f"{rank}. {safe(hit.id)}  {_numbers(hit)}")]
    if hit.text:
        lines.append(f"   {_short(hit.text, _TEXT_CHARACTERS)}")
    if hit.metadata:
        lines.append(f"   {_short(out.as_json(hit.metadata), _METADATA_CHARACTERS)}")
    return lines


def _numbers(hit: Hit) -> str:
    """Return the score, and where each leg had the record where there were several."""
    numbers = f"score {hit.score:.4f}"
    if len(hit.parts) == 1 and hit.similarity == hit.score:
        return f"similarity {hit.score:.4f}"
    legs = ", ".join(f"{leg} #{part.rank} ({part.score:.4f})" for leg, part in hit.parts.items())
    return f"{numbers}: {legs}" if legs else numbers


def _short(text: str, most: int) -> str:
    line = safe(" ".join(text.split()))
    return line if len(line) <= most else f"{line[: most - 1]}…"
