"""Workers that are processes of this machine.

Each is started as `python -m wherry.moving.worker` and spoken to over a pipe. A process, not a thread: decoding and
comparing hold Python's lock. A worker ends with the process that started it, whatever ends that one.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import cast

from wherry.moving.crew import Lost, Worker
from wherry.moving.crossing import Crossed
from wherry.moving.partition import Job, Part

_GRACE_S = 5.0


class LocalWorker:
    """One process. It is given the job when it starts."""

    def __init__(self, job: Job) -> None:
        self.connection, theirs = multiprocessing.Pipe()
        # Nobody writes to it: that it ends tells the worker that we are gone.
        ours, self._life = os.pipe()
        numbers = (theirs.fileno(), ours)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "wherry.moving.worker", *map(str, numbers)],
            pass_fds=numbers,
            # Ctrl-C is for the process that holds the target: it decides what becomes of its workers.
            start_new_session=True,
            # One of several: the threads of a library would take processors from the others.
            env={"OPENBLAS_NUM_THREADS": "1", **os.environ},
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno() if _has_number(sys.stderr) else subprocess.DEVNULL,
        )
        theirs.close()
        os.close(ours)
        self._at_work = True
        self._send(job)

    def ready(self) -> None:
        """Wait until both sides are open."""
        self._answered()

    def begin(self, part: Part) -> None:
        """Start on a partition."""
        self._send(part)
        self._at_work = True

    def result(self) -> Crossed:
        """Return what became of it."""
        return cast(Crossed, self._answered())

    def _answered(self) -> object:
        try:
            answer = self.connection.recv()
        except (EOFError, OSError):
            raise self._lost() from None
        self._at_work = False
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def dismiss(self) -> None:
        """Say that nothing more will be asked: a process that is idle closes what it has open, and ends."""
        self.connection.close()

    def bury(self) -> None:
        """Wait for the end of a process that was dismissed; one that is at work is ended by force."""
        ended = not self._at_work and self._ends()
        os.close(self._life)
        if not ended and not self._ends():
            self.process.kill()
            self.process.wait()

    def _ends(self) -> bool:
        try:
            self.process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _send(self, message: Job | Part) -> None:
        try:
            self.connection.send(message)
        except OSError:
            raise self._lost() from None

    def _lost(self) -> Lost:
        code = self.process.wait()
        return Lost(f"process {self.process.pid} ended by signal {-code}" if code < 0 else f"it ended with code {code}")


class LocalCrew:
    """The processes of one run."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.workers: list[LocalWorker] = []

    @classmethod
    @contextmanager
    def of(cls, job: Job) -> Iterator[LocalCrew]:
        """Give a crew, and end its workers afterwards."""
        crew = cls(job)
        try:
            yield crew
        finally:
            crew.let_go()
            for worker in crew.workers:
                worker.bury()

    def hire(self) -> Worker:
        """Start a process."""
        worker = LocalWorker(self.job)
        self.workers.append(worker)
        return worker

    def let_go(self) -> None:
        """Tell all of them to end: they do it together."""
        for worker in self.workers:
            worker.dismiss()

    def wait(self, busy: Sequence[Worker]) -> list[Worker]:
        """Wait for an answer; the end of a process counts as one."""
        known = {cast(LocalWorker, worker).connection: worker for worker in busy}
        return [known[cast("Connection[object, object]", ready)] for ready in wait(list(known))]


def _has_number(stream: object) -> bool:
    try:
        stream.fileno()  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        # Under a test runner standard error may be no file.
        return False
    return True
