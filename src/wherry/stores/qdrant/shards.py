"""Open shards of this process: one handle per directory, shared by every store that uses it.

The engine locks a directory for the one handle that opened it, in this process too, so a source and a
target of one collection have to share it. The last store that lets go closes it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from qdrant_edge import EdgeConfig, EdgeShard

from wherry.errors import Busy, DiskFull, Integrity, Rejected, StoreError, WherryError

CONFIG_FILE = "edge_config.json"


@dataclass
class _Handle:
    shard: EdgeShard
    users: int
    process: int


_handles: dict[Path, _Handle] = {}
_lock = Lock()


def is_shard(path: Path) -> bool:
    """Tell whether a directory holds a shard."""
    return (path / CONFIG_FILE).is_file()


def borrow(path: Path) -> EdgeShard:
    """Return the open shard of a directory (absolute, resolved); give it back with `give_back`.

    Raises Busy when another process has it open.
    """
    with _lock:
        handle = _handles.get(path)
        if handle is None:
            with translated(str(path)):
                handle = _handles[path] = _Handle(EdgeShard.load(str(path)), 0, os.getpid())
        if handle.process != os.getpid():
            raise Busy("the process that started this one has the shard open", where=str(path))
        handle.users += 1
        return handle.shard


def give_back(path: Path) -> None:
    """Let go of a shard that was borrowed; the last one closes it."""
    with _lock:
        handle = _handles[path]
        handle.users -= 1
        if handle.users == 0:
            del _handles[path]
            with translated(str(path)):
                handle.shard.close()


def create(path: Path, config: EdgeConfig) -> None:
    """Make an empty shard in a directory, and close it again."""
    with translated(str(path)):
        EdgeShard.create(str(path), config).close()


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn the engine's errors, which are plain exceptions with a message, into Wherry's."""
    try:
        yield
    except WherryError:
        raise
    except Exception as error:
        raise _translation(str(error), where) from None
    except BaseException as error:
        # What the engine itself did not expect comes as its own kind of BaseException.
        if type(error).__name__ != "PanicException":
            raise
        raise _translation(str(error), where) from None


def _translation(message: str, where: str) -> WherryError:
    if "WouldBlock" in message:
        return Busy(
            "another process has the collection open",
            where=where,
            left="nothing was touched",
            next="end it, then run the same command again",
        )
    if "No space left" in message or "StorageFull" in message:
        return DiskFull(where=where, left="what was written before is there", next="make room, then run again")
    if "WAL" in message or "corrupt" in message.lower():
        return Integrity(f"the engine cannot read its own files: {_short(message)}", where=where)
    kind: type[StoreError] = Rejected
    return kind(f"the engine refused: {_short(message)}", where=where)


def _short(message: str) -> str:
    return message.partition("\n")[0][:200]
