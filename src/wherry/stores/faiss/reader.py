"""Talking to the process that has an index file open (`child.py`).

Whatever a file does to FAISS, it does it there: a crash, endless work or endless memory ends that process
and becomes ArchiveCorrupt here.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from wherry.errors import ArchiveCorrupt, Unsupported
from wherry.stores.faiss.files import Stored, corrupt

_PIPE_BYTES = 1 << 20
_CHILD = Path(__file__).with_name("child.py")
# Far beyond what the limits of the process itself allow: for one that waits without working.
_PATIENCE_S = 600.0
_BYTES_PER_SECOND = 10 << 20
# The shortest header of an index.
_SMALLEST = 33
_NOT_OURS = ("not recognized", "not implemented")


@dataclass(frozen=True)
class Facts:
    """What an index file is.

    layers: FAISS's classes from the outside in. rows: vectors. metric: ours, None where FAISS has one
    without a counterpart. labelled: the vectors have numbers of their own. exact: they come out as they
    went in; codec: else what they went through. half: its components are 16-bit floats. lists: of an
    inverted file. m, ef_construction: of a graph.
    """

    layers: list[str]
    rows: int
    dimension: int
    metric: str | None
    metric_number: int
    labelled: bool
    exact: bool
    codec: str | None
    half: bool
    lists: int | None
    m: int | None
    ef_construction: int | None


class Reader:
    """An index file, open in a process of its own. One command at a time; threads take turns."""

    def __init__(self, file: Stored) -> None:
        """Start the process and let it read the file. Raises ArchiveCorrupt or Unsupported."""
        self._file = file
        self._lock = threading.Lock()
        self._commands = -1
        if file.size < _SMALLEST:
            raise self._broken(f"it ends after {file.size} bytes")
        self._process, self._commands, self._replies = _started(file)
        try:
            found = self._reply(_PATIENCE_S + file.size / _BYTES_PER_SECOND)[0]
            if "error" in found:
                raise self._refusal(found)
            self.facts = Facts(**{f.name: found[f.name] for f in fields(Facts)})
        except BaseException:
            self.close()
            raise

    def vectors(self, first: int, rows: int) -> np.ndarray:
        """Return vectors as float32, shape (rows, d), read-only."""
        data = self._ask({"do": "vectors", "first": first, "rows": rows})
        return self._matrix(data, rows)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """Return the vectors of some rows as float32, shape (n, d), read-only."""
        if not len(rows):
            return np.empty((0, self.facts.dimension), dtype=np.float32)
        return self._matrix(self._ask({"do": "take"}, rows.astype(np.int64).tobytes()), len(rows))

    def labels(self, first: int, rows: int) -> np.ndarray:
        """Return the numbers FAISS has for some rows, int64, shape (rows,)."""
        return np.frombuffer(self._ask({"do": "labels", "first": first, "rows": rows}), dtype=np.int64)

    def search(self, vector: np.ndarray, k: int, exact: bool) -> np.ndarray:
        """Return the rows of the k vectors the index thinks nearest, int64, nearest first."""
        data = np.ascontiguousarray(vector, dtype=np.float32).tobytes()
        return np.frombuffer(self._ask({"do": "search", "k": k, "exact": exact}, data), dtype=np.int64)

    def _matrix(self, data: bytearray, rows: int) -> np.ndarray:
        if len(data) != 4 * rows * self.facts.dimension:
            raise self._broken("it gives another number of vectors than it announced")
        return np.frombuffer(data, dtype=np.float32).reshape(rows, self.facts.dimension)

    def _ask(self, order: dict[str, Any], data: bytes = b"") -> bytearray:
        with self._lock:
            message = json.dumps(order | {"bytes": len(data)}).encode() + b"\n" + data
            try:
                while message:
                    message = message[os.write(self._commands, message) :]
            except BrokenPipeError:
                raise self._ended() from None
            return self._reply(_PATIENCE_S)[1]

    def _reply(self, seconds: float) -> tuple[dict[str, Any], bytearray]:
        """Read one reply: a line of JSON and the raw bytes it announces."""
        until = time.monotonic() + seconds
        line = bytearray()
        while not line.endswith(b"\n"):
            # A byte at a time: what follows the line goes into its place without a copy.
            line += self._read(until, bytearray(1))
        head: dict[str, Any] = json.loads(line)
        body = bytearray(head.get("bytes", 0))
        view, at = memoryview(body), 0
        while at < len(body):
            at += len(self._read(until, view[at:]))
        return head, body

    def _read(self, until: float, room: bytearray | memoryview) -> memoryview:
        """Read into `room`; return the part of it that was filled."""
        ready, _, _ = select.select([self._replies], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            raise self._broken("FAISS does not come to an end with it")
        length = os.readv(self._replies, [room])
        if not length:
            raise self._ended()
        return memoryview(room)[:length]

    def _ended(self) -> ArchiveCorrupt:
        """Return the error for a process that is gone, saying how it went."""
        code = self._process.wait()
        words = "FAISS fails on it"
        if code == -signal.SIGXCPU:
            words = "FAISS does not come to an end with it"
        elif code < 0:
            words = f"FAISS crashes on it ({signal.Signals(-code).name})"
        return self._broken(words)

    def _broken(self, words: str) -> ArchiveCorrupt:
        return corrupt(self._file.shown, f"{self._file.path.name} is no sound index file: {words}")

    def _refusal(self, found: dict[str, Any]) -> Exception:
        name, detail = found["error"], found.get("detail", "")
        if name == "MemoryError" or "bad_alloc" in detail:
            return self._broken("it asks for more memory than a file of its size needs")
        if name == "RuntimeError" and any(words in detail for words in _NOT_OURS):
            return Unsupported(
                f"{self._file.path.name} is no kind of index that vectors can be read from",
                where=self._file.shown,
                next="Flat, HNSW, IVF, IDMap, PQ and SQ indexes can be read",
            )
        if "read error" in detail or "mmap" in detail:
            return self._broken("it ends before everything that it announces has come")
        # What FAISS says about a file names no contents; what we say ourselves is a sentence.
        return self._broken(detail if name == "ValueError" else f"FAISS cannot read it ({name})")

    def close(self) -> None:
        """End the process; a second call does nothing."""
        if self._commands >= 0:
            os.close(self._commands)
            os.close(self._replies)
            self._commands = self._replies = -1
            self._process.kill()
            self._process.wait()

    def __del__(self) -> None:
        if getattr(self, "_commands", -1) >= 0:
            self.close()


def _started(file: Stored) -> tuple[subprocess.Popen[bytes], int, int]:
    """Start the process; return it with the ends of its pipes that are ours."""
    theirs_in, commands = os.pipe()
    replies, theirs_out = os.pipe()
    descriptor = file.source.fileno()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        # Larger than usual, so that the two processes wait for each other less; a system may have its limits.
        with suppress(OSError):
            fcntl.fcntl(replies, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    try:
        process = subprocess.Popen(
            # -P: modules beside the script must not take the place of packages.
            [sys.executable, "-P", str(_CHILD), str(theirs_in), str(theirs_out), str(descriptor), str(file.size)],
            pass_fds=(theirs_in, theirs_out, descriptor),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # One thread: what is asked for is copying, and every further thread costs address space.
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
    except BaseException:
        os.close(commands)
        os.close(replies)
        raise
    finally:
        os.close(theirs_in)
        os.close(theirs_out)
    return process, commands, replies
