"""Memory stays flat: a file nine times as large is read and written in the same room."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

DIMENSION = 768
SMALL, LARGE = 700, 6_300

ACT = """
import resource, sys
from wherry.space import Space
from wherry.stores.base import Index
from wherry.stores.registry import open_source, open_target
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
source = open_source(sys.argv[1])
target = open_target(sys.argv[2])
space = source.describe().space
target.prepare(space, Index(), source.describe().count)
read = 0
for page in source.scan(512):
    read += page.read
    target.upsert(page.records, absent=True)
assert sum(len(ids) for ids in source.ids()) == read
last = page.records.column("id")
assert source.fetch(last).read == len(last)
target.finish(space, Index())
print(read, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def export(path: Path, documents: int) -> Path:
    """Write an export of about 10 kB per document."""
    vectors = np.random.default_rng(0).standard_normal((64, DIMENSION), dtype=np.float32)
    bodies = [json.dumps({"text": "본문 " * 40, "embedding": row.tolist()})[1:] for row in vectors]
    with path.open("w") as handle:
        handle.write('{"index_name": "large", "documents": [')
        for number in range(documents):
            comma = ",\n" if number else ""
            handle.write(f'{comma}{{"id": "{number}", "metadata": {{"page": {number}}}, {bodies[number % 64]}')
        handle.write(f'], "total_documents": {documents}, "embedding_dimension": {DIMENSION}}}')
    return path


def peak(source: Path, target: Path) -> tuple[int, int]:
    """Move an archive in a process of its own; return records moved and growth of its peak in KiB."""
    done = subprocess.run(
        [sys.executable, "-c", ACT, source, target], capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stderr
    read, growth = done.stdout.split()
    return int(read), int(growth)


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small export and a large one."""
    folder = tmp_path_factory.mktemp("exports")
    return export(folder / "small.json", SMALL), export(folder / "large.json", LARGE)


@pytest.mark.parametrize("suffix", [".json", ".parquet"])
def test_peak_does_not_grow_with_the_file(exports: tuple[Path, Path], tmp_path: Path, suffix: str) -> None:
    small, large = exports
    assert small.stat().st_size > 10_000_000
    assert large.stat().st_size > 95_000_000
    # The small file does not fill its pages yet; held as a whole the large one would take 300 MB.
    few, room = peak(small, tmp_path / f"small-copy{suffix}")
    many, more = peak(large, tmp_path / f"large-copy{suffix}")
    assert (few, many) == (SMALL, LARGE)
    assert more - room < 140_000, f"{room} KiB for {small.stat().st_size}, {more} KiB for {large.stat().st_size}"
