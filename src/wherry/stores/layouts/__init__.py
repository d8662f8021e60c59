"""Layouts: how frameworks keep text and metadata in the rows, documents and points of an engine.

What travels between stores is a plain record: id, vector, text, metadata. A layout is a codec between that
and what a framework's own code reads: `Codec.read` turns what an engine holds into records, `Codec.written`
turns records into what the engine is to hold. Ids and vectors pass as they are. Whatever a framework keeps
beyond text and metadata travels inside the metadata, under one reserved key, so that it comes back.

How a layout is recognised, and the shape of tables and collections, are each engine's own business.
"""

from __future__ import annotations

from typing import Protocol

import pyarrow as pa

from wherry.address import Address
from wherry.errors import BadAddress, Refused
from wherry.record import Page

PLAIN, LLAMAINDEX, LANGCHAIN = "plain", "llamaindex", "langchain"
NAMES = (PLAIN, LLAMAINDEX, LANGCHAIN)
OPTION = "layout"
# How an index of documents lays out its own tables; to everybody else their records are plain ones.
_OF_AN_INDEX = ("records", "rag_documents")


class Codec(Protocol):
    """Between the records that travel and what a framework's code reads. name: one of `NAMES`."""

    name: str

    def read(self, page: Page) -> Page:
        """Return the records of a page that an engine yielded; broken ones become rejects."""
        ...

    def written(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return what the engine is to hold for some records. Raises Rejected for metadata that is no object."""
        ...


def wanted(address: Address) -> str | None:
    """Return the layout that `?layout=` states. Raises BadAddress when there is none of that name."""
    name = address.option(OPTION)
    if name in _OF_AN_INDEX:
        return PLAIN
    if name is not None and name not in NAMES:
        raise BadAddress(f"there is no layout {name!r}", where=str(address), next=f"layouts: {', '.join(NAMES)}")
    return name


def meant(asked: str | None, followed: str | None, found: str | None) -> str:
    """Return the layout of a collection: as found, else as its address asks, else as what is written has it.

    asked: `?layout=`; "plain" reads a framework's rows as they are. followed: the source's, for a target. found:
    None for a collection without records or card.
    """
    if asked == PLAIN:
        return PLAIN
    # A file says json or parquet, which is no layout of a collection.
    return found or asked or (followed if followed in NAMES else None) or PLAIN


def require_layout(asked: str | None, found: str, where: str) -> None:
    """Raise Refused when a collection that holds records of one layout is to be written in another."""
    if asked is not None and asked != found:
        raise Refused(
            f"the collection has the layout {found}, and {asked} was asked for",
            where=where,
            left="nothing was written",
            next=f"leave ?layout= (or --layout) out, or choose another target for the layout {asked}",
        )


__all__ = ["LANGCHAIN", "LLAMAINDEX", "NAMES", "OPTION", "PLAIN", "Codec", "meant", "require_layout", "wanted"]
