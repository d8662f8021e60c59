"""The page: whole, offline, safe whatever the records say, and right where little was measured."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import wherry
from tests.comparing.kit import QUESTIONS, asked, fill, guides, swapped, vectors_of
from wherry.comparing.page import page
from wherry.pages import plots

EVIL = "<script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)>"


class Tags(HTMLParser):
    """Notes every tag and checks that those that are opened are closed in order."""

    VOID = frozenset({"meta", "br", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on") or name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(html: str) -> Tags:
    """Parse a page to its end."""
    tags = Tags()
    tags.feed(html)
    tags.close()
    assert tags.open == []
    return tags


def test_the_page_is_whole_and_needs_nothing_else(tmp_path: Path) -> None:
    vectors = vectors_of(1)
    a, b = fill("memory:#a", vectors), fill("memory:#b", swapped(vectors, 0.05, 1))
    path = tmp_path / "비교.html"
    found = wherry.compare(a, b, asked(1), rounds=2, report=path)
    html = path.read_text(encoding="utf-8")
    assert "://" not in html
    assert "<script" not in html
    assert read(html).seen >= {"svg", "table", "figure", "section"}
    assert "Below the bar" in html
    assert f"{found.overlap.mean:.3f}" in html
    assert html.count('class="question"') == len(found.worst) == 10
    assert "prefers-color-scheme:dark" in html
    assert "@media print" in html


def test_what_records_and_questions_say_stays_text() -> None:
    texts = [f"{EVIL} {n}번 안내" for n in range(12)]
    a, b = guides("memory:#a", texts), guides("memory:#b", texts[::-1])
    html = page(wherry.compare(a, b, [EVIL + " 혈당", *QUESTIONS], k=3, rounds=1))
    tags = read(html)
    assert not tags.seen & {"script", "img"}
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_half_a_surrogate_does_not_lose_the_page(tmp_path: Path) -> None:
    logged = [{"query": "혈압", "hits": [{"id": "g-\ud800", "similarity": 0.5}]}]
    wherry.compare("recorded", guides("memory:#a"), logged, k=2, rounds=1, report=tmp_path / "p.html")
    assert "g-\\ud800" in (tmp_path / "p.html").read_text(encoding="utf-8")


def test_a_page_of_little_says_what_is_not_known() -> None:
    empty = np.empty((0, 12), dtype=np.float32)
    found = wherry.compare(fill("memory:#a", empty), fill("memory:#b", empty), asked(1, 1), rounds=1)
    html = page(found)
    read(html)
    assert "not measured" in html
    assert "every question has the same answer" in html
    assert "nan" not in html.replace("finance", "").lower()


def test_equal_sides_are_said_to_be_equal() -> None:
    html = page(wherry.compare(guides("memory:#a"), guides("memory:#b"), QUESTIONS, k=5, rounds=1))
    assert "Every bar is met" in html
    assert "Questions that differ most" in html


@pytest.mark.parametrize("values", [[], [0.0], [1.0], [0.1, 0.1], list(np.linspace(0, 1, 500))])
def test_plots_of_anything_are_drawn(values: list[float]) -> None:
    drawn = [
        plots.shares({"A": values, "B": values}, "milliseconds"),
        plots.histogram(values, "overlap"),
        plots.scatter([(value, value) for value in values], "A", "B"),
        plots.interval(0.5, -1.0, 2.0),
        plots.paired_bars([("p50", [(value, value, value) for value in values[:2]])], str),
    ]
    for one in drawn:
        read(one)
        assert "nan" not in one
        assert "inf" not in one


def test_many_points_are_thinned_out_and_large_spreads_keep_few_marks() -> None:
    points = [(float(n), float(n)) for n in range(20_000)]
    assert plots.scatter(points, "A", "B").count("<circle") <= 2_000
    wide = plots.shares({"A": [1e-3, 1e6], "B": [1.0]}, "milliseconds")
    assert wide.count("<text") <= 5 + 1 + 8
