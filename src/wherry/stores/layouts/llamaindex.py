"""LlamaIndex's nodes: text and the user's metadata, and everything else of a node under one key.

LlamaIndex keeps with every node its metadata twice: at the top level, where stores filter, and again inside
`_node_content`, the JSON of the whole node, from which the node is made again. Relationships, the type of the
node and its templates are in that JSON alone; `document_id`, `doc_id` and `ref_doc_id` repeat the id of the
source document, or the text "None".

A record holds the metadata once, as the node has it. What a fresh text node would not have anyway lies beside
it under `_llamaindex`, as JSON text:

    type        `_node_type`, where it is not TextNode
    node        fields of the node that differ from a fresh one's
    without     fields that a fresh one has and this one lacks
    top, gone   what the top level says otherwise than the node does, and what it does not repeat
    resource    what a media resource holds beside its text
    own         what the user keeps under `_llamaindex` himself

So a record without that key becomes an ordinary text node, a node goes through any store and comes back the
same, and metadata edited on the way is edited in both places of the node.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from wherry.record import Page
from wherry.stores.layouts import LLAMAINDEX
from wherry.stores.layouts.json_text import ordered, parsed, written
from wherry.stores.layouts.rows import BadRow, Row, read_page, written_batch

KEPT = "_llamaindex"
CONTENT, TYPE = "_node_content", "_node_type"
OWNERS = ("document_id", "doc_id", "ref_doc_id")
NOBODY = "None"
# At the top level only, where LlamaIndex does not look: the record had metadata, and it was empty.
EMPTY = "_wherry_empty"
# There too: the metadata as they were, of a record that used keys of LlamaIndex or of ours. So lies what somebody
# dumped from LlamaIndex's own collections, row by row.
RAW = "_wherry_raw"
_TAKEN = frozenset({CONTENT, TYPE, EMPTY, RAW})
_SOURCE = "1"
_TEXT_NODE = "TextNode"
_RESOURCE = "text_resource"
# Types whose text is a media resource; all others have a plain text.
_MEDIA = ("Node", "Document")
_FRESH: dict[str, Any] = {
    "id_": "",
    "embedding": None,
    "metadata": {},
    "excluded_embed_metadata_keys": [],
    "excluded_llm_metadata_keys": [],
    "relationships": {},
    "metadata_template": "{key}: {value}",
    "metadata_separator": "\n",
    "text": "",
    "mimetype": "text/plain",
    "start_char_idx": None,
    "end_char_idx": None,
    "text_template": "{metadata_str}\n\n{content}",
    "class_name": _TEXT_NODE,
}
_PARTS = frozenset({"type", "node", "without", "top", "gone", "resource", "own"})
# How far Chroma's own parser was seen to be off, and far below any edit by a person.
_NEAR = 1e-13
_SCALARS = (str, int, type(None))
Object = dict[str, Any]


@dataclass(frozen=True)
class Nodes:
    """The codec of nodes.

    text_inside: the text lies in the node's JSON (Qdrant), not beside it. flat: the top level holds plain
    values alone, and "" for null (Chroma).
    """

    text_inside: bool = False
    flat: bool = False
    name: str = field(default=LLAMAINDEX, init=False)

    def read(self, page: Page) -> Page:
        """Return the records of a page; a row whose node cannot be read becomes a reject."""
        return read_page(page, self.record)

    def written(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return what LlamaIndex would have written for these records."""
        return written_batch(batch, self.row)

    def record(self, record_id: str, text: str | None, metadata: str | None) -> Row:
        """Return text and metadata of one row. Raises BadRow when its node cannot be read."""
        top = _object(metadata, "its metadata") if metadata is not None else {}
        if CONTENT not in top:
            return self._bare(text, top, metadata)
        node = _node(top.pop(CONTENT))
        if isinstance(top.get(RAW), str):
            return _taken_text(node)[0] if self.text_inside else text, top[RAW]
        found, kind = node.pop("metadata", {}), top.pop(TYPE, _TEXT_NODE)
        was_empty = top.pop(EMPTY, None) is not None
        kept = {"type": kind} if kind != _TEXT_NODE else {}
        kept |= self._differences(top, found, _owner(node))
        inner, resource = _taken_text(node)
        kept |= _peculiar(node, record_id, kind) | ({"resource": resource} if resource else {})
        shown = _with_kept(found, kept)
        return inner if self.text_inside else text, written(shown) if shown or was_empty else None

    def row(self, record_id: str, text: str | None, metadata: str | None) -> Row:
        """Return text and metadata as LlamaIndex reads them."""
        shown = _object(metadata, "its metadata") if metadata is not None else {}
        if not _TAKEN.isdisjoint(shown):
            return self._as_dumped(record_id, text, metadata, shown)
        marks = {EMPTY: True} if metadata is not None and not shown else {}
        shown, kept = _split(shown)
        kind = kept.get("type", _TEXT_NODE)
        node = {**_FRESH, "id_": record_id, "class_name": kind} | kept.get("node", {})
        node["metadata"] = shown
        self._put_text(node, text, kind, kept.get("resource"))
        for name in kept.get("without", ()):
            node.pop(name, None)
        top = self._top(shown, _owner(node)) | kept.get("top", {})
        for name in kept.get("gone", ()):
            top.pop(name, None)
        # The form of LlamaIndex itself, to the letter.
        content = json.dumps(node, ensure_ascii=False)
        return None if self.text_inside else text, written({**top, CONTENT: content, TYPE: kind, **marks})

    def _as_dumped(self, record_id: str, text: str | None, metadata: str | None, shown: Object) -> Row:
        """Return a row whose node is the one that the metadata hold, if they hold one, and all of them beside it."""
        try:
            clean = Nodes().record(record_id, text, metadata)[1] if RAW not in shown else None
        except BadRow:
            clean = None
        found = shown if clean is None else parsed(clean)
        kept = {key: value for key, value in found.items() if key not in _TAKEN}
        text, row = self.row(record_id, text, written(kept))
        return text, written({**parsed(row or ""), RAW: metadata})

    def _bare(self, text: str | None, top: Object, metadata: str | None) -> Row:
        """Return a record that LlamaIndex did not write, as LlamaIndex reads such ones."""
        if not self.text_inside or not isinstance(top.get("text"), str):
            return text, metadata
        text = top.pop("text")
        return text, written(top) if top else None

    def _top(self, metadata: Object, owner: str) -> Object:
        """Return what the top level repeats of a node's metadata."""
        shown = {k: "" if v is None else v for k, v in metadata.items() if _is_plain(v)} if self.flat else metadata
        return {**shown, **dict.fromkeys(OWNERS, owner)}

    def _differences(self, top: Object, metadata: Object, owner: str) -> Object:
        expected = self._top(metadata, owner)
        other = {k: v for k, v in top.items() if k not in expected or not _same(v, expected[k])}
        gone = sorted(expected.keys() - top.keys())
        return {name: part for name, part in (("top", other), ("gone", gone)) if part}

    def _put_text(self, node: Object, text: str | None, kind: str, resource: Object | None) -> None:
        inside = text or "" if self.text_inside else ""
        node["text"] = inside
        if self.text_inside and kind in _MEDIA:
            node[_RESOURCE] = {**(resource or {}), "text": inside} if inside or resource else None
        elif resource:
            node[_RESOURCE] = resource


