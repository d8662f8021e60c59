"""The curve of a tuning as SVG: recall to the right, time upwards, one line per index."""

from __future__ import annotations

import math
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wherry.answering.tune import Tried, Tuning

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 860, 480, 70, 230, 50, 60
_COLOURS = {"full": "#1f5fa8", "half": "#2a8c4a", "bits": "#b3531b"}
_NAMES = {"full": "32 bits", "half": "16 bits", "bits": "1 bit, re-ranked"}
_DASHES = ("", "7 4", "2 3", "9 3 2 3")


def drawn(found: Tuning) -> str:
    """Return the SVG document of a tuning."""
    plot = _Plot(found)
    lines = [list(points) for _, points in groupby(found.tried, key=lambda t: (t.form, t.m, t.ef_construction))]
    graphs = sorted({(t.m, t.ef_construction) for t in found.tried})
    body = [*plot.axes(), *plot.wanted(found.wanted)]
    for line in lines:
        body += plot.line(line, _DASHES[graphs.index((line[0].m, line[0].ef_construction)) % len(_DASHES)])
    body += _legend(lines, graphs)
    if found.chosen is not None:
        body += plot.chosen(found.chosen)
    title = f"{found.address}: recall@{found.k} and time of {found.questions} questions to {found.rows:,} records"
    head = f'<text x="{_LEFT}" y="28" font-size="15">{escape(title)}</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="12" role="img"><title>{escape(title)}</title>'
        f'<rect width="100%" height="100%" fill="#fff"/>{head}{"".join(body)}</svg>\n'
    )


class _Plot:
    """The scales: recall from its least to 1, time by powers of two."""

    def __init__(self, found: Tuning) -> None:
        recalls = [t.recall for t in found.tried] + [found.wanted]
        times = [max(t.ms, 1e-3) for t in found.tried] or [1.0]
        self.least = math.floor(min(recalls) * 20) / 20 if min(recalls) < 1 else 0.95
        self.low, self.high = math.floor(math.log2(min(times))), math.ceil(math.log2(max(times)) + 1e-9)
        self.high = max(self.high, self.low + 1)

    def x(self, recall: float) -> float:
        return _LEFT + (recall - self.least) / (1 - self.least) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, ms: float) -> float:
        part = (math.log2(max(ms, 1e-3)) - self.low) / (self.high - self.low)
        return _HEIGHT - _BOTTOM - part * (_HEIGHT - _TOP - _BOTTOM)

    def axes(self) -> list[str]:
        right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
        marks = [self.least + (1 - self.least) * step / 5 for step in range(6)]
        parts = [_line(self.x(r), _TOP, self.x(r), bottom) + _text(self.x(r), bottom + 18, f"{r:.2f}") for r in marks]
        for power in range(self.low, self.high + 1):
            y = self.y(2.0**power)
            parts += [_line(_LEFT, y, right, y), _text(_LEFT - 8, y + 4, f"{2.0**power:g} ms", "end")]
        return [*parts, _text((_LEFT + right) / 2, bottom + 40, "recall"), _text(_LEFT - 8, _TOP - 8, "median", "end")]

    def wanted(self, recall: float) -> list[str]:
        x = self.x(recall)
        return [_line(x, _TOP, x, _HEIGHT - _BOTTOM, "#888", "4 3"), _text(x, _TOP - 6, f"wanted {recall:g}")]

    def line(self, points: list[Tried], dash: str) -> list[str]:
        colour = _COLOURS[points[0].form]
        path = " ".join(f"{self.x(t.recall):.1f},{self.y(t.ms):.1f}" for t in points)
        dots = [
            f'<circle cx="{self.x(t.recall):.1f}" cy="{self.y(t.ms):.1f}" r="3" fill="{colour}">'
            f"<title>ef_search {t.ef_search}: recall {t.recall:.4f}, {t.ms:.2f} ms</title></circle>"
            for t in points
        ]
        return [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-dasharray="{dash}"/>', *dots]

    def chosen(self, one: Tried) -> list[str]:
        x, y = self.x(one.recall), self.y(one.ms)
        words = (
            f"chosen: {_NAMES[one.form]}, m {one.m}, ef_construction {one.ef_construction}, ef_search {one.ef_search}"
        )
        return [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8" fill="none" stroke="#c00" stroke-width="2"/>',
            _text(_LEFT, _HEIGHT - 8, words, "start"),
        ]


def _legend(lines: list[list[Tried]], graphs: list[tuple[int, int]]) -> list[str]:
    x, parts = _WIDTH - _RIGHT + 20, []
    for number, points in enumerate(lines):
        first, y = points[0], _TOP + 18 * number
        dash = _DASHES[graphs.index((first.m, first.ef_construction)) % len(_DASHES)]
        parts.append(_line(x, y - 4, x + 28, y - 4, _COLOURS[first.form], dash))
        parts.append(_text(x + 34, y, f"{_NAMES[first.form]}, m {first.m}, {first.ef_construction}", "start"))
    return parts


def _line(x1: float, y1: float, x2: float, y2: float, colour: str = "#ddd", dash: str = "") -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-dasharray="{dash}"/>'
    )


def _text(x: float, y: float, words: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
