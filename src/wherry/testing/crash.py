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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
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
    # What the child says right before the time is up counts: it may end before the signal reaches it.
    heard: list[bytes] = []
    try:
        _read(pipe, time.monotonic() + seconds, heard)
    except TimeoutError:
        os.kill(child, signal.SIGKILL)
        _read(pipe, time.monotonic() + limit_s, heard)
    finally:
        os.close(pipe)
    return _ending(child, b"".join(heard))


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


def _read(pipe: int, deadline: float, parts: list[bytes] | None = None) -> bytes:
    """Read until the other end is closed; `parts` keeps what came, also when time runs out."""
    parts = [] if parts is None else parts
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
    """A process that opens nothing itself: it calls functions in children of its own, and may kill them.

    Use as a context manager. environment: variables beside those of this process. imports: modules
    imported once, before the first child, so that children need not.
    """

    def __init__(self, environment: Mapping[str, str], imports: Sequence[str] = ()) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "wherry.testing.crash", *imports],
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

    def call(self, function: str, *arguments: Any, kill_after_s: float | None = None) -> Ending:
        """Call `module:function` in a child; kill it after some seconds when that is asked for.

        Arguments and the value of the ending must be what JSON can hold. Raises EOFError when the
        runner itself died.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"function": function, "arguments": arguments, "kill_after_s": kill_after_s}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        reply = self._process.stdout.readline()
        if not reply:
            raise EOFError("the runner died")
        return Ending(**json.loads(reply))


def main() -> None:
    """Carry out orders, one JSON object per line, until the input ends."""
    for module in sys.argv[1:]:
        import_module(module)
    # A child inherits standard output, and an engine that chats must not spoil the replies.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        replies.write(json.dumps(asdict(_carried_out(**json.loads(line))), default=str) + "\n")
        replies.flush()


def _carried_out(function: str, arguments: list[Any], kill_after_s: float | None) -> Ending:
    module, _, name = function.partition(":")
    act = partial(getattr(import_module(module), name), *arguments)
    return in_child(act) if kill_after_s is None else killed_after(act, kill_after_s)


if __name__ == "__main__":
    main()
