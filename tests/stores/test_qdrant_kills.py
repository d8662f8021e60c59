"""SIGKILL at random moments of a sync from Qdrant to Qdrant: resumed, crossed with changes, equal."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash import acts
from wherry.testing.crash import Ending, Runner

ROUNDS, CAMPAIGN = 2, 60


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """A runner that has the engine imported and nothing opened."""
    home = str(tmp_path_factory.mktemp("home"))
    with Runner({"WHERRY_HOME": home}, ["tests.crash.acts", "wherry.stores.qdrant.edge"]) as running:
        yield running


def _sync(runner: Runner, pair: tuple[str, str], kill_after_s: float | None = None) -> Ending:
    ending = runner.call("tests.crash.acts:sync", *pair, kill_after_s=kill_after_s)
    assert ending.error == "", ending
    return ending


def _done(runner: Runner, act: str, *arguments: object) -> object:
    ending = runner.call(f"tests.crash.acts:{act}", *arguments)
    assert (ending.error, ending.killed) == ("", False), ending
    return ending.value


def _survive(runner: Runner, pair: tuple[str, str], metric: str, rounds: int, first: int) -> int:
    """Change, kill and resume `rounds` times; return how many of the kills came before the end."""
    assert _done(runner, "fill", pair[0], metric) == acts.ROWS
    began = time.monotonic()
    _sync(runner, pair)
    seconds, kills = time.monotonic() - began, 0
    for seed in range(first, first + rounds):
        rng = random.Random(seed)
        _done(runner, "change", pair[0], rng.randrange(10**6))
        kills += _sync(runner, pair, kill_after_s=rng.uniform(0, seconds)).killed
        _done(runner, "change", pair[0], rng.randrange(10**6))
        result = _sync(runner, pair).value
        assert result["equal"], f"seed {seed}: {result}"
        assert _done(runner, "compare", *pair, metric == "l2") == [], f"seed {seed}"
    return kills


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_killed_at_a_random_moment(runner: Runner, tmp_path: Path, metric: str) -> None:
    pair = (f"qdrant:{tmp_path}/one#docs", f"qdrant:{tmp_path}/two#docs")
    _survive(runner, pair, metric, ROUNDS, random.randrange(10**6))


@pytest.mark.campaign
@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_campaign_of_random_kills(runner: Runner, tmp_path: Path, metric: str) -> None:
    pair = (f"qdrant:{tmp_path}/one#docs", f"qdrant:{tmp_path}/two#docs")
    assert _survive(runner, pair, metric, CAMPAIGN, random.randrange(10**6)) > CAMPAIGN // 4
