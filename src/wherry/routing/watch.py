"""Watching a route after a switch: errors, times, agreement, memory and disk, with a verdict at the end.

What readers saw is in the database, put down by whatever processes read by the route; a watch reads it, compares
it with what they saw on the side before, and leads the route back by itself when it was told when.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from wherry.errors import WherryError
from wherry.moving.opening import reading
from wherry.routing.book import Book, Route, shown
from wherry.routing.conditions import Condition, parse
from wherry.routing.disk import WARNS, Disk
from wherry.routing.switching import rollback

BAD = "error_rate>1% or p95>3x or disk>95%"
_DAY_S = 86_400.0
_FEW = 20
_SEEN = """
SELECT side, count(*), avg((error IS NOT NULL)::int), avg(overlap),
       percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE error IS NULL)
FROM wherry.route_reads WHERE route = $1 AND at >= $2 AND at < $3 GROUP BY side
"""
# Not when anything was changed beside it: a shadow that is set after a switch begins no new time.
_LED = "SELECT max(at) FROM wherry.route_events WHERE route = $1 AND act IN ('switch', 'rollback', 'set')"
Quantities = dict[str, float | None]


@dataclass(frozen=True)
class Look:
    """One look at a route. seen: quantity -> value, None where nothing tells it. reads: questions it rests on."""

    at: datetime
    reads: int
    seen: Quantities
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the look as a JSON object."""
        return {"at": self.at.isoformat(), "reads": self.reads, **self.seen, "warnings": list(self.warnings)}


@dataclass(frozen=True)
class Watched:
    """What a watch saw. before: the same quantities on the side before the switch. broken: what made it bad.

    rolled_back: whether the route was led back, and rollback_error why that failed. days_left: until the disk of the
    collection is full at the rate of the watch, None where it does not fill.
    """

    route: str
    target: str
    seconds: float
    last: Look
    before: Quantities
    broken: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    rolled_back: bool = False
    rollback_error: str | None = None
    days_left: float | None = None

    @property
    def verdict(self) -> str:
        """The outcome in a word: `good`, `bad`, `rolled back`, or `unseen` when nobody read."""
        if self.rolled_back:
            return "rolled back"
        if self.broken:
            return "bad"
        return "good" if self.last.reads else "unseen"

    @property
    def exit_code(self) -> int:
        """0 when it was good, 1 when not."""
        return 0 if self.verdict == "good" else 1

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `wherry watch` prints."""
        return {
            **{k: v for k, v in self.__dict__.items() if k not in ("last", "broken", "warnings", "target")},
            "target": shown(self.target),
            "verdict": self.verdict,
            "last": self.last.to_dict(),
            "broken": list(self.broken),
            "warnings": list(self.warnings),
        }


def watch(
    name: str,
    *,
    for_s: float = _DAY_S,
    every_s: float = 10.0,
    rollback_if: str = "",
    waive_writes: int | None = None,
    least_reads: int = _FEW,
    heard: Callable[[Look], None] = lambda look: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Watched:
    """Watch a route and return a verdict.

    for_s, every_s: seconds in all and between looks. rollback_if: lead the route back when this is broken, after at
    least `least_reads` questions. waive_writes: as of a rollback. Where the two sides answer unlike (`overlap`),
    nothing is carried back: it may be the damage. heard: told of every look. Raises NoSuchRoute and Usage.
    """
    leads_back = parse(rollback_if)
    with Book() as book:
        route = book.require(name)
        since = datetime.now(UTC)
        disk, before = Disk(_volume_of(route)), _before(book, route)
        until, started = time.monotonic() + for_s, time.monotonic()
        warnings: dict[str, None] = {}
        while True:
            look = _look(book, route, since, disk)
            warnings.update(dict.fromkeys(look.warnings))
            heard(look)
            broken = _broken(leads_back, look, before) if look.reads >= least_reads else []
            left = until - time.monotonic()
            if broken or left <= 0:
                break
            sleep(min(every_s, left))
    carry = waive_writes is None and not any(words.startswith("overlap") for words in broken)
    led_back, error = _lead_back(name, broken, waive_writes, carry)
    broken = broken or _broken(parse(BAD), look, before)
    return Watched(
        name, route.target, time.monotonic() - started, look, before, tuple(broken), tuple(warnings), led_back, error,
        disk.days_left(),
    )  # fmt: skip


def _lead_back(name: str, broken: list[str], waive_writes: int | None, carry: bool) -> tuple[bool, str | None]:
    if not broken:
        return False, None
    try:
        rollback(name, why="; ".join(broken), waive_writes=waive_writes, carry=carry)
    except WherryError as error:
        # The verdict must be told all the same, with why the way back was barred.
        return False, str(error)
    return True, None


def _broken(conditions: tuple[Condition, ...], look: Look, before: Quantities) -> list[str]:
    return [words for condition in conditions if (words := condition.broken(look.seen, before))]


def _look(book: Book, route: Route, since: datetime, disk: Disk) -> Look:
    reads, seen = _seen(book, route.name, since, datetime.now(UTC))
    seen = {**seen, "disk": disk.share(), "memory": memory_share()}
    return Look(datetime.now(UTC), reads, seen, tuple(_warnings(seen)))


def _warnings(seen: Quantities) -> list[str]:
    share = seen["disk"]
    if share is None or share < WARNS:
        return []
    return [f"the disk of the collection is {share:.0%} full"]


def _before(book: Book, route: Route) -> Quantities:
    """Return what readers saw in the day before the last switch."""
    rows = book.database.ask(_LED, [route.name])
    if rows[0][0] is None:
        return {}
    return _seen(book, route.name, rows[0][0] - timedelta(days=1), rows[0][0])[1]


def _seen(book: Book, name: str, since: datetime, until: datetime) -> tuple[int, Quantities]:
    found = {row[0]: row[1:] for row in book.database.ask(_SEEN, [name, since, until])}
    reads, errors, _, times = found.get("live", (0, None, None, None))
    _, shadow_errors, overlap, _ = found.get("shadow", (0, None, None, None))
    p50, p95, p99 = times or (None, None, None)
    values = {"error_rate": errors, "p50": p50, "p95": p95, "p99": p99}
    values |= {"overlap": overlap, "shadow_error_rate": shadow_errors}
    return int(reads), {key: None if value is None else float(value) for key, value in values.items()}


def _volume_of(route: Route) -> Path | None:
    try:
        with reading(route.leads_to()) as store:
            volume = store.describe().volume
    except WherryError:
        # A side that cannot be read is what the errors of its readers tell about.
        return None
    return Path(volume) if volume else None


def memory_share() -> float | None:
    """Return how much of the machine's memory is in use, 0 to 1; None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.split()[1].isdigit()}
    if "MemAvailable" not in sizes:
        return None
    return 1 - sizes["MemAvailable"] / sizes["MemTotal"]
