"""Processes that are made to die: a forked child whose end is told, and a runner that kills by the clock.

`in_child` forks: cheap enough to kill a process at every single call of a run. It wants a parent that
holds no engine open, since threads of an engine do not survive a fork. `Runner` is such a parent: a
process that has imported everything and opened nothing, forks one child per command and kills it
after a given time.
"""

from __future__ import annotations

import json
import os
import pickle
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from wherry.errors import WherryError

_LIMIT_S = 60.0


@dataclass(frozen=True)
class Ending:
    """How a child ended: killed, with an error (class name and message), or with a value."""

    killed: bool = False
    error: str = ""
    message: str = ""
    value: Any = None


def in_child(act: Callable[[], Any], limit_s: float = _LIMIT_S) -> Ending:
    """Call `act` in a forked process and return how that ended; its value must be picklable.

    Raises TimeoutError, after ending the child, when it takes longer than `limit_s` seconds.
    """
    child, pipe = _start(act)
    try:
        return _ending(child, _read(pipe, time.monotonic() + limit_s))
    except TimeoutError:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    finally:
        os.close(pipe)


def killed_after(act: Callable[[], Any], seconds: float, limit_s: float = _LIMIT_S) -> Ending:
    """Call `act` in a forked process and kill it after some seconds, unless it was done before."""
    child, pipe = _start(act)
    try:
        reply = _read(pipe, time.monotonic() + seconds)
    except TimeoutError:
        os.kill(child, signal.SIGKILL)
        reply = _read(pipe, time.monotonic() + limit_s)
    finally:
        os.close(pipe)
    return _ending(child, reply)


def _start(act: Callable[[], Any]) -> tuple[int, int]:
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _be_the_child(act, writing)
    os.close(writing)
    return child, reading


def _be_the_child(act: Callable[[], Any], pipe: int) -> None:
    """Never returns: whatever the parent has on its stack must not run twice."""
    try:
        ending = Ending(value=act())
    except BaseException as error:
        what = error.what if isinstance(error, WherryError) else repr(error)
        ending = Ending(error=type(error).__name__, message=what)
    try:
        _write(pipe, pickle.dumps(ending))
    finally:
        os._exit(0)


def _write(pipe: int, reply: bytes) -> None:
    while reply:
        reply = reply[os.write(pipe, reply) :]


def _read(pipe: int, deadline: float) -> bytes:
    """Read until the other end is closed."""
    parts: list[bytes] = []
    while True:
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError("the child did not end in time")
        part = os.read(pipe, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)


def _ending(child: int, reply: bytes) -> Ending:
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return Ending(killed=True, message=signal.Signals(os.WTERMSIG(status)).name)
    ending: Ending = pickle.loads(reply)
    return ending


class Runner:
    """A process that runs syncs between addresses in children of its own and kills them by the clock.

    Use as a context manager. environment: variables beside those of this process.
    """

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "wherry.testing.crash"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=_LIMIT_S)

    def sync(self, source: str, target: str, kill_after_s: float | None = None) -> Ending:
        """Sync two addresses in a child; kill it after some seconds when that is asked for.

        The value of the ending is the JSON object of the result.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"source": source, "target": target, "kill_after_s": kill_after_s}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return Ending(**json.loads(self._process.stdout.readline()))


def main() -> None:
    """Carry out orders, one JSON object per line, until the input ends."""
    import wherry.moving.sync  # imported here, before the first fork, and opened by nobody

    # A child inherits standard output, and an engine that chats must not spoil the replies.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        order = json.loads(line)

        def act(order: dict[str, Any] = order) -> dict[str, Any]:
            result = wherry.moving.sync.sync(order["source"], order["target"], allow_mass_delete=True)
            return result.to_dict()

        seconds = order["kill_after_s"]
        ending = in_child(act) if seconds is None else killed_after(act, seconds)
        replies.write(json.dumps(asdict(ending), default=str) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
