"""`wherry watch`: a line per look, a verdict at the end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich.text import Text

from wherry import out
from wherry.cli.words import duration, safe
from wherry.errors import Usage
from wherry.routing.watch import Look, Watched, watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MARKS = {"good": "green", "bad": "red", "rolled back": "red", "unseen": "yellow"}


def watch_route(
    name: str,
    for_: str,
    every: str,
    rollback_if: str,
    waive_writes: int | None,
    least_reads: int,
    metrics_port: int | None,
    json: bool,
) -> int:
    """Watch a route and print each look and the verdict."""
    measured = _served(name, metrics_port) if metrics_port is not None else None

    def heard(look: Look) -> None:
        if measured is not None:
            measured(look)
        out.tell(out.as_json({"event": "look", "route": name, **look.to_dict()}) if json else _line(look))

    seen = watch(
        name,
        for_s=seconds_of(for_, "--for"),
        every_s=seconds_of(every, "--every"),
        rollback_if=rollback_if,
        waive_writes=waive_writes,
        least_reads=least_reads,
        heard=heard,
    )
    if json:
        out.put_json(seen.to_dict())
    else:
        out.put_all(_verdict(seen))
    return seen.exit_code


def seconds_of(text: str, option: str) -> float:
    """Return a time written as 90s, 15m, 24h or 2d in seconds. Raises Usage."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if found is None:
        raise Usage(f"{text!r} is no time", where=option, next="write 90s, 15m, 24h or 2d")
    return float(found[1]) * _UNITS[found[2]]


def _served(name: str, port: int) -> Callable[[Look], None]:
    """Serve what is seen as Prometheus metrics on the loopback interface; return what to tell each look."""
    from prometheus_client import CollectorRegistry, Gauge, start_http_server

    registry = CollectorRegistry()
    values = Gauge("wherry_route", "What readers of a route see.", ["route", "quantity"], registry=registry)
    reads = Gauge("wherry_route_reads", "Questions since the watch began.", ["route"], registry=registry)
    start_http_server(port, addr="127.0.0.1", registry=registry)

    def told(look: Look) -> None:
        reads.labels(name).set(look.reads)
        for quantity, value in look.seen.items():
            if value is not None:
                values.labels(name, quantity).set(value)

    return told


def _line(look: Look) -> str:
    words = [f"{look.at:%H:%M:%S}", f"{look.reads:,} questions", *_numbers(look.seen)]
    return "  ".join([*words, *(f"warning: {safe(text)}" for text in look.warnings)])


def _numbers(seen: dict[str, float | None]) -> list[str]:
    shares = ("error_rate", "shadow_error_rate", "overlap", "disk", "memory")
    return [
        f"{name} {value:.1%}" if name in shares else f"{name} {value * 1000:.1f} ms"
        for name, value in seen.items()
        if value is not None
    ]


def _verdict(seen: Watched) -> list[RenderableType]:
    lines: list[RenderableType] = [Text(f"{seen.route}: {seen.verdict}", style=f"bold {_MARKS[seen.verdict]}")]
    lines.append(f"{seen.last.reads:,} questions in {duration(seen.seconds)}: {', '.join(_numbers(seen.last.seen))}")
    if any(value is not None for value in seen.before.values()):
        lines.append(f"before the switch: {', '.join(_numbers(seen.before))}")
    lines += [f"broken: {safe(words)}" for words in seen.broken]
    lines += [f"warning: {safe(words)}" for words in seen.warnings]
    if seen.days_left is not None:
        lines.append(f"at this rate the disk is full in {seen.days_left:,.1f} days")
    if seen.rollback_error:
        lines.append(f"the way back failed: {safe(seen.rollback_error)}")
    if seen.verdict == "unseen":
        lines.append(f'next: read by the route (wherry.route("{seen.route}")), or see that the service does')
    elif seen.verdict == "bad":
        lines.append(f"next: wherry rollback {seen.route}")
    return lines
