"""Writes docs/crashes.md from the list of steps: `python -m tests.crash.page`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.crash.steps import INTRODUCTION, STEPS, Step

PAGE = Path(__file__).parents[2] / "docs" / "crashes.md"
_HEAD = """# What a crash leaves

Written by `python -m tests.crash.page` from the list that the tests run, so that the two cannot part.

There is no separate way to resume: the next `wherry sync` of the same two addresses looks at what is
there and goes on. For every step below a test kills the process with SIGKILL right after it, looks at
what was left, runs again, and compares all records of both sides. Beside these,
`tests/crash/test_kill_matrix.py` kills at calls that go to the source, the target or the journal, also
with a source that changes meanwhile; `tests/crash/test_archive_kills.py` at those of publishing a file. A
commit strikes a sample of these calls, a campaign (`make campaign`) *every* one.
`tests/crash/test_random_kills.py` kills at random moments between real engines.

SIGKILL keeps what the operating system has in memory: these tests prove nothing about a power cut. The
step with the dot is where its part counts as done.
"""
_COLUMNS = "|   | step | a crash right after it leaves | who repairs it | test |\n|---|---|---|---|---|\n"


def written() -> str:
    """Return the text of the page."""
    return _HEAD + "".join(_section(verb) for verb in INTRODUCTION)


def _section(verb: str) -> str:
    rows = "".join(_rows(step for step in STEPS if step.verb == verb))
    return f"\n## {verb}\n\n{INTRODUCTION[verb]}\n\n{_COLUMNS}{rows}"


def _rows(steps: Iterator[Step]) -> Iterator[str]:
    for number, step in enumerate(steps, 1):
        mark = f"{number} •" if step.commit else str(number)
        yield f"| {mark} | {step.does} | {step.leaves} | {step.repaired} | `test_crash_right_after[{step.name}]` |\n"


if __name__ == "__main__":
    PAGE.write_text(written())
