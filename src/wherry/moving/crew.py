"""Handing partitions out to workers, and out again when a worker is lost.

    engine   what a worker is                                    the journal
    local    a process of this machine                           the SQLite file of the target
    ray      an actor of Ray, here or on another machine         a schema of PostgreSQL

A worker takes one partition at a time. One that dies (killed, out of memory, its machine gone) takes nothing along:
its partition goes to the next, who finds in ledger and target what was done.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from wherry.errors import MissingExtra, WorkerLost
from wherry.moving.crossing import Crossed
from wherry.moving.partition import Job, Part

_TRIES = 3


class Lost(Exception):
    """A worker ended without an answer; the words say what is known of its end."""


class Worker(Protocol):
    """Somebody who brings partitions over, one at a time."""

    def ready(self) -> None:
        """Wait until both sides are open there; raises what opening them raised, or Lost."""
        ...

    def begin(self, part: Part) -> None:
        """Start on a partition and return at once. Raises Lost."""
        ...

    def result(self) -> Crossed:
        """Return what became of it; raises what the worker met, or Lost."""
        ...


class Crew(Protocol):
    """Where workers come from."""

    def hire(self) -> Worker:
        """Start a worker."""
        ...

    def let_go(self) -> None:
        """Tell every worker that nothing more will be asked of it; they end while others work."""
        ...

    def wait(self, busy: Sequence[Worker]) -> list[Worker]:
        """Wait until some of these workers have an answer or are lost, and return those."""
        ...


def hiring(engine: str, job: Job, workers: int, ray_address: str | None) -> AbstractContextManager[Crew]:
    """Return the crew of an engine; leaving it ends every worker. Raises MissingExtra."""
    if engine == "local":
        from wherry.moving.local_crew import LocalCrew

        return LocalCrew.of(job)
    try:
        from wherry.moving.ray_crew import RayCrew
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise MissingExtra(
            "the engine ray needs the package ray, which is not installed", next='pip install "wherry[ray]"'
        ) from None
    return RayCrew.of(job, workers, ray_address)


def assembled(crew: Crew, workers: int) -> list[Worker]:
    """Start some workers and wait until each can begin. Raises what one of them met, and WorkerLost."""
    found = [crew.hire() for _ in range(workers)]
    try:
        for worker in found:
            worker.ready()
    except Lost as end:
        raise WorkerLost(f"a worker was lost before it began: {end}", left="nothing was written") from None
    return found


def share_out(crew: Crew, team: Sequence[Worker], parts: Sequence[Part], heard: Callable[[Crossed], None]) -> int:
    """Let workers bring all partitions over; return how many were taken over from a lost one.

    heard: told of each partition that is done. Raises what a worker met first, and WorkerLost when one partition
    cost several workers.
    """
    waiting, lost, idle = deque(parts), Counter[int](), list(team)
    busy: list[tuple[Worker, Part]] = []
    while waiting or busy:
        while waiting and len(busy) < len(team):
            part = waiting.popleft()
            with _taken_over(part, waiting, lost):
                worker = idle.pop() if idle else _fresh(crew)
                worker.begin(part)
                busy.append((worker, part))
        answered = crew.wait([worker for worker, _ in busy])
        done = [pair for pair in busy if pair[0] in answered]
        busy = [pair for pair in busy if pair[0] not in answered]
        for worker, part in done:
            with _taken_over(part, waiting, lost):
                heard(worker.result())
                idle.append(worker)
    return lost.total()


def _fresh(crew: Crew) -> Worker:
    worker = crew.hire()
    worker.ready()
    return worker


@contextmanager
def _taken_over(part: Part, waiting: deque[Part], lost: Counter[int]) -> Iterator[None]:
    """Put a partition back in line when its worker is lost. Raises WorkerLost when that goes on."""
    try:
        yield
    except Lost as end:
        lost[part.number] += 1
        if lost[part.number] >= _TRIES:
            raise WorkerLost(
                f"partition {part.number} was given to {_TRIES} workers, and each of them was lost: {end}",
                left="what they wrote is in the target and in the journal",
                next="look for what ends them (memory?), then run the same command again: it goes on from there",
            ) from None
        waiting.appendleft(part)
