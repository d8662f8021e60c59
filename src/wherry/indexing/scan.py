"""Listing a source, and knowing without reading which documents cannot have changed.

A document is trusted unread when its stamp is the one it was read under and was old when that reading began:
git's "racy" rule. A file written in the very moment of a run could change once more and keep its stamp, so
such files are read again, and so are documents without a stamp.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection
from dataclasses import dataclass, field

from wherry.errors import BadRecord, WherryError
from wherry.indexing.base import DocumentSource, Listed, Stamp
from wherry.indexing.fingerprints import contents_fp, scan_fp, source_fp

# A kernel takes the time of a change from its last tick, at most 10 ms ago.
_TICK_NS = 50_000_000
# File systems of whole or even seconds (FAT, old NFS) show times without a fraction.
_COARSE_NS = 2_000_000_000
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class Scan:
    """What a source listed, ordered by id.

    started_ns: the clock before the first document was listed. failure: what ended the listing early; then
    `listed` is what came before it, and nothing may be deleted.
    """

    source: DocumentSource
    listed: list[Listed]
    started_ns: int
    failure: OSError | WherryError | None = None
    fingerprint: bytes = field(default=b"", repr=False)

    @property
    def complete(self) -> bool:
        """Whether the source was listed to its end."""
        return self.failure is None

    @property
    def deletes(self) -> bool:
        """Whether a document that is not listed is gone: files given by name say nothing of the others."""
        return self.complete and bool(getattr(self.source, "complete", True))

    def unsure(self, read_from_ns: int, unread: Collection[str] = ()) -> list[Listed]:
        """Return the documents whose stamps prove nothing, when they were last read in a run begun then.

        unread: documents that could not be read in that run; being allowed to read one changes no stamp.
        """
        return [item for item in self.listed if item.id in unread or not settled(item.stamp, read_from_ns)]


def scan(source: DocumentSource) -> Scan:
    """List a source. An OSError or WherryError ends the listing and is kept.

    Raises BadRecord when a source lists one id twice.
    """
    started_ns = time.time_ns()
    listed: list[Listed] = []
    failure: OSError | WherryError | None = None
    try:
        listed.extend(source.documents())
    except (OSError, WherryError) as error:
        failure = error
    listed.sort(key=lambda item: item.id)
    _require_distinct(source, listed)
    fingerprint = scan_fp((item.id, item.stamp) for item in listed)
    return Scan(source, listed, started_ns, failure, fingerprint)


def settled(stamp: Stamp | None, read_from_ns: int) -> bool:
    """Tell whether a stamp was old when a reading began at a time: then a change after it shows in the stamp."""
    if stamp is None:
        return False
    coarse = stamp.mtime_ns % _SECOND_NS == 0
    return stamp.mtime_ns + (_COARSE_NS if coarse else _TICK_NS) < read_from_ns


def contents_of(listed: list[Listed]) -> bytes:
    """Read documents and return the fingerprint of what they hold; one that cannot be read has none."""
    return contents_fp((item.id, _readable(item)) for item in listed)


def _readable(item: Listed) -> bytes | None:
    try:
        return source_fp(item.bytes())
    except (OSError, WherryError):
        # It is read again, and its error told, by the run that follows from the difference.
        return None


def _require_distinct(source: DocumentSource, listed: list[Listed]) -> None:
    for before, after in itertools.pairwise(listed):
        if before.id == after.id:
            raise BadRecord(
                f"the source {source.name} lists the document {after.id!r} twice",
                where=source.name,
                left="nothing was touched",
                next="give each document an id of its own, then run the same command again",
            )
