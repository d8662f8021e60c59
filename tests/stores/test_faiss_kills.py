"""SIGKILL at random moments of a sync from and to FAISS: resumed, crossed with changes, equal."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash import acts
from wherry.testing.crash import Ending, Runner

ROUNDS, CAMPAIGN = 1, 60


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """A runner that has the engine imported and nothing opened."""
    home = str(tmp_path_factory.mktemp("home"))
    with Runner({"WHERRY_HOME": home}, ["tests.crash.acts", "wherry.stores.faiss"]) as running:
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
        # Under cosine too the very bits come back.
        assert _done(runner, "compare", *pair, True) == [], f"seed {seed}"
    return kills


PAIRS = {
    "faiss to faiss": ("faiss:{}/one#문서", "faiss:{}/two#문서", "l2"),
    "faiss to faiss, cosine": ("faiss:{}/one#문서", "faiss:{}/two#문서", "cosine"),
    "parquet to faiss": ("{}/one.parquet", "faiss:{}/two#문서", "cosine"),
    "faiss to parquet": ("faiss:{}/one#문서", "{}/two.parquet", "ip"),
}


@pytest.mark.parametrize("name", PAIRS)
def test_killed_at_a_random_moment(runner: Runner, tmp_path: Path, name: str) -> None:
    source, target, metric = PAIRS[name]
    _survive(runner, (source.format(tmp_path), target.format(tmp_path)), metric, ROUNDS, random.randrange(10**6))


@pytest.mark.campaign
@pytest.mark.parametrize("name", PAIRS)
def test_campaign_of_random_kills(runner: Runner, tmp_path: Path, name: str) -> None:
    source, target, metric = PAIRS[name]
    pair = (source.format(tmp_path), target.format(tmp_path))
    assert _survive(runner, pair, metric, CAMPAIGN, random.randrange(10**6)) > CAMPAIGN // 4
