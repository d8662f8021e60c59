"""Progress: bars on a terminal, a line now and then elsewhere, only notices beside --json."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from wherry import out
from wherry.address import redact
from wherry.cli.failures import secrets_in
from wherry.cli.words import duration, rate, safe

_EVERY_S = 5.0
_WORDS = {
    "plan": "comparing",
    "sync": "copying",
    "delete": "deleting",
    "finish": "building the index",
    "verify": "comparing",
    "ask": "asking",
    "truth": "reading all records",
    "tune": "trying indexes",
}


class Listener(Protocol):
    """Something that follows a run: called with each step, told lines of its own, closed at the end."""

    def __call__(self, phase: str, done: int, total: int | None) -> None:
        """Hear how far a phase is."""
        ...

    def say(self, line: str) -> None:
        """Print a line of the result while the run goes on."""
        ...

    def close(self) -> None:
        """Print what is left to print."""
        ...


@contextlib.contextmanager
def listening(json: bool, *addresses: str) -> Iterator[Listener]:
    """Yield the listener that fits; beside --json, whatever an engine prints goes to stderr.

    addresses: what the run works on; their secrets are hidden in what it says.
    """
    secrets = secrets_in(addresses)
    console = Console(stderr=True)
    listener: Listener
    if json:
        listener = Quiet(secrets)
    elif console.is_terminal and not console.is_dumb_terminal:
        listener = Bars(console, secrets)
    else:
        listener = Lines(secrets)
    with contextlib.ExitStack() as stack:
        if json:
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        stack.callback(listener.close)
        yield listener


class Quiet:
    """Passes on what a log should have, and no more."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self.secrets = secrets

    def __call__(self, phase: str, done: int, total: int | None) -> None:
        """Write notices to stderr."""
        if _is_notice(phase):
            out.tell(safe(redact(phase, *self.secrets)))

    def say(self, line: str) -> None:
        """Print nothing: the JSON object holds it."""

    def close(self) -> None:
        """Do nothing."""


class Lines:
    """Writes at most one line every few seconds to stderr, and a last one."""

    def __init__(self, secrets: Sequence[str] = (), every_s: float = _EVERY_S) -> None:
        self.secrets, self.every_s = secrets, every_s
        self.phase, self.done = "", 0
        self.since = self.told = time.monotonic()
        self.latest: tuple[str, int, int | None, float] | None = None

    def __call__(self, phase: str, done: int, total: int | None) -> None:
        """Take note, and write a line when it is time."""
        if _is_notice(phase):
            out.tell(safe(redact(phase, *self.secrets)))
            return
        now = time.monotonic()
        if phase != self.phase or done < self.done:
            self.phase, self.since = phase, now if self.phase else self.since
        self.done = done
        if done:
            self.latest = (phase, done, total, now - self.since)
        if self.latest and now - self.told >= self.every_s:
            out.tell(_line(*self.latest))
            self.latest, self.told = None, now

    def say(self, line: str) -> None:
        """Print a line of the result."""
        out.put(line)

    def close(self) -> None:
        """Write the last line."""
        if self.latest:
            out.tell(_line(*self.latest, over=True))
            self.latest = None


class Bars:
    """Shows one bar per phase on the terminal, with rate and time left, and takes it away at the end."""

    def __init__(self, console: Console, secrets: Sequence[str] = ()) -> None:
        self.console, self.secrets = console, secrets
        self.progress: Progress | None = None
        self.phase, self.done = "", 0
        self.task = TaskID(0)

    def __call__(self, phase: str, done: int, total: int | None) -> None:
        """Move the bar."""
        if _is_notice(phase):
            self.console.print(Text(safe(redact(phase, *self.secrets)), style="yellow"))
            return
        progress = self.progress or self._start()
        if phase != self.phase or done < self.done:
            self._next(progress, phase, total)
        self.done = done
        progress.update(self.task, completed=done, total=total)

    def say(self, line: str) -> None:
        """Print a line of the result where the bar was."""
        self.close()
        out.put(line)

    def close(self) -> None:
        """Take the bar away."""
        if self.progress is not None:
            self.progress.stop()
        self.progress, self.phase = None, ""

    def _start(self) -> Progress:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            _Counted(),
            _Rate(),
            TimeRemainingColumn(compact=True),
        )
        # Results go to stdout by themselves; the bar lives on stderr.
        self.progress = Progress(*columns, console=self.console, transient=True, redirect_stdout=False)
        self.progress.start()
        return self.progress

    def _next(self, progress: Progress, phase: str, total: int | None) -> None:
        for old in progress.task_ids:
            progress.remove_task(old)
        self.task = progress.add_task(_WORDS.get(phase, safe(phase)), total=total)
        self.phase = phase


class _Counted(ProgressColumn):
    """Records done, of how many."""

    def render(self, task: Task) -> Text:
        if not task.completed:
            return Text("")
        total = "" if task.total is None else f" of {task.total:,.0f}"
        return Text(f"{task.completed:,.0f}{total}")


class _Rate(ProgressColumn):
    """Records per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None or not task.completed else f"{speed:,.0f}/s", style="cyan")


def _is_notice(phase: str) -> bool:
    # Phases are single words; a sentence is for the person who waits.
    return " " in phase


def _line(phase: str, done: int, total: int | None, seconds: float, over: bool = False) -> str:
    counted = f"{done:,}" if total is None or done >= total else f"{done:,} of {total:,}"
    left = ""
    if total is not None and done < total and not over:
        left = f"about {duration((total - done) * seconds / done)} left"
    taken = duration(seconds) if over else ""
    parts = (f"{counted} records", taken, rate(done, seconds), left)
    return f"{_WORDS.get(phase, phase)}: {', '.join(filter(None, parts))}"
