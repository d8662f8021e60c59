"""Every ordered pair of engines, there and back with hostile data: what is not equal was announced."""

from __future__ import annotations

from itertools import combinations, permutations
from pathlib import Path

import psycopg
import pytest

import wherry
from tests.losses.engines import ENGINES, HOSTILE, fill, place_of
from tests.losses.page import PAGE, written
from wherry.space import Metric

# Two engines under one metric this way and under the other one that way; both each way in a campaign.
_COMMIT = {case for a, b in combinations(ENGINES, 2) for case in ((a, b, Metric.COSINE), (b, a, Metric.L2))}
_ALL = [(*pair, metric) for pair in permutations(ENGINES, 2) for metric in (Metric.COSINE, Metric.L2)]


@pytest.mark.parametrize(
    ("one", "other", "metric"),
    [pytest.param(*case, marks=[] if case in _COMMIT else [pytest.mark.campaign]) for case in _ALL],
    ids=str,
)
def test_there_and_back(
    one: str, other: str, metric: Metric, pg: psycopg.Connection, name: str, tmp_path: Path
) -> None:
    memory = f"memory:#{name}"
    fill(memory, metric)
    start, away, home = (place_of(engine, tmp_path, f"{name}{n}") for n, engine in enumerate((one, other, one)))
    first = wherry.sync(memory, start, accept_losses=True)
    held = len(HOSTILE) - first.quarantined
    announced = {loss.code: loss for a, b in ((start, away),) for loss in wherry.plan(a, b).losses}
    there = wherry.sync(start, away, accept_losses=True)
    assert there.read == held
    # Nothing of these records may be left behind in silence: what cannot cross is in quarantine by id.
    assert there.written + there.quarantined == held
    assert {loss.code for loss in there.losses} <= announced.keys()
    assert not [loss for loss in announced.values() if loss.severity == "lossy"]
    back = wherry.sync(away, home, accept_losses=True)
    assert back.written == there.written
    rounds = metric is Metric.COSINE and {one, other} & {"chroma", "qdrant"}
    proof = wherry.verify(start, home, tolerance="unit" if rounds else "exact")
    missing = {reject.id for reject in there.quarantine}
    assert {d.id for d in proof.differences} <= missing, proof.differences


def test_the_page_is_what_the_engines_claim(pg: psycopg.Connection, tmp_path: Path) -> None:
    assert PAGE.read_text(encoding="utf-8") == written(tmp_path), "run: python -m tests.losses.page"
