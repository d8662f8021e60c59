"""FAISS: an index file, and beside it what an index cannot hold.

    faiss:./folder#name          a collection of ours: index, sidecar with ids, texts and metadata, card
    faiss:./folder#name          a LangChain or LlamaIndex folder, where there is one: read only
    faiss:./any/file.index       an index file alone: its vectors, numbered: read only

Option: `metric` (for a new collection, or for an index of unit vectors under inner product).
FAISS itself is loaded when a graph is built; index files are only ever opened in a process of their own.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from wherry.address import Address
from wherry.errors import BadAddress, NoSuchCollection, Unsupported
from wherry.stores.base import Probe, Readable
from wherry.stores.faiss.foreign import ForeignSource
from wherry.stores.faiss.generation import Generation
from wherry.stores.faiss.place import Place, located, names_in
from wherry.stores.faiss.source import FaissSource
from wherry.stores.faiss.target import FaissTarget

if find_spec("faiss") is None:
    # Looked for, not loaded: most acts need none of it.
    raise ModuleNotFoundError("No module named 'faiss'", name="faiss")


def open_source(address: Address) -> Readable:
    """Open a collection for reading. Raises NoSuchCollection when it is not there."""
    place = located(address)
    if place.layout == "plain":
        live = Generation.live(place.folder, str(address))
        if live is not None:
            return FaissSource(place, str(address), live, address.stated_metric())
    elif place.layout:
        return ForeignSource(place, str(address), address.stated_metric())
    there = ", ".join(names_in(Path(address.path))[:10])
    raise NoSuchCollection(
        "there is no such collection",
        where=str(address),
        next=f"check the name; there are: {there}" if there else "check the path and the name",
    )


def open_target(address: Address) -> FaissTarget:
    """Open a collection for writing; it is made by prepare, not here."""
    place = located(address)
    if place.layout not in ("", "plain"):
        raise Unsupported(
            "this is an index of somebody else and can only be read",
            where=str(address),
            next="choose another folder or another name: faiss:FOLDER#NAME",
        )
    if not place.name:
        raise BadAddress("which collection is meant?", where=str(address), next="write faiss:FOLDER#NAME")
    return FaissTarget(place, str(address), address.stated_metric())


def probe() -> Probe:
    """Tell the version of FAISS."""
    import faiss

    return Probe("faiss", True, f"faiss {faiss.__version__}")


__all__ = ["Place", "open_source", "open_target", "probe"]
