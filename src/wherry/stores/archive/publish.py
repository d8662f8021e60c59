"""Turning a staging into an archive, so that a crash leaves the old file or the new one.

step                                       a crash right after it leaves
1 write the next archive beside the old    the old archive, the staging, a file to be swept
2 fsync it, read it back, compare          the same
3 note its stamp in the staging            the same
4 rename it over the old  (commit point)   the new archive; the staging knows that by the stamp
5 fsync the folder, remove the staging     the new archive
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from wherry.errors import ReadBackDiffers, WherryError
from wherry.stores.archive.card import Card, Tally
from wherry.stores.archive.disk import ArchiveFile, Stamp, beside, writing
from wherry.stores.archive.form import Form
from wherry.stores.archive.seal import Sink
from wherry.stores.archive.source import ArchiveSource
from wherry.stores.archive.staging import Staging
from wherry.stores.base import PAGE_ROWS
from wherry.stores.durable import sync_folder


def publish(form: Form, path: Path, shown: str, staging: Staging, card: Card) -> None:
    """Write what is staged as the archive at `path`, read it back, and put it in place.

    Raises DiskFull, ReadBackDiffers or StoreError; the archive that was there stays, and so does the
    staging.
    """
    temporary = beside(path, "tmp")
    try:
        with writing(path, shown):
            written = _write(form, path, temporary, staging, card)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _require_equal(form, temporary, shown, written)
    staging.remember(next=str(Stamp.of(temporary)))
    with writing(path, shown):
        temporary.replace(path)
        sync_folder(path.parent)
    staging.remove()


def _write(form: Form, path: Path, temporary: Path, staging: Staging, card: Card) -> Tally:
    tally = Tally()
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        if path.exists():
            os.fchmod(descriptor, path.stat().st_mode & 0o7777)
        sink = Sink(descriptor)
        form.write(sink, card, _counted(staging, tally), tally)
        sink.seal()
    finally:
        os.close(descriptor)
    return tally


def _counted(staging: Staging, tally: Tally) -> Iterator[pa.RecordBatch]:
    for page in staging.pages(PAGE_ROWS):
        tally.add(page.records)
        yield page.records


def _require_equal(form: Form, temporary: Path, shown: str, written: Tally) -> None:
    """Read the next archive as anybody would, and compare it with what was staged."""
    found, rejected = Tally(), 0
    source = ArchiveSource(form, ArchiveFile.open(temporary, shown))
    try:
        for page in source.scan():
            found.add(page.records)
            rejected += len(page.rejects)
    except WherryError as error:
        raise _differs(shown, error.what) from error
    finally:
        source.close()
    if rejected or found != written:
        raise _differs(shown, f"{found.count:,} of {written.count:,} records, or not the same ones")


def _differs(shown: str, words: str) -> ReadBackDiffers:
    return ReadBackDiffers(
        f"the new archive does not read back as it was written: {words}",
        where=shown,
        left="the archive is as it was; what was to be written is kept beside it",
        next="check the disk, then run the same command again",
    )
