"""Noticing that documents changed, by looking at their stamps again and again.

Looking works everywhere: on network drives, in containers, through links, where notifications of the system get
lost. Ten thousand files take about a tenth of a second to look at.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from wherry.errors import WherryError
from wherry.indexing.base import DocumentSource, Listed, Stamp

EVERY_S = 2.0
SETTLE_S = 0.5
PATIENCE_S = 30.0
# By source and id: a stamp, or a hash of what has none.
Seen = Mapping[tuple[str, str], Stamp | bytes]
# Waits so many seconds; True = stop.
Pause = Callable[[float], bool]


@dataclass(frozen=True)
class Changes:
    """What is different from the last time: (source, id) of documents. failures: of sources not listed to their end."""

    added: tuple[tuple[str, str], ...] = ()
    modified: tuple[tuple[str, str], ...] = ()
    removed: tuple[tuple[str, str], ...] = ()
    failures: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        """Whether a document changed."""
        return bool(self.added or self.modified or self.removed)


def watch(
    sources: Sequence[DocumentSource],
    *,
    every_s: float = EVERY_S,
    settle_s: float = SETTLE_S,
    patience_s: float = PATIENCE_S,
    pause: Pause | None = None,
) -> Iterator[Changes]:
    """Yield at once, with all documents as added, and then each time documents have changed.

    every_s: seconds between looks. settle_s: a change is told when nothing has changed for so long, or at the
    latest after `patience_s`: who saves a hundred files is told once. pause: waits, and tells whether to stop;
    the default never stops (`threading.Event().wait` of an event that somebody sets does). A source that cannot
    be listed to its end loses nothing; a failure that comes, changes or goes is told once.

    What changes while the caller is at work is told by the next one, so that nothing is ever missed.
    """
    wait = pause or threading.Event().wait
    known: Seen = {}
    failures: tuple[str, ...] = ()
    first = True
    while True:
        seen, failed = _look(sources, known)
        if not first and seen != known and _settled(sources, known, seen, settle_s, patience_s, wait):
            return
        seen, failed = (seen, failed) if first or seen == known else _look(sources, known)
        changes = _between(known, seen, failed)
        if first or changes.any or failed != failures:
            known, failures, first = seen, failed, False
            yield changes
        if wait(every_s):
            return


def _settled(
    sources: Sequence[DocumentSource], known: Seen, seen: Seen, settle_s: float, patience_s: float, wait: Pause
) -> bool:
    """Wait until two looks in a row are equal, or for as long as patience lasts. Returns whether to stop."""
    for _ in range(max(1, math.ceil(patience_s / settle_s)) if settle_s > 0 else 1):
        if wait(settle_s):
            return True
        before, seen = seen, _look(sources, known)[0]
        if seen == before:
            break
    return False


def _look(sources: Sequence[DocumentSource], known: Seen) -> tuple[Seen, tuple[str, ...]]:
    """Return what all sources list, and why some could not; what those had before counts as still there."""
    seen: dict[tuple[str, str], Stamp | bytes] = {}
    failures = []
    for source in sources:
        try:
            for item in source.documents():
                seen[source.name, item.id] = _mark(item)
        except (OSError, WherryError) as error:
            failures.append(f"{source.name}: {error.what if isinstance(error, WherryError) else error.strerror}")
            for key, mark in known.items():
                if key[0] == source.name:
                    seen.setdefault(key, mark)
    return seen, tuple(failures)


def _mark(item: Listed) -> Stamp | bytes:
    if item.stamp is not None:
        return item.stamp
    try:
        return blake2b(item.bytes(), digest_size=16).digest()
    except (OSError, WherryError) as error:
        # A document that cannot be read is another one when it can.
        return type(error).__name__.encode()


def _between(known: Seen, seen: Seen, failures: tuple[str, ...]) -> Changes:
    return Changes(
        tuple(sorted(key for key in seen if key not in known)),
        tuple(sorted(key for key, mark in seen.items() if key in known and known[key] != mark)),
        tuple(sorted(key for key in known if key not in seen)),
        failures,
    )
