"""The seal: a digest of the whole file inside the file, so that no bit of it can change unnoticed.

The last bytes of an archive that Wherry wrote hold, twice, `wherry-seal-1:` and 32 hexadecimal digits:
the XXH3-128 of all bytes of the file with these digits as zeros. Twice, because one flipped bit may
then spoil one of them, but never make the file look like one that was not sealed. The seal is checked
on the plain bytes, before any parser sees them.
"""

from __future__ import annotations

import os
import re

import xxhash

from wherry.errors import ArchiveCorrupt, Integrity
from wherry.stores.archive.disk import CHUNK, ArchiveFile
from wherry.stores.durable import write_all

_MARK = "wherry-seal-1:"
_ZEROS = "0" * 32
EMPTY_SEAL = _MARK + _ZEROS
_SEAL = re.compile(_MARK.encode() + rb"([0-9a-f]{32})")
_WINDOW = 4096


def verify_seal(file: ArchiveFile) -> bool:
    """Return True for a sealed file that is whole, False for a file without a seal.

    Raises ArchiveCorrupt when a sealed file is not byte by byte what was written.
    """
    start = max(0, file.size - _WINDOW)
    tail = file.read_at(start, _WINDOW)
    seals = _seals(tail)
    if not seals:
        return False
    digest = xxhash.xxh3_128()
    for offset in range(0, start, CHUNK):
        digest.update(file.read_at(offset, min(CHUNK, start - offset)))
    digest.update(_blanked(tail, seals))
    stated = {seal[1].decode() for seal in seals}
    if len(seals) != 2 or stated != {digest.hexdigest()}:
        raise damaged(file.shown)
    return True


def damaged(shown: str, what: str = "") -> ArchiveCorrupt:
    """Return the error for a sealed file whose bytes are not those that were written."""
    return ArchiveCorrupt(
        "the file is not what Wherry wrote: " + (what or "its checksum does not match"),
        where=shown,
        left="nothing was read from it",
        next="restore the file; if it was changed on purpose, remove every wherry key from it and it is"
        " read as any other export",
    )


class Sink:
    """A file being written: counts and digests its bytes on the way, and seals it at the end."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.position = 0
        self.closed = False
        self._whole = xxhash.xxh3_128()
        self._part = xxhash.xxh3_128()

    def write(self, data: bytes | memoryview) -> int:
        """Append bytes; returns how many."""
        whole = memoryview(data).cast("B")
        self._whole.update(whole)
        self._part.update(whole)
        write_all(self.descriptor, whole)
        self.position += len(whole)
        return len(whole)

    def end_part(self) -> tuple[int, str]:
        """End a part of the file: its end as an offset, and the digest of its bytes."""
        digest = self._part.hexdigest()
        self._part = xxhash.xxh3_128()
        return self.position, digest

    def seal(self) -> None:
        """Put the digest into the two empty seals near the end, and make the file durable."""
        start = max(0, self.position - _WINDOW)
        seals = _seals(os.pread(self.descriptor, _WINDOW, start))
        if [seal[0].decode() for seal in seals] != [EMPTY_SEAL] * 2:
            raise Integrity("the archive could not be sealed", left="the archive that was there is as it was")
        for seal in seals:
            os.pwrite(self.descriptor, self._whole.hexdigest().encode(), start + seal.start(1))
        os.fsync(self.descriptor)

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self.position

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """The descriptor belongs to the caller, who seals the file first."""
        self.closed = True

    def readable(self) -> bool:
        """A sink cannot be read."""
        return False

    def writable(self) -> bool:
        """A sink can be written."""
        return True

    def seekable(self) -> bool:
        """A sink is written from front to back."""
        return False


def _seals(tail: bytes) -> list[re.Match[bytes]]:
    # Records come before the closing part, so a seal quoted in a text is never among the last two.
    return list(_SEAL.finditer(tail))[-2:]


def _blanked(tail: bytes, seals: list[re.Match[bytes]]) -> bytes:
    blank = bytearray(tail)
    for seal in seals:
        blank[seal.start(1) : seal.end(1)] = _ZEROS.encode()
    return bytes(blank)
