"""What a cloud index or a framework left behind, read as items: five shapes, and one that is refused.

    L1  {index_name, …, documents: [{id, text, metadata, embedding}]}
    L2  the same, embeddings missing for some or all
    L3  pages of the API: documents and chunks; the chunks are the items
    L4  the reply to a query: refused, it cannot list everything
    L5  a folder of LlamaIndex with FAISS, or one such folder per hospital
    L6  a list of catalogue items {id, embedding_text, …}

Reading judges nothing but form; `checks.py` tells what is wrong with what was read.
"""

from __future__ import annotations

import codecs
import json
import math
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

import wherry

_BESIDE = ("document_id", "start_char_idx", "end_char_idx")
_VECTORS = ("faiss.index", "default__vector_store.json", "index.faiss")
_SOURCE, _DOCUMENT = "1", "4"
_NUMBERS = {int, float}


@dataclass(frozen=True)
class Item:
    """One item as it was found. vector: None where there is none."""

    id: str
    text: str
    metadata: dict[str, Any]
    vector: list[float] | None = None


@dataclass(frozen=True)
class Fault:
    """Something wrong, at one id or place."""

    id: str
    what: str


@dataclass
class Export:
    """Everything that was found. total, dimension: as declared, None where nobody says. made_by: spec of the model
    that made the vectors, where it is recorded. faults: what contradicts itself in the form already."""

    shape: str
    name: str
    items: list[Item]
    index_id: str = ""
    total: Any = None
    dimension: Any = None
    made_by: str | None = None
    faults: list[Fault] = field(default_factory=list)

    @property
    def without_vector(self) -> int:
        """How many items have no vector."""
        return sum(item.vector is None for item in self.items)


def read_export(path: Path) -> Export:
    """Read an export of any shape. Raises Usage, Refused (L4), Integrity for a file that is cut or no export."""
    if path.is_dir():
        return _folder(path)
    found = _json(path)
    if isinstance(found, list):
        return (
            _pages(path, found)
            if any(isinstance(p, dict) and "chunks" in p for p in found)
            else _catalogue(path, found)
        )
    if not isinstance(found, dict):
        raise _no_export(path, "neither an object nor a list")
    if "retrieval_nodes" in found:
        raise wherry.Refused(
            "this is the reply to a query: it lists the nearest passages, and cannot list everything",
            where=str(path),
            left="nothing was read from it",
            next="export the whole index; a reply can be the recorded side of `wherry checkup compare`",
        )
    if "docstore/data" in found:
        return _folder(path.parent)
    if "chunks" in found:
        return _pages(path, [found])
    if isinstance(found.get("documents"), list):
        return _documents(path, found)
    raise _no_export(path, f"it has the keys {', '.join(sorted(found)[:5]) or 'none'}")


