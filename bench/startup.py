"""Bar 6: `wherry --help` answers in less than 0.3 s, and imports no engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.measure import Bar, timed


def run(folder: Path, rows: int, rounds: int) -> list[Bar]:
    """Time whole processes."""
    command = [str(Path(sys.executable).with_name("wherry")), "--help"]
    subprocess.run(command, check=True, capture_output=True)
    seconds = [timed(lambda: subprocess.run(command, check=True, capture_output=True)) for _ in range(4 * rounds)]
    return [Bar("6", "wherry --help, whole process", 0.3, False, tuple(seconds), "seconds", unit="s")]
