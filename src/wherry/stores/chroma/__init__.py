"""Chroma 1.5: a persistent folder, or a running server.

    chroma:./welno#guides        chroma+http://host:8000#guides?token=...

What to know before using it:

- Opening a folder adds one row to a table of Chroma's own (`acquire_write`), for reading too; the
  collections are not touched. A folder that may not be written to cannot be opened at all.
- Chroma's index files bear one writing process. While Wherry writes a folder, no other process may have
  it open; afterwards, programs that had it open must open it again.
- What a write returned from survives a kill, and an index that a kill left half-written is put back by
  whoever opens the folder next through Wherry. Chroma by itself loses the vectors then.
- Chroma keeps a whole index in memory, for reading too.
- Under cosine, vectors come back within two units in the last place; under l2 and ip, bit by bit.

The names of this module are what the registry asks for. Importing it takes about 0.6 s, all of it Chroma.
"""

from __future__ import annotations

import chromadb

from wherry.address import Address
from wherry.stores.base import Probe
from wherry.stores.chroma.place import place_of
from wherry.stores.chroma.reading import ChromaSource
from wherry.stores.chroma.writing import ChromaStore


def open_source(address: Address) -> ChromaSource:
    """Open a collection for reading. Raises NoSuchCollection when it is not there; nothing is made."""
    store = ChromaSource(place_of(address))
    try:
        store.describe()
    except BaseException:
        store.close()
        raise
    return store


def open_target(address: Address) -> ChromaStore:
    """Open a collection for writing; it is made by `prepare`, not here."""
    return ChromaStore(place_of(address))


def probe() -> Probe:
    """Report the installed Chroma."""
    return Probe("chroma", True, f"chromadb {chromadb.__version__}")
