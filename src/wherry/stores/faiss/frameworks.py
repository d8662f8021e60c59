"""LangChain's and LlamaIndex's FAISS folders: which vector is which document, and what it says."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

import ijson

from wherry.errors import Integrity, Refused
from wherry.stores.faiss.files import Stored, corrupt, reading
from wherry.stores.faiss.pickles import Made, Unread, parsed
from wherry.stores.faiss.place import Place
from wherry.stores.faiss.spool import Document, Spool
from wherry.stores.layouts.json_text import written
from wherry.stores.layouts.llamaindex import CONTENT, NOBODY, OWNERS, TYPE, Nodes
from wherry.stores.layouts.rows import BadRow

_DEEPEST, _MOST_VALUES, _MOST_CHARACTERS = 100, 1_000_000, 64 << 20
_DOCSTORE, _INDEX_STORE, _ID_MAP = "docstore.json", "index_store.json", "id_map.json"
_SOURCE = "1"


def spooled(place: Place, shown: str) -> Spool:
    """Read the documents of a framework's folder. Raises Refused, ArchiveCorrupt or NoSuchCollection."""
    spool = Spool()
    try:
        _READERS[place.layout](place, spool, shown)
    except BaseException as error:
        spool.close()
        if isinstance(error, sqlite3.IntegrityError):
            raise corrupt(shown, "two ids have the same number") from None
        raise
    return spool


def _langchain(place: Place, spool: Spool, shown: str) -> None:
    file = Stored(_beside(place, f"{place.name}.pkl", shown), shown)
    docstore, ids = _two_parts(parsed(file.read_at(0, file.size), shown), shown)
    spool.number(_numbers(ids, shown))
    spool.keep(_langchain_document(str(key), made) for key, made in docstore.items())


def _two_parts(found: Any, shown: str) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """Return LangChain's documents by id, and its ids by number."""
    if isinstance(found, tuple) and len(found) == 2:
        store, ids = found
        documents = store.state.get("_dict") if isinstance(store, Made) else None
        if isinstance(documents, dict) and isinstance(ids, dict):
            return documents, ids
    raise Refused(
        "the pickle is not what LangChain saves beside an index",
        where=shown,
        left="nothing of it was run and nothing was read from it",
        next="name a folder that FAISS.save_local has written",
    )


def _numbers(ids: dict[Any, Any], shown: str) -> Iterator[tuple[int, str]]:
    for number, name in ids.items():
        if not isinstance(name, str) or isinstance(number, bool) or not str(number).lstrip("-").isdecimal():
            raise corrupt(shown, "its list of ids does not lead from numbers to ids")
        yield int(number), name


def _langchain_document(name: str, made: Any) -> Document:
    state = made.state.get("__dict__", made.state) if isinstance(made, Made) else {}
    text, metadata = state.get("page_content"), state.get("metadata")
    if not isinstance(text, str):
        return Document(name, fault=("BadDocument", "it is no document with a text"))
    try:
        text.encode()
        return Document(name, text, None if metadata is None else _json(metadata))
    except UnicodeEncodeError:
        return Document(name, fault=("BadText", "the text is not Unicode"))
    except ValueError as error:
        return Document(name, fault=("BadMetadata", str(error)))


def _json(metadata: Any) -> str:
    """Return metadata as JSON text. Raises ValueError, naming the kind of what JSON cannot hold."""
    if not isinstance(metadata, dict):
        raise ValueError("the metadata are no object")
    _require_plain(metadata)
    return json.dumps(metadata, ensure_ascii=False, allow_nan=False)


def _require_plain(value: Any) -> None:
    """Raise ValueError for what JSON cannot hold, or what would unfold without end."""
    waiting: list[tuple[Any, int]] = [(value, 0)]
    values = characters = 0
    while waiting:
        found, depth = waiting.pop()
        values += 1
        if isinstance(found, str):
            found.encode()
            characters += len(found)
        elif isinstance(found, dict):
            if not all(isinstance(key, str) for key in found):
                raise ValueError("a key in the metadata is no text")
            waiting += [(part, depth + 1) for part in chain(found, found.values())]
        elif isinstance(found, list):
            waiting += [(part, depth + 1) for part in found]
        elif not _is_scalar(found):
            name = found.name if isinstance(found, Unread) else type(found).__name__
            raise ValueError(f"the metadata hold a {name}, which JSON cannot")
        if depth > _DEEPEST or values > _MOST_VALUES or characters > _MOST_CHARACTERS:
            raise ValueError("the metadata are too deep or too large")


