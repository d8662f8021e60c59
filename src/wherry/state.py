"""Where Wherry keeps its own state: `.wherry/` of the working directory, or `WHERRY_HOME`."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from wherry.errors import Busy


def home() -> Path:
    """Return the state folder as an absolute path; whoever writes there makes it."""
    return Path(os.environ.get("WHERRY_HOME") or ".wherry").absolute()


def file_name(identity: str) -> str:
    """Return a file name for a collection: readable at the front, unique by its hash at the end."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", identity).strip("-")[-40:]
    return f"{readable}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def new_run() -> str:
    """Return the id of a new run: the time it began (UTC), and what tells it from others of that second.

    Many runs are kept in one table, and a lease knows its holder by this id.
    """
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"


@contextmanager
def locked(identity: str, shown: str, wait: bool = False) -> Iterator[None]:
    """Hold a collection against other runs of this machine that share the state folder.

    The kernel drops the lock with the process, however that ends. wait: until the holder is done, however long that
    takes. Raises Busy, naming the holder, where it does not wait.
    """
    folder = home() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{file_name(identity)}.lock").open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            handle.seek(0)
            raise Busy(
                f"another run is writing {shown} (process {handle.read().strip() or 'unknown'})",
                where=shown,
                left="nothing was touched",
                next="wait for it to end, then run the same command again",
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield
