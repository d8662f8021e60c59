"""Workers that are actors of Ray: on this machine, or wherever a cluster has room.

An actor opens both sides where it runs: every machine must have Wherry installed and reach both addresses. What a
lost actor had begun is crossed again by another; Ray itself restarts nothing, so there is one place that decides.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import ray
from ray.exceptions import RayActorError, RayError

from wherry.errors import Unreachable, Usage
from wherry.moving.crew import Lost, Worker
from wherry.moving.crossing import Crossed
from wherry.moving.partition import Desk, Job, Part
from wherry.moving.worker import told
from wherry.stores.registry import is_shared_embedded

# Nothing but partitions and answers goes through it; Ray's own default is a third of the memory.
_OBJECT_STORE_BYTES = 80 << 20
_GRACE_S = 5.0
# What tells an engine where things are and who asks; an actor elsewhere has none of it.
_PASSED_ON = ("WHERRY_", "QDRANT_", "LLAMA_CLOUD_", "PG")


class _Actor:
    """The worker inside Ray."""

    def __init__(self, job: Job, folder: str, environment: dict[str, str]) -> None:
        os.environ.update(environment)
        # An address such as ./dump.parquet is meant from where the run was started.
        if Path(folder).is_dir():
            os.chdir(folder)
        self._job = job
        self._desk: Desk | None = None

    def open(self) -> BaseException | None:
        """Open both sides; an error is returned, so that it arrives as it was."""
        try:
            self._desk = Desk(self._job)
        except Exception as error:
            return told(error)
        return None

    def cross(self, part: Part) -> Crossed | BaseException:
        """Bring one partition over."""
        assert self._desk is not None
        try:
            return self._desk.cross(part)
        except Exception as error:
            return told(error)

    def close(self) -> None:
        """Close both sides."""
        if self._desk is not None:
            self._desk.close()


class RayWorker:
    """One actor, from outside."""

    def __init__(self, job: Job) -> None:
        made = ray.remote(num_cpus=1, max_restarts=0)(_Actor)
        self._actor: Any = made.remote(job, str(Path.cwd()), _passed_on())
        self.answer: Any = self._actor.open.remote()
        self._closing: Any = None

    def ready(self) -> None:
        """Wait until both sides are open."""
        self._answered()

    def begin(self, part: Part) -> None:
        """Start on a partition."""
        self.answer = self._actor.cross.remote(part)

    def result(self) -> Crossed:
        """Return what became of it."""
        return cast(Crossed, self._answered())

    def _answered(self) -> object:
        try:
            answer = ray.get(self.answer)
        except RayActorError as error:
            raise Lost(str(error).partition("\n")[0]) from None
        self.answer = None
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def dismiss(self) -> None:
        """Say that nothing more will be asked: an actor that is idle closes what it has open."""
        if self.answer is None and self._closing is None:
            self._closing = self._actor.close.remote()

    def bury(self) -> None:
        """End the actor, once it has closed what it was told to."""
        with suppress(RayError):
            if self._closing is not None:
                ray.get(self._closing, timeout=_GRACE_S)
        with suppress(RayError):
            ray.kill(self._actor)


class RayCrew:
    """The actors of one run."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.workers: list[RayWorker] = []

    @classmethod
    @contextmanager
    def of(cls, job: Job, workers: int, address: str | None) -> Iterator[RayCrew]:
        """Give a crew on the cluster at `address`, on one that this process uses already, or on one started here."""
        if address is not None and is_shared_embedded():
            raise Usage(
                "workers on other machines cannot reach the built-in PostgreSQL, which would hold the journal",
                where=address,
                left="nothing was written",
                next="name a server that all of them reach in WHERRY_DATABASE_URL",
            )
        with _connected(workers, address):
            crew = cls(job)
            try:
                yield crew
            finally:
                crew.let_go()
                for worker in crew.workers:
                    worker.bury()

    def hire(self) -> Worker:
        """Start an actor."""
        worker = RayWorker(self.job)
        self.workers.append(worker)
        return worker

    def let_go(self) -> None:
        """Tell all of them to close what they have open: they do it together."""
        for worker in self.workers:
            worker.dismiss()

    def wait(self, busy: Sequence[Worker]) -> list[Worker]:
        """Wait for an answer; the end of an actor counts as one."""
        known = {cast(RayWorker, worker).answer: worker for worker in busy}
        ready, _ = ray.wait(list(known), num_returns=1)
        return [known[answer] for answer in ready]


@contextmanager
def _connected(workers: int, address: str | None) -> Iterator[None]:
    """Be connected to Ray; a connection that the caller made stays as it is."""
    if ray.is_initialized():
        yield
        return
    # Ray would report to its makers how it is used.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    own = (
        {} if address else {"num_cpus": workers, "object_store_memory": _OBJECT_STORE_BYTES, "include_dashboard": False}
    )
    try:
        ray.init(
            address=address or "local", logging_level=logging.ERROR, log_to_driver=False, **({} if address else own)
        )
    except (ConnectionError, RuntimeError, TimeoutError, ValueError) as error:
        raise Unreachable(
            f"Ray does not answer: {str(error).partition(chr(10))[0]}", where=address or "this machine"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def _passed_on() -> dict[str, str]:
    found = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
    if "WHERRY_HOME" in found:
        found["WHERRY_HOME"] = str(Path(found["WHERRY_HOME"]).absolute())
    return found
