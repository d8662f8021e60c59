"""Every ordered pair of engines, there and back with hostile data: what is not equal was announced."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import psycopg
import pytest

import wherry
from tests.losses.engines import ENGINES, HOSTILE, fill, place_of
from tests.losses.page import PAGE, written
from wherry.space import Metric

_PAIRS = [pair for pair in product(ENGINES, repeat=2) if pair[0] != pair[1]]


@pytest.mark.parametrize("metric", [Metric.COSINE, Metric.L2], ids=str)
@pytest.mark.parametrize(("one", "other"), _PAIRS, ids=lambda engine: engine)
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
