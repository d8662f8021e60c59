"""A route that swings to and fro while readers read, writers write, and processes die: acts and what is demanded.

The acts run in processes of their own (`wherry.testing.crash.Runner`), which are killed at random moments.
"""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import wherry
from tests.routing.kit import records_of
from wherry.routing.book import Book
from wherry.routing.dual import Writer, follow
from wherry.testing.crash import Runner

ROUTE = "swinging"
IDS = 7
READS_A_SECOND = 100
_READERS = 4


def swing(old: str, new: str) -> str:
    """Lead the route to the other side, with a proof or with all writes carried back; the side that was left follows.

    A side that did not follow all the while is made alike first, as a person would.
    """
    with Book() as book:
        route = book.require(ROUTE)
    if route.target == old:
        if route.dual is None:
            follow(ROUTE, new)
        _made_alike(old, new)
        wherry.switch(ROUTE, new, prove=True)
        follow(ROUTE, old)
        return "switch"
    wherry.rollback(ROUTE)
    follow(ROUTE, new)
    return "rollback"


def _made_alike(old: str, new: str) -> None:
    """Sync, as soon as nobody else writes to the other side."""
    until = time.monotonic() + 30
    while True:
        try:
            wherry.sync(old, new)
            return
        except wherry.Busy:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


def swing_unlike(old: str, new: str) -> str:
    """The same between two sides that answer differently, which takes a waiver."""
    with Book() as book:
        target = book.require(ROUTE).target
    if target == old:
        wherry.switch(ROUTE, new, waive="sides that can be told apart")
        return "switch"
    wherry.rollback(ROUTE, waive_writes=IDS)
    return "rollback"


def write(log: str, first: int, seconds: float) -> int:
    """Write numbered texts by the route, and put each number down once it was taken; return the last one."""
    until, number = time.monotonic() + seconds, first
    file = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    with Writer(ROUTE) as writer:
        for number in itertools.count(first):
            if time.monotonic() >= until:
                break
            writer.upsert(records_of([f"글 {number}"], first=number % IDS))
            os.write(file, f"{number}\n".encode())
    return number


@dataclass
class Seen:
    """What readers saw. wrong: failures and mixtures in words."""

    reads: int = 0
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Readers:
    """Threads that ask a hundred times a second in all, by one reader that they share."""

    def __init__(self, check: Callable[[wherry.Hits], str]) -> None:
        self.seen = Seen()
        self._check, self._ended = check, threading.Event()
        self._threads = [threading.Thread(target=self._read) for _ in range(_READERS)]

    def __enter__(self) -> Seen:
        self._reader = wherry.route(ROUTE)
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self.seen

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._reader.close()

    def _read(self) -> None:
        pause, due = _READERS / READS_A_SECOND, time.monotonic()
        while not self._ended.is_set():
            try:
                found = self._check(self._reader.search("글", k=3, mode="vector"))
            except wherry.WherryError as error:
                found = f"{type(error).__name__}: {error.what}"
            with self.seen.lock:
                self.seen.reads += 1
                if found:
                    self.seen.wrong.append(found)
            due = max(due + pause, time.monotonic() - 1)
            self._ended.wait(max(0.0, due - time.monotonic()))


class Writers:
    """A process that writes all the time, is killed now and then, and begins again where it was."""

    def __init__(self, environment: dict[str, str], log: Path, seed: int) -> None:
        self._environment, self.log, self._chance = environment, log, random.Random(seed)
        self.kills, self.failed = 0, list[str]()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on)

    def acked(self) -> dict[int, int]:
        """Return the last number that was taken, by what identifies its record."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return {int(line) % IDS: int(line) for line in lines}

    def wait_for_all(self, patience_s: float = 60) -> None:
        """Wait until each record was written at least once, which two swings on a busy machine do not take."""
        until = time.monotonic() + patience_s
        while len(self.acked()) < IDS and time.monotonic() < until:
            time.sleep(0.05)

    def __enter__(self) -> Writers:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _go_on(self) -> None:
        first = 0
        with Runner(self._environment, ["tests.routing.swinging", "wherry.routing.dual"]) as runner:
            while not self._ended.is_set():
                seconds = self._chance.uniform(0.5, 3.0)
                kill = seconds * self._chance.random() if self._chance.random() < 0.5 else None
                ending = runner.call("tests.routing.swinging:write", str(self.log), first, seconds, kill_after_s=kill)
                self.kills += ending.killed
                if ending.error:
                    self.failed.append(f"{ending.error}: {ending.message}")
                # What was on its way when it died may be there or not; its number is never used again.
                first = max(self.acked().values(), default=first) + IDS


@dataclass
class Swung:
    """How often the route swung, and how often that was cut off."""

    done: int = 0
    kills: int = 0
    slowest_s: float = 0.0
    barred: list[str] = field(default_factory=list)


def swung(environment: dict[str, str], act: str, sides: tuple[str, str], times: int, seed: int) -> Swung:
    """Let the route swing until it did so `times` times; about every third one is killed at a random moment."""
    chance, found, usual = random.Random(seed), Swung(), 1.0
    with Runner(
        environment, ["tests.routing.swinging", "wherry.routing.switching", "wherry.stores.pgvector"]
    ) as runner:
        while found.done < times:
            kill = chance.uniform(0, usual) if chance.random() < 0.35 else None
            began = time.monotonic()
            ending = runner.call(f"tests.routing.swinging:{act}", *sides, kill_after_s=kill)
            taken = time.monotonic() - began
            if ending.killed:
                found.kills += 1
            elif ending.error:
                found.barred.append(f"{ending.error}: {ending.message}")
            else:
                found.done += 1
                usual, found.slowest_s = (usual + taken) / 2, max(found.slowest_s, taken)
    return found
