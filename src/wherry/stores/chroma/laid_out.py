"""Which framework's records a Chroma collection holds.

LlamaIndex's are known by their `_node_content`. LangChain keeps text and metadata exactly as a plain collection
has them, so that there is nothing to recognise and nothing to change.
"""

from __future__ import annotations

from typing import Any

from chromadb.api.models.Collection import Collection as Handle

from wherry.stores.layouts import LANGCHAIN, LLAMAINDEX, NAMES, PLAIN, Codec, meant, require_layout
from wherry.stores.layouts.llamaindex import CONTENT, Nodes

CARD = "wherry_layout"
_SAMPLED = 20


def layout_of(handle: Handle, asked: str | None, followed: str | None, writing: bool) -> str:
    """Return the layout of a collection; see `layouts.meant`.

    Raises Refused where another one was asked for; only to be read may any collection be taken as plain.
    """
    found = _found(handle)
    if found is None or asked is None:
        return meant(asked, followed, found)
    if (writing or asked != PLAIN) and _as_plain(asked) != _as_plain(found):
        require_layout(asked, found, handle.name)
    return asked


def codec_of(layout: str) -> Codec | None:
    """Return what is between a layout and plain records; None for nothing."""
    return Nodes(flat=True) if layout == LLAMAINDEX else None


def card(layout: str) -> dict[str, str]:
    """Return what is noted beside a new collection."""
    return {} if layout == PLAIN else {CARD: layout}


def _found(handle: Handle) -> str | None:
    noted = (handle.metadata or {}).get(CARD)
    if noted in NAMES:
        return str(noted)
    sampled: Any = handle.get(limit=_SAMPLED, include=["metadatas"])["metadatas"]
    if not sampled:
        return None
    return LLAMAINDEX if any(metadata and CONTENT in metadata for metadata in sampled) else PLAIN


def _as_plain(layout: str) -> str:
    return PLAIN if layout == LANGCHAIN else layout
