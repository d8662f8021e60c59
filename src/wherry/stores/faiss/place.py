"""Which files an address means.

faiss:./folder#name        a collection of ours: the folder `name` in `folder`
                           else a LangChain folder (`name.faiss`, `name.pkl`)
                           else a LlamaIndex folder (`name__vector_store.json`, `docstore.json`)
faiss:./folder             a LangChain or LlamaIndex folder with its usual names
faiss:./path/to/any.index  an index file alone: its vectors, numbered
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from wherry.address import Address, is_url
from wherry.errors import BadAddress, Unsupported
from wherry.stores.faiss.files import pointed
from wherry.stores.layouts import PLAIN, wanted

OPTIONS = {"metric", "layout"}
_LONGEST_NAME = 240
_LLAMA_VECTORS = "{}__vector_store.json"


@dataclass(frozen=True)
class Place:
    """What lies at an address. layout: `plain`, `file`, `langchain`, `llamaindex`, or "" for nothing yet.

    folder: of a collection of ours, which need not be there. index: the index file of the others.
    """

    layout: str
    folder: Path
    name: str
    index: Path | None = None

    @property
    def identity(self) -> str:
        """Equal for two places exactly when they are the same collection."""
        return f"faiss:{(self.index or self.folder).resolve()}"


def located(address: Address) -> Place:
    """Return what lies at an address; layout "" where nothing does. Raises BadAddress or Unsupported."""
    place, asked = _there(address), wanted(address)
    if asked not in (None, place.layout or PLAIN, PLAIN if place.layout == "file" else None):
        raise Unsupported(
            f"what lies here has the layout {place.layout or PLAIN}, and none can be chosen with FAISS",
            where=str(address),
            left="nothing was written",
            next="leave ?layout= (or --layout) out: folders of LangChain and LlamaIndex are read, never written",
        )
    return place


def _there(address: Address) -> Place:
    address.require_options(OPTIONS)
    if is_url(address.location) or not address.location:
        raise BadAddress("faiss: is followed by a folder or a file", where=str(address), next="faiss:./folder#name")
    path, name = Path(address.path), address.collection
    if path.is_file():
        if name:
            raise BadAddress(
                "an index file holds one collection", where=str(address), next="leave out everything from # on"
            )
        return Place("file", path, path.stem, path)
    if name:
        folder = path / directory(name, str(address))
        if pointed(folder) is not None:
            return Place("plain", folder, name)
        return _frameworks(path, name, name) or Place("", folder, name)
    if pointed(path) is not None:
        return Place("plain", path, path.resolve().name)
    return _frameworks(path, "index", "default") or Place("", path, "")


def _frameworks(path: Path, langchain: str, llamaindex: str) -> Place | None:
    index = path / f"{langchain}.faiss"
    if "/" not in langchain and index.is_file():
        return Place("langchain", path, langchain, index)
    index = path / _LLAMA_VECTORS.format(llamaindex)
    if "/" not in llamaindex and index.is_file():
        return Place("llamaindex", path, llamaindex, index)
    return None


def names_in(folder: Path) -> list[str]:
    """Return the names of the collections of ours in a folder, as their folders are called."""
    return sorted(path.name for path in folder.iterdir() if pointed(path) is not None) if folder.is_dir() else []


def directory(name: str, shown: str) -> str:
    """Return the name of a collection's folder: what a file name cannot hold is encoded. Raises BadAddress."""
    encoded = "".join(quote(c, safe="") if c in '/\\%:*?"<>|' or c < " " else c for c in name)
    # No hidden folder, and no way up.
    encoded = "%2E" + encoded[1:] if encoded[0] == "." else encoded
    if len(encoded.encode()) > _LONGEST_NAME:
        raise BadAddress(f"the name is longer than {_LONGEST_NAME} bytes as a folder's", where=shown)
    return encoded
