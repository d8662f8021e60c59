"""The archive engine: a collection as one file, to keep, to carry and to read anywhere.

    export.json      the shape of a LlamaCloud export
    dump.jsonl       a record per line
    dump.parquet     columns; of others too: ?id=&vector=&text=&metadata= name them

Files that Wherry writes carry a seal: one flipped bit, or one byte missing, is found when the file is
opened. Files are read as a stream and written whole or not at all.
"""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import pyarrow as pa

from wherry.address import Address
from wherry.errors import BadAddress
from wherry.stores.archive.disk import ArchiveFile
from wherry.stores.archive.form import Form
from wherry.stores.archive.json_form import JsonForm
from wherry.stores.archive.jsonl_form import JsonlForm
from wherry.stores.archive.parquet_form import ParquetForm
from wherry.stores.archive.source import ArchiveSource
from wherry.stores.archive.target import ArchiveTarget
from wherry.stores.base import Probe

_FORMS: tuple[Form, ...] = (JsonForm(), JsonlForm(), ParquetForm())


def open_source(address: Address) -> ArchiveSource:
    """Open an archive for reading; all of it is validated first.

    Raises NoSuchCollection, Refused for what is no archive, ArchiveCorrupt for damage.
    """
    form = _form(address)
    address.require_options({*form.options, "metric"})
    columns = {name: value for name, value in address.options.items() if name != "metric"}
    file = ArchiveFile.open(Path(address.path), str(address), columns)
    try:
        return ArchiveSource(form, file, address.stated_metric())
    except BaseException:
        file.close()
        raise


def open_target(address: Address) -> ArchiveTarget:
    """Open an archive for writing; it is made by `prepare`, and there once `finish` is done."""
    form = _form(address)
    if set(address.options) - {"metric"}:
        raise BadAddress(
            "the layout of an archive that is written cannot be chosen",
            where=str(address),
            next="leave out everything from the question mark on, but for metric",
        )
    # Through a link the file it leads to is written, not the link.
    return ArchiveTarget(form, Path(os.path.realpath(address.path)), str(address), address.stated_metric())


def probe() -> Probe:
    """Archives can always be used."""
    return Probe("archive", True, f"json, jsonl, parquet (pyarrow {pa.__version__}, orjson {orjson.__version__})")


def _form(address: Address) -> Form:
    if address.collection:
        raise BadAddress(
            "an archive file holds one collection", where=str(address), next="leave out everything from # on"
        )
    for form in _FORMS:
        if address.path.endswith(form.suffix):
            return form
    raise BadAddress("the name of an archive ends in " + ", ".join(form.suffix for form in _FORMS), where=str(address))
