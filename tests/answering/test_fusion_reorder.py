"""Newer hits first, and re-rankers of one's own: safe for future dates, zones, and what is no date."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import pytest

import wherry
from tests.answering.shelves import EMBEDDER, fill
from wherry.answering.hits import Hit, Part
from wherry.answering.reorder import days_since, decayed, reranked
from wherry.cli import main
from wherry.errors import Usage
from wherry.space import Metric

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def hit(name: str, similarity: float, day: object = None) -> Hit:
    """Return a hit by vectors with a date."""
    parts = {"vector": Part(1, similarity, similarity)}
    return Hit(name, similarity, 1 - similarity, None, {"day": day}, similarity, parts, Metric.COSINE)


@pytest.mark.parametrize(
    ("value", "days"),
    [
        ("2026-03-01T12:00:00Z", 0),
        ("2026-02-28T12:00:00+00:00", 1),
        ("2026-03-01T21:00:00+09:00", 0),
        ("2026-02-28T12:00:00", 1),
        ("2026-02-27", 2.5),
        ("2999-01-01", 0),
        (NOW.timestamp() - 86_400, 1),
        ((NOW.timestamp() - 86_400) * 1000, 1),
        (NOW.date(), 0.5),
        (datetime(2026, 2, 27, 12), 2),
        ("gestern", None),
        ("", None),
        (None, None),
        (True, None),
        (1e300, None),
        (float("nan"), None),
        (float("inf"), None),
        ([2026], None),
    ],
)
def test_days_are_counted_from_any_date(value: object, days: float | None) -> None:
    assert days_since(value, NOW) == (None if days is None else pytest.approx(days))


@pytest.mark.parametrize(
    ("similarity", "day", "score"),
    [
        (0.8, "2026-03-01T12:00:00Z", 0.7 * 0.8 + 0.3),
        (0.8, "2999-01-01", 0.7 * 0.8 + 0.3),
        (0.9, "2025-03-01", 0.7 * 0.9 + 0.3 / (1 + math.log(365.5 + 1))),
        (0.9, "?", 0.7 * 0.9),
    ],
)
def test_the_score_is_the_formula(similarity: float, day: str, score: float) -> None:
    (found,) = decayed([hit("a", similarity, day)], "day", NOW)
    assert found.score == pytest.approx(score)
    assert found.parts["recency"].share == pytest.approx(score - 0.7 * similarity)


def test_newer_hits_come_first_where_they_are_as_near() -> None:
    found = decayed([hit("a", 0.8, "2020-01-01"), hit("b", 0.8, "2026-02-01"), hit("c", 0.8)], "day", NOW)
    assert [one.id for one in found] == ["b", "a", "c"]


def test_a_search_can_be_decayed_and_reranked(name: str) -> None:
    texts = {f"r{n}": "같은 글이 여기에 있습니다" for n in range(8)}
    dates = {f"r{n}": {"day": f"2026-01-0{n + 1}"} for n in range(8)}
    address = fill(f"memory:#{name}", texts, metadata=dates)
    for mode in ("vector", "lexical", "hybrid"):
        found = wherry.search("같은 글", in_=address, k=3, mode=mode, decay="day")
        assert [one.id for one in found] == ["r7", "r6", "r5"]
        assert len(found) == found.k == 3
    found = wherry.search("같은 글", in_=address, k=2, rerank=lambda q, hits: [-int(h.id[1:]) for h in hits])
    assert [one.id for one in found] == ["r0", "r1"]
    assert found[0].parts["rerank"].rank == 1


@pytest.mark.parametrize("scores", [[1.0], [1.0, float("nan")]])
def test_a_reranker_that_does_not_score_each_hit_is_refused(scores: list[float]) -> None:
    with pytest.raises(Usage, match="re-ranker"):
        reranked("q", [hit("a", 0.5), hit("b", 0.4)], lambda *_: scores)


def test_a_vector_has_no_question_to_rerank_by(name: str) -> None:
    address = fill(f"memory:#{name}")
    with pytest.raises(Usage, match="reads the question"):
        wherry.search(EMBEDDER.embed_query("혈압"), in_=address, rerank=lambda q, hits: [0.0] * len(hits))


def test_the_command_takes_a_date(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    texts = {"old": "혈압 안내", "new": "혈압 안내"}
    address = fill(f"memory:#{name}", texts, metadata={"old": {"day": "2001-01-01"}, "new": {"day": "2026-01-01"}})
    assert main(["search", "혈압", "--in", address, "--decay", "day", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert [one["id"] for one in value["hits"]] == ["new", "old"]


def test_relevance_follows_what_the_hits_are_ordered_by() -> None:
    near = [Hit(n, -d, d, None, {}, -d, {"vector": Part(1, -d, -d)}, Metric.L2) for n, d in (("a", 1.0), ("b", 3.0))]
    assert [one.score for one in decayed(near, "day", NOW)] == pytest.approx([0.7 / 2, 0.7 / 4])
    # A vector leg that weighs nothing gives no order to what words found.
    fused = [
        Hit(n, s, 1 - s, None, {}, w / 61, {"lexical": Part(1, w, 1 / 61), "vector": Part(40, s, 0.0)}, Metric.COSINE)
        for n, s, w in (("a", 0.1, 9.0), ("b", 0.9, 8.0))
    ]
    assert [one.score for one in decayed(fused, "day", NOW)] == pytest.approx([0.7, 0.7 * 8 / 9])
    assert decayed([], "day", NOW) == ()
