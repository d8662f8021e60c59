"""What the tests of the Chroma store share: a real server, and a few records."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pyarrow as pa

from wherry.address import Address
from wherry.record import dimension_of
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.chroma import ChromaSource, ChromaStore, open_source, open_target
from wherry.testing.samples import sample

# Where child programs find these tests.
ROOT = Path(__file__).resolve().parents[2]
_START_S = 30


def chroma_command() -> str:
    """Return the path of the `chroma` command of this environment."""
    found = shutil.which("chroma", path=str(Path(sys.executable).parent)) or shutil.which("chroma")
    assert found, "chromadb is installed without its command"
    return found


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def chroma_server(folder: Path, port: int | None = None, limit: int | None = None) -> Iterator[int]:
    """Run `chroma run` on a folder; yields its port and ends it by its id. limit: bytes of a request."""
    port = port or free_port()
    settings = {"port": port, "listen_address": "127.0.0.1", "persist_path": str(folder)}
    if limit is not None:
        settings["max_payload_size_bytes"] = limit
    configuration = folder / "server.yaml"
    configuration.write_text(json.dumps(settings))
    command = [chroma_command(), "run", str(configuration)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port, process)
            yield port
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "the Chroma server ended while it started"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the Chroma server did not start")


def target(folder: Path, name: str = "guides") -> ChromaStore:
    """Open a collection of a folder for writing."""
    return open_target(Address.parse(f"chroma:{folder}#{name}"))


def source(folder: Path, name: str = "guides") -> ChromaSource:
    """Open a collection of a folder for reading."""
    return open_source(Address.parse(f"chroma:{folder}#{name}"))


def fill(folder: Path, batch: pa.RecordBatch, name: str = "guides", metric: Metric = Metric.L2) -> None:
    """Make a collection hold a batch, and close everything again."""
    space = Space(dimension=dimension_of(batch), metric=metric)
    with closing(target(folder, name)) as store:
        store.prepare(space, Index(), batch.num_rows)
        store.upsert(batch)
        store.finish(space, Index())


def held(store: ChromaSource) -> pa.RecordBatch:
    """Return everything a store scans, sorted by id."""
    pages = list(store.scan())
    assert [reject for page in pages for reject in page.rejects] == []
    return pa.Table.from_batches([page.records for page in pages]).sort_by("id").combine_chunks().to_batches()[0]


def by_id(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch sorted by id."""
    return pa.Table.from_batches([batch]).sort_by("id").combine_chunks().to_batches()[0]


def part(start: int, rows: int, seed: int = 0) -> pa.RecordBatch:
    """Return some of the sample records, 8 components each; the same ones in whatever part they come."""
    return sample(start + rows, 8, seed).slice(start)


def run_text(program: str, *arguments: str) -> None:
    """Run the text of a program as a Python of its own would: for a child that has all imported (`Runner`)."""
    sys.argv = ["-c", *arguments]
    exec(program, {"__name__": "__main__"})


def run_child(program: str, *arguments: object, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh Python of its own."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT)
