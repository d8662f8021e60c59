"""Plots drawn as SVG inside the page: no library, no network, colours that follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 440, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 14, 10, 30
_POINTS = 200
_MOST_DOTS = 2_000
COLOURS = ("var(--a)", "var(--b)")


def interval(mean: float, low: float, high: float, colour: str = "var(--a)", width: int = 160) -> str:
    """Return a mean between 0 and 1 as a dot on its interval."""
    start, middle, end = (round(width * min(1.0, max(0.0, value)), 1) for value in (low, mean, high))
    return (
        f'<svg width="{width}" height="14" role="img" aria-label="{mean:.3f}" viewBox="-5 0 {width + 10} 14">'
        f'<line x1="0" y1="7" x2="{width}" y2="7" stroke="var(--line)" stroke-width="2"/>'
        f'<line x1="{start}" y1="7" x2="{end}" y2="7" stroke="{colour}" stroke-width="5" opacity=".55"/>'
        f'<circle cx="{middle}" cy="7" r="4" fill="{colour}"/></svg>'
    )


def shares(series: Mapping[str, Sequence[float]], unit: str) -> str:
    """Return the share of values up to each size, a line per series, sizes on a logarithmic scale."""
    values = sorted(value for one in series.values() for value in one if value > 0)
    if not values:
        return nothing()
    low, high = _decades(values[0], values[-1])
    across = _logarithmic(low, high)
    body = _grid([(up, f"{up:.0%}") for up in (0, 0.25, 0.5, 0.75, 1)], _up(0, 1))
    body += _below([(tick, f"{tick:g}") for tick in _ticks(low, high)], across, unit)
    for colour, one in zip(COLOURS, series.values(), strict=False):
        body += _steps(sorted(one), across, colour)
    return _svg(body, f"share of questions by {unit}")


def histogram(values: Sequence[float], label: str, bins: int = 10, plain: bool = False) -> str:
    """Return how many values between 0 and 1 fall into each tenth; 1 itself has a column of its own.

    plain: no value is better than another; otherwise 1 is good and what is below is bad.
    """
    if not values:
        return nothing()
    counts = [0] * (bins + 1)
    for value in values:
        counts[bins if value >= 1 - 1e-9 else int(max(0.0, value) * bins)] += 1
    most = max(counts)
    up, wide = _up(0, most), (WIDTH - _LEFT - _RIGHT) / (bins + 1)
    body = _grid([(n, f"{n:,}") for n in sorted({0, most // 2, most})], up)
    for n, count in enumerate(counts):
        x, y = _LEFT + n * wide, up(count)
        name = "1" if n == bins else f"{n / bins:.1f}–"
        body += f'<text x="{x + wide / 2:.1f}" y="{HEIGHT - _BOTTOM + 15}" text-anchor="middle">{name}</text>'
        if count:
            colour = "var(--b)" if plain else "var(--good)" if n == bins else "var(--bad)"
            body += (
                f'<rect x="{x + 2:.1f}" y="{y:.1f}" width="{wide - 4:.1f}" height="{up(0) - y:.1f}" rx="2"'
                f' fill="{colour}"><title>{count:,}</title></rect>'
            )
    return _svg(body, label)


def scatter(points: Sequence[tuple[float, float]], across: str, up: str) -> str:
    """Return points beside the line on which both figures are equal; more than 2,000 are thinned out evenly."""
    if not points:
        return nothing()
    every = max(1, math.ceil(len(points) / _MOST_DOTS))
    shown = points[::every]
    low, high = _padded(min(min(p) for p in shown), max(max(p) for p in shown))
    x, y = _linear(low, high), _up(low, high)
    ticks = [(value, f"{value:.3g}") for value in _even(low, high)]
    body = _grid(ticks, y) + _below(ticks, x, across)
    body += f'<text x="{_LEFT + 5}" y="{_TOP + 9}">{escape(up)}</text>'
    body += (
        f'<line x1="{x(low):.1f}" y1="{y(low):.1f}" x2="{x(high):.1f}" y2="{y(high):.1f}"'
        ' stroke="var(--soft)" stroke-dasharray="4 4"/>'
    )
    for one, other in shown:
        body += f'<circle cx="{x(one):.1f}" cy="{y(other):.1f}" r="2.6" fill="var(--b)" opacity=".55"/>'
    return _svg(body, f"{up} against {across}")


def paired_bars(rows: Sequence[tuple[str, Sequence[tuple[float, float, float]]]], show: Callable[[float], str]) -> str:
    """Return a bar per row and side, with the interval of each. rows: name, (mean, low, high) of every side."""
    most = max((high for _, sides in rows for _, _, high in sides), default=0.0) or 1.0
    tall, left = 15, 60
    wide = WIDTH - left - 92
    body, y = "", 6
    for name, sides in rows:
        body += f'<text x="0" y="{y + tall * len(sides) / 2 + 4:.0f}">{escape(name)}</text>'
        for colour, (mean, low, high) in zip(COLOURS, sides, strict=False):
            end, start, far = (left + wide * value / most for value in (mean, low, high))
            body += (
                f'<rect x="{left}" y="{y}" width="{max(1.0, end - left):.1f}" height="12" rx="2" fill="{colour}"/>'
                f'<line x1="{start:.1f}" x2="{far:.1f}" y1="{y + 6}" y2="{y + 6}" stroke="var(--ink)" opacity=".6"/>'
                f'<text x="{max(end, far) + 6:.1f}" y="{y + 10}">{escape(show(mean))}</text>'
            )
            y += tall
        y += 12
    return f'<svg viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" role="img" aria-label="bars">{body}</svg>'


def nothing() -> str:
    """Return what stands in the place of a plot that has no values."""
    return '<p class="note">not measured</p>'


def _svg(body: str, label: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" aria-label="{escape(label)}">{body}</svg>'


def _grid(ticks: Sequence[tuple[float, str]], up: Callable[[float], float]) -> str:
    lines = ""
    for value, name in ticks:
        y = up(value)
        lines += f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--line)"/>'
        lines += f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(name)}</text>'
    return lines


def _below(ticks: Sequence[tuple[float, str]], across: Callable[[float], float], unit: str) -> str:
    marks = f'<text x="{WIDTH - _RIGHT}" y="{HEIGHT - 2}" text-anchor="end">{escape(unit)}</text>'
    for value, name in ticks:
        marks += f'<text x="{across(value):.1f}" y="{HEIGHT - _BOTTOM + 15}" text-anchor="middle">{escape(name)}</text>'
    return marks


def _steps(values: Sequence[float], across: Callable[[float], float], colour: str) -> str:
    """Draw the share of values up to each size, thinned to what can be seen."""
    up, count = _up(0, 1), len(values)
    picked = sorted({round(n * (count - 1) / min(_POINTS, max(1, count - 1))) for n in range(min(_POINTS, count) + 1)})
    places = [(across(values[min(n, count - 1)]), up((min(n, count - 1) + 1) / count)) for n in picked] if count else []
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places) if places else ""
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2.2" stroke-linejoin="round"/>'


def _up(low: float, high: float) -> Callable[[float], float]:
    tall = HEIGHT - _TOP - _BOTTOM
    return lambda value: HEIGHT - _BOTTOM - tall * ((value - low) / (high - low) if high > low else 0.0)


def _linear(low: float, high: float) -> Callable[[float], float]:
    wide = WIDTH - _LEFT - _RIGHT
    return lambda value: _LEFT + wide * ((value - low) / (high - low) if high > low else 0.5)


def _logarithmic(low: float, high: float) -> Callable[[float], float]:
    line = _linear(math.log10(low), math.log10(high))
    return lambda value: line(math.log10(max(value, low)))


def _decades(low: float, high: float) -> tuple[float, float]:
    """Return ends for a logarithmic scale, at least a factor of four apart."""
    low, high = low / 1.15, high * 1.15
    middle = math.sqrt(low * high)
    return min(low, middle / 2), max(high, middle * 2)


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers on a logarithmic scale, few enough to be read."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        found = [step * 10.0**decade for decade in decades for step in steps if low <= step * 10.0**decade <= high]
        if len(found) <= 7:
            return found
    return found[:: math.ceil(len(found) / 7)]


def _even(low: float, high: float) -> list[float]:
    """Return round numbers between two ends, three to seven of them."""
    rough = (high - low) / 4
    decade = 10.0 ** math.floor(math.log10(rough))
    step = next((round_ * decade for round_ in (1, 2, 5) if round_ * decade >= rough), 10 * decade)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(n * step, 12) for n in range(first, last + 1)]


def _padded(low: float, high: float) -> tuple[float, float]:
    room = (high - low) * 0.06 or abs(high) * 0.06 or 0.5
    return low - room, high + room
