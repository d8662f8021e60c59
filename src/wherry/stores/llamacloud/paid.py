"""Vectors that were paid for: kept on disk by model and text, so that no text is embedded twice."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from wherry.space import Space
from wherry.state import home
from wherry.stores.llamacloud.spool import written

_AT_ONCE = 500


class Paid:
    """The vectors of one space. Safe to use from several threads; texts themselves are not kept."""

    def __init__(self, space: Space) -> None:
        self._lock = threading.Lock()
        card = hashlib.sha256(repr(sorted(space.to_dict().items())).encode()).hexdigest()[:16]
        self._path = home() / "llamacloud" / f"vectors-{card}.sqlite3"
        self._db = _opened(self._path)
        with self._lock:
            self._db.execute("CREATE TABLE IF NOT EXISTS vectors (text BLOB PRIMARY KEY, vector BLOB) WITHOUT ROWID")

    def of(self, texts: Sequence[str]) -> dict[str, bytes]:
        """Return the vectors that are known, by text."""
        by_key = {_key(text): text for text in texts}
        keys, found = list(by_key), dict[str, bytes]()
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            statement = f"SELECT text, vector FROM vectors WHERE text IN ({', '.join('?' * len(part))})"
            with self._lock:
                found |= {by_key[key]: vector for key, vector in self._db.execute(statement, part)}
        return found

    def keep(self, vectors: Iterable[tuple[str, np.ndarray]]) -> None:
        """Keep vectors, durably; float32."""
        entries = [(_key(text), vector.astype("<f4").tobytes()) for text, vector in vectors]
        with self._lock, written(self._path):
            self._db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", entries)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def _opened(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        place = str(path)
    except OSError:
        # Nothing can be kept there; what is embedded now is known at least until the end of this act.
        place = ":memory:"
    db = sqlite3.connect(place, check_same_thread=False, isolation_level=None, timeout=60)
    with contextlib.suppress(sqlite3.OperationalError):
        # Some file systems have no shared memory; it is a matter of speed alone.
        db.execute("PRAGMA journal_mode = WAL")
    return db


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


__all__ = ["Paid"]
