"""Running the command and reading what it said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.registry import open_target

COMMAND = [sys.executable, "-m", "wherry"]


@dataclass(frozen=True)
class Said:
    """What one command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout; fails when there is anything else."""
        value = json.loads(self.out, parse_constant=_not_json)
        assert isinstance(value, dict)
        return value


Wherry = Callable[..., Said]


def run_command(*args: str, **env: str) -> Said:
    """Run the real command in a process of its own."""
    done = subprocess.run(
        [*COMMAND, *args], capture_output=True, text=True, timeout=60, env={**os.environ, **env}, check=False
    )
    return Said(done.returncode, done.stdout, done.stderr)


def fill(name: str, batch: pa.RecordBatch, metric: Metric = Metric.COSINE, **space: Any) -> str:
    """Put records into a memory collection and return its address."""
    address = f"memory:#{name}"
    target = open_target(address)
    dimension = batch.schema.field("vector").type.list_size
    target.prepare(Space(dimension=dimension, metric=metric, **space), Index(), batch.num_rows)
    target.upsert(batch)
    target.close()
    return address


def _not_json(word: str) -> float:
    raise AssertionError(f"{word} is no JSON")
