"""Cutting a move into ranges of keys, for several workers."""

from __future__ import annotations

from dataclasses import dataclass

from wherry.errors import Usage
from wherry.stores.base import PAGE_ROWS, Partitioned, Range, Readable, Shared, Writable

ENGINES = ("local", "ray")
# More than one, so that the slowest is not waited for long, and a lost one costs little.
_PARTS_PER_WORKER = 4
_MOST_WORKERS = 256


@dataclass(frozen=True)
class Cut:
    """The ranges in which workers bring a source over; none where one worker does all of it. why: the reason then."""

    ranges: tuple[Range, ...] = ()
    why: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know who asked for several."""
        return (f"one worker brings all of it over: {self.why}",) if self.why else ()


WHOLE = Cut()


def require(workers: int, engine: str, ray_address: str | None) -> None:
    """Raise Usage for a wish that cannot be."""
    if not 1 <= workers <= _MOST_WORKERS:
        raise Usage(f"{workers} workers: between 1 and {_MOST_WORKERS} are possible")
    if engine not in ENGINES:
        raise Usage(f"unknown engine {engine!r}", next=f"use {' or '.join(ENGINES)}")
    if ray_address and engine != "ray":
        raise Usage("an address of Ray is given, and the engine is not Ray", next="add --engine ray")


def cut(source: Readable, target: Writable, rows: int, workers: int, opened: bool = False) -> Cut:
    """Cut a source of about `rows` records for so many workers, or say why it cannot be.

    opened: one of the two was handed over open, not as an address.
    """
    if workers == 1:
        return WHOLE
    if opened:
        return Cut(why="a store that is open in this process cannot be opened by another")
    if not isinstance(target, Shared):
        return Cut(why=f"{target.address} takes one writer at a time")
    if not isinstance(source, Partitioned):
        return Cut(why=f"{source.address} cannot be read in ranges of keys")
    if not source.capabilities.unique_ids:
        return Cut(why=f"{source.address} may hold one id twice, which only one reader of all of it would see")
    found = tuple(source.ranges(min(workers * _PARTS_PER_WORKER, max(workers, rows // PAGE_ROWS))))
    return Cut(found) if len(found) > 1 else Cut(why=f"{source.address} is too small to be cut, or cannot be")