def _object(text: str, what: str) -> Object:
    try:
        return parsed(text)
    except ValueError:
        raise BadRow("BadMetadata", f"{what} is no JSON object") from None


def _node(content: Any) -> Object:
    if not isinstance(content, str):
        raise BadRow("BadNode", f"its {CONTENT} is no text")
    try:
        node = parsed(content)
    except ValueError:
        raise BadRow("BadNode", f"its {CONTENT} is no JSON object") from None
    for name in ("metadata", "relationships"):
        if not isinstance(node.get(name, {}), dict):
            raise BadRow("BadNode", f"the {name} in its {CONTENT} are no JSON object")
    return node


def _owner(node: Object) -> str:
    source = node.get("relationships", {}).get(_SOURCE)
    owner = source.get("node_id") if isinstance(source, dict) else None
    return owner if isinstance(owner, str) and owner else NOBODY


def _taken_text(node: Object) -> tuple[str, Object]:
    """Take the text out of a node; return it, and what its resource holds beside it."""
    text, resource = node.get("text"), node.pop(_RESOURCE, None)
    if "text" in node:
        node["text"] = ""
    found = resource if isinstance(resource, dict) else {}
    inner = found.pop("text", None)
    extras = {k: v for k, v in found.items() if v is not None}
    return next((t for t in (text, inner) if isinstance(t, str) and t), ""), extras


def _peculiar(node: Object, record_id: str, kind: Any) -> Object:
    """Return in what a node differs from a fresh one."""
    fresh = {**_FRESH, "id_": record_id, "class_name": kind}
    other = {k: v for k, v in node.items() if k not in fresh or not _same(v, fresh[k])}
    without = sorted(fresh.keys() - node.keys() - {"metadata"})
    return {name: part for name, part in (("node", other), ("without", without)) if part}


def _with_kept(metadata: Object, kept: Object) -> Object:
    if KEPT in metadata and (kept or _parts(metadata[KEPT]) is not None):
        kept = {**kept, "own": metadata[KEPT]}
    return {**metadata, KEPT: ordered(kept)} if kept else metadata


def _split(shown: Object) -> tuple[Object, Object]:
    """Return the user's metadata, and what was kept beside it."""
    kept = _parts(shown.get(KEPT))
    if kept is None:
        return shown, {}
    metadata = {k: v for k, v in shown.items() if k != KEPT}
    if "own" in kept:
        metadata[KEPT] = kept["own"]
    return metadata, kept


def _parts(text: Any) -> Object | None:
    """Return what lies under the reserved key; None when somebody else wrote it."""
    if not isinstance(text, str):
        return None
    try:
        value = parsed(text)
    except ValueError:
        return None
    sound = value and value.keys() <= _PARTS and all(value.values()) and ordered(value) == text
    return value if sound and all(isinstance(value.get(k, {}), dict) for k in ("node", "top", "resource")) else None


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float))


def _same(found: Any, expected: Any) -> bool:
    if found is expected:
        return True
    if isinstance(found, float) and isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=_NEAR, abs_tol=5e-323)
    if type(found) is not type(expected):
        return False
    # Inside of lists and objects 1 and 1.0 and true are equal to Python.
    return bool(found == expected if isinstance(found, _SCALARS) else ordered(found) == ordered(expected))