def write_export(export: Export, path: Path) -> None:
    """Write an export in the shape L1, a document a line, whole or not at all; absent vectors are null."""
    head = {
        "index_name": export.name, "index_id": export.index_id, "shape": export.shape, "made_by": export.made_by,
        "faults": [dict(fault.__dict__) for fault in export.faults],
        "total_documents": export.total, "embedding_dimension": export.dimension,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    with new.open("w", encoding="utf-8") as out:
        out.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "documents": [')
        for number, item in enumerate(export.items):
            line = {"id": item.id, "text": item.text, "metadata": item.metadata, "embedding": item.vector}
            out.write((",\n" if number else "\n") + _line(line))
        out.write("\n]}\n")
    new.replace(path)


def _line(document: dict[str, Any]) -> str:
    # NaN would become null there, and what is wrong has to stay so until it is named.
    vector = document["embedding"]
    if vector is None or all(map(math.isfinite, vector)):
        with suppress(orjson.JSONEncodeError):
            return orjson.dumps(document).decode()
    return json.dumps(document, ensure_ascii=False)


def _json(path: Path) -> Any:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise wherry.Usage(f"the export cannot be read: {error.strerror}", where=str(path)) from None
    with suppress(ValueError):
        # Several times as fast; what it does not take is read again by the parser that names the spot.
        return orjson.loads(raw.removeprefix(codecs.BOM_UTF8))
    try:
        return json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise _cut(path, f"byte {error.start:,} is no UTF-8") from None
    except json.JSONDecodeError as error:
        raise _cut(path, f"line {error.lineno}, column {error.colno} (character {error.pos:,}): {error.msg}") from None


def _cut(path: Path, spot: str) -> wherry.Integrity:
    return wherry.Integrity(
        f"the file is cut or damaged at {spot}",
        where=str(path),
        left="nothing was taken from it",
        next="export it again",
    )


def _no_export(path: Path, why: str) -> wherry.Usage:
    return wherry.Usage(f"this is no export: {why}", where=str(path), next="name an export, a folder or a catalogue")


def _documents(path: Path, found: dict[str, Any]) -> Export:
    export = Export(
        "L1", str(found.get("index_name") or path.stem), [], str(found.get("index_id") or ""),
        found.get("total_documents"), found.get("embedding_dimension"), _maker(found),
    )  # fmt: skip
    # What was wrong with the form it came in is still wrong.
    export.faults += [Fault(str(f["id"]), str(f["what"])) for f in found.get("faults") or []]
    for number, document in enumerate(found["documents"]):
        _take(export, f"document {number}", document)
    export.shape = str(found.get("shape") or ("L2" if export.without_vector else "L1"))
    return export


def _maker(found: Mapping[str, Any]) -> str | None:
    """Return the spec of the model that made the vectors, where the export says it."""
    if isinstance(found.get("made_by"), str):
        return str(found["made_by"])
    card = found.get("wherry")
    space = card.get("space", {}) if isinstance(card, dict) else {}
    return spec_of(wherry.Space.from_dict(space)) if isinstance(space, dict) else None


def spec_of(space: wherry.Space) -> str | None:
    """Return the spec of the model of a space, None where it is not recorded."""
    if not space.provider or not space.model:
        return None
    return space.model if space.model.startswith(f"{space.provider}:") else f"{space.provider}:{space.model}"


def _take(export: Export, place: str, document: Any, metadata: Any = None, text: str = "text") -> None:
    """Add one document or chunk; what cannot be an item is a fault at its place."""
    if not isinstance(document, dict):
        export.faults.append(Fault(place, "it is no object"))
        return
    named = document.get("id", document.get("id_"))
    if not isinstance(named, (str, int)) or isinstance(named, bool) or named == "":
        export.faults.append(Fault(place, "it has no id"))
        return
    said = document.get("metadata") if metadata is None else metadata
    if said is not None and not isinstance(said, dict):
        export.faults.append(Fault(str(named), "its metadata is no object"))
    words, vector = document.get(text), document.get("embedding") or None
    if vector is not None and not (isinstance(vector, list) and set(map(type, vector)) <= _NUMBERS):
        export.faults.append(Fault(str(named), "its embedding is no list of numbers"))
        vector = None
    known = said if isinstance(said, dict) else {}
    export.items.append(Item(str(named), words if isinstance(words, str) else "", known, vector))


def _pages(path: Path, pages: list[Any]) -> Export:
    """Read pages of the API: the chunks are the items, each with the document it is of."""
    export = Export("L3", path.stem, [])
    listed: set[str] = set()
    held: set[str] = set()
    for page in pages:
        listed |= {str(d.get("id")) for d in page.get("documents") or [] if isinstance(d, dict)}
        for number, chunk in enumerate(page.get("chunks") or []):
            owner = _owner(chunk)
            held.add(owner)
            _take(export, f"chunk {number}", chunk, _chunk_metadata(chunk, owner))
    orphans = sorted(held - listed - {""}) if listed else []
    export.faults += [Fault(name, "chunks name this document, and it is not listed") for name in orphans]
    export.faults += [Fault(name, "this document is listed and has no chunk") for name in sorted(listed - held)]
    return export


def _owner(node: Any) -> str:
    relations = node.get("relationships") if isinstance(node, dict) else None
    source = relations.get(_SOURCE) if isinstance(relations, dict) else None
    return str(source.get("node_id") or "") if isinstance(source, dict) else ""


def _chunk_metadata(chunk: Any, owner: str) -> dict[str, Any]:
    if not isinstance(chunk, dict):
        return {}
    said = chunk.get("extra_info") or chunk.get("metadata") or {}
    beside = {"document_id": owner or None, **{name: chunk.get(name) for name in _BESIDE[1:]}}
    return {**{k: v for k, v in beside.items() if v is not None}, **(said if isinstance(said, dict) else {})}


def _catalogue(path: Path, found: list[Any]) -> Export:
    export = Export("L6", path.stem, [])
    for number, item in enumerate(found):
        fields = item if isinstance(item, dict) else {}
        rest = {k: v for k, v in fields.items() if k not in ("id", "embedding_text", "metadata", "embedding")}
        nested = fields.get("metadata")
        _take(
            export, f"item {number}", item, {**rest, **(nested if isinstance(nested, dict) else {})}, "embedding_text"
        )
    return export


def _folder(path: Path) -> Export:
    """Read a folder of LlamaIndex, or one per hospital in it."""
    if (path / "docstore.json").is_file():
        return _llamaindex(path, None)
    parts = [_llamaindex(p, p.name) for p in sorted(path.iterdir()) if (p / "docstore.json").is_file()]
    if not parts:
        raise _no_export(path, "the folder holds no docstore.json")
    whole = Export("L5", unicodedata.normalize("NFC", path.resolve().name), [])
    for part in parts:
        whole.items += part.items
        whole.faults += part.faults
    return whole


def _llamaindex(folder: Path, hospital: str | None) -> Export:
    store, index = _json(folder / "docstore.json"), _json(folder / "index_store.json")
    nodes = {name: _data(entry) for name, entry in (store.get("docstore/data") or {}).items() if _is_node(entry)}
    positions = {str(p): str(n) for entry in _structs(index) for p, n in entry.items()}
    vectors = dict(_vectors(folder))
    export = Export("L5", unicodedata.normalize("NFC", folder.resolve().name), [])
    export.faults += _unmatched(store, nodes, positions, vectors)
    placed = {node: vectors.get(position) for position, node in positions.items()}
    for name, node in nodes.items():
        said = node.get("metadata")
        owner = {"document_id": _owner(node)} if _owner(node) else {}
        known = {**owner, **(said if isinstance(said, dict) else {}), **({"hospital_id": hospital} if hospital else {})}
        _take(export, name, {"id": name, "text": node.get("text"), "embedding": placed.get(name)}, known)
    return export


def _is_node(entry: Any) -> bool:
    return isinstance(entry, dict) and str(entry.get("__type__")) != _DOCUMENT


def _data(entry: Any) -> dict[str, Any]:
    data = entry.get("__data__") if isinstance(entry, dict) else None
    found = json.loads(data) if isinstance(data, str) else data
    return found if isinstance(found, dict) else {}


def _structs(index: Any) -> Iterator[dict[str, Any]]:
    """Yield the maps from position to node of an index store."""
    for entry in (index.get("index_store/data") or {}).values():
        nodes = _data(entry).get("nodes_dict")
        if isinstance(nodes, dict):
            yield nodes


def _unmatched(
    store: Any, nodes: Mapping[str, Any], positions: Mapping[str, str], vectors: Mapping[str, Any]
) -> Iterator[Fault]:
    """Yield what does not belong together: documents, nodes, positions and vectors."""
    for name, info in (store.get("docstore/ref_doc_info") or {}).items():
        lost = [n for n in (info or {}).get("node_ids") or [] if n not in nodes]
        yield from (Fault(str(n), f"the document {name} names this node, and it is not there") for n in lost)
    for position, node in positions.items():
        if node not in nodes:
            yield Fault(node, f"position {position} leads to this node, and it is not there")
        if position not in vectors:
            yield Fault(node, f"position {position} has no vector")
    placed = set(positions.values())
    yield from (Fault(name, "an orphan: no position leads to this node") for name in nodes if name not in placed)
    yield from (Fault(f"position {p}", "a vector that no node has") for p in vectors if p not in positions)


def _vectors(folder: Path) -> Iterator[tuple[str, list[float]]]:
    """Yield position and vector of a folder's index; its pickles are never opened."""
    file = next((folder / name for name in _VECTORS if (folder / name).is_file()), None)
    if file is None:
        raise wherry.Integrity(
            f"the folder holds none of {', '.join(_VECTORS)}", where=str(folder), next="copy the whole folder again"
        )
    store = wherry.open_source(f"faiss:{file}")
    try:
        for page in store.scan():
            for record in wherry.to_records(page.records):
                yield record.id, [float(v) for v in record.vector]
    finally:
        store.close()