def _is_scalar(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (bool, int))


def _llamaindex(place: Place, spool: Spool, shown: str) -> None:
    path = _beside(place, _DOCSTORE, shown)
    spool.number(_llamaindex_numbers(place, shown))
    with reading(shown), path.open("rb") as stream:
        try:
            spool.keep(_nodes(stream))
        except (ijson.JSONError, UnicodeDecodeError):
            raise corrupt(shown, f"{_DOCSTORE} is no JSON") from None


def _beside(place: Place, name: str, shown: str) -> Path:
    """Return a file of a framework's folder. Raises Integrity when it is missing."""
    path = place.folder / name
    if not path.is_file():
        raise Integrity(
            f"the index is there, and {name}, which holds its documents, is not",
            where=shown,
            left="nothing was read",
            next=f"restore it, or name the file to read its vectors alone: faiss:{place.index}",
        )
    return path


def _llamaindex_numbers(place: Place, shown: str) -> Iterator[tuple[int, str]]:
    """Yield number and node id: from the map that FaissMapVectorStore saves, else from the index itself."""
    if (place.folder / _ID_MAP).is_file():
        yield from _numbers(_object(place.folder / _ID_MAP, shown).get("faiss_id_to_node_id_map", {}), shown)
        return
    for entry in _object(_beside(place, _INDEX_STORE, shown), shown).get("index_store/data", {}).values():
        data = entry.get("__data__") if isinstance(entry, dict) else None
        try:
            struct = json.loads(data) if isinstance(data, str) else dict(data or {})
            numbers = struct["nodes_dict"] if entry["__type__"] == "vector_store" else {}
        except (ValueError, KeyError, TypeError):
            raise corrupt(shown, f"{_INDEX_STORE} holds no index of vectors") from None
        yield from _numbers(numbers, shown)


def _object(path: Path, shown: str) -> dict[str, Any]:
    with reading(shown):
        raw = path.read_bytes()
    try:
        found = json.loads(raw)
    except ValueError:
        raise corrupt(shown, f"{path.name} is no JSON") from None
    if not isinstance(found, dict):
        raise corrupt(shown, f"{path.name} holds no object")
    return found


def _nodes(stream: Any) -> Iterator[Document]:
    for name, entry in ijson.kvitems(stream, "docstore/data"):
        data = entry.get("__data__") if isinstance(entry, dict) else None
        try:
            yield _node(name, json.loads(data) if isinstance(data, str) else _floats(data))
        except (BadRow, ValueError, RecursionError) as error:
            detail = error.detail if isinstance(error, BadRow) else "its JSON cannot be read"
            yield Document(name, fault=("BadNode", detail))


def _floats(value: Any) -> Any:
    """Return a JSON value with floats for decimals: the parser that knows long integers gives no floats."""
    if isinstance(value, dict):
        return {key: _floats(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_floats(part) for part in value]
    if isinstance(value, Decimal):
        found = float(value)
        if not math.isfinite(found):
            raise ValueError("a number beyond a double")
        return found
    return value


def _node(name: str, node: Any) -> Document:
    """Return a node as the layout's codec reads the ones that lie in engines with metadata of their own."""
    if not isinstance(node, dict):
        raise BadRow("BadNode", "it is no node")
    metadata, kind = node.get("metadata"), node.get("class_name")
    relationships = node.get("relationships")
    source = relationships.get(_SOURCE) if isinstance(relationships, dict) else None
    owner = (source.get("node_id") if isinstance(source, dict) else None) or NOBODY
    shown = metadata if isinstance(metadata, dict) else {}
    row = {**shown, **dict.fromkeys(OWNERS, owner), CONTENT: written(node), TYPE: kind}
    text, found = Nodes(text_inside=True).record(name, None, written(row))
    return Document(name, text, found)


_READERS: dict[str, Callable[[Place, Spool, str], None]] = {"langchain": _langchain, "llamaindex": _llamaindex}
