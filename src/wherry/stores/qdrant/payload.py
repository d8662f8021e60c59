"""Payloads: how text and metadata lie in a point.

Metadata lies flat beside the text, `{"text": ..., "page": 3, ...}`, because that is how Qdrant's own
guides, clients and most applications filter: `page`, not `metadata.page`. LangChain's shape
(`page_content` beside a nested `metadata`) is read and written as it is where it is found.

What the flat form cannot tell apart (no metadata and `{}`, a metadata key called `text`) or the engine
cannot hold exactly (integers beyond 64 bits, deep nesting, floats whose last bit it loses) additionally
lies as JSON text under `_wherry_metadata`, which then counts; beside it stays what filters can use.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from wherry.canonical import canonical_json
from wherry.stores.layouts import LANGCHAIN, LLAMAINDEX, PLAIN
from wherry.stores.layouts.llamaindex import CONTENT, Nodes
from wherry.stores.qdrant.floats import survives
from wherry.stores.qdrant.ids import ID_KEY

Payload = dict[str, Any]

METADATA_KEY = "_wherry_metadata"
NORM_KEY = "_wherry_norm"
# The engine reads its own write-ahead log with a limit of about 124 levels: a deeper payload is
# taken, and then the collection can never be opened again. On the gRPC wire the limit is 100 messages,
# three for each level of an object.
_DEEPEST = 20
# Where an integer beyond 64 bits, or a float that is not exact, can begin.
_LONG_NUMBER = r"[0-9.]{16}|[0-9][eE][-+]?[0-9]{2}"
_TEXT_KEYS = ("text", "document", "page_content")
_NESTED = "metadata"


@dataclass(frozen=True)
class Layout:
    """Where a collection's points keep their parts.

    text: the payload key of the text, "" where none has it. nested: metadata lies under the key `metadata` instead
    of beside the text. nodes: text and metadata lie in LlamaIndex's nodes.
    """

    text: str = "text"
    nested: bool = False
    nodes: bool = False

    @classmethod
    def called(cls, name: str, text: str | None = None) -> Layout:
        """Return the layout of a name, for a collection that is to be made. text: the key of a plain one's texts."""
        if name == LLAMAINDEX:
            return cls("", nodes=True)
        return cls("page_content", nested=True) if name == LANGCHAIN else cls(text or "text")

    @property
    def name(self) -> str:
        """The layout's name for people."""
        if self.nodes:
            return LLAMAINDEX
        return LANGCHAIN if self.nested else PLAIN

    def to_dict(self) -> dict[str, Any]:
        """Return the layout as a JSON object."""
        return asdict(self)

    @classmethod
    def from_dict(cls, card: dict[str, Any]) -> Layout:
        """Build a layout from what `to_dict` returned."""
        return cls(str(card.get("text", "text")), bool(card.get("nested", False)), bool(card.get("nodes", False)))


def layout_of(payloads: Iterable[Payload]) -> Layout:
    """Recognise the layout of points that another tool made; nothing to go by means the plain one."""
    filled = [payload for payload in payloads if payload]
    if any(isinstance(payload.get(CONTENT), str) for payload in filled):
        return Layout.called(LLAMAINDEX)
    counts = Counter(k for p in filled for k in _TEXT_KEYS if isinstance(p.get(k), str))
    # The commonest key wins, the earlier name where two are equally common.
    text = max(_TEXT_KEYS, key=lambda key: counts[key])
    nested = text == "page_content" and all(set(p) <= {text, _NESTED, ID_KEY, NORM_KEY, METADATA_KEY} for p in filled)
    return Layout(text, nested)


@dataclass(frozen=True)
class Codec:
    """Turns text and metadata into payloads and back.

    largest: the largest integer the way to the engine can carry.
    """

    layout: Layout
    largest: int = (1 << 64) - 1

    @property
    def records(self) -> Nodes | None:
        """What is between a framework's text and metadata and plain ones; None for nothing."""
        return Nodes(text_inside=True) if self.layout.nodes else None

    def encode(self, texts: pa.Array, metadata: pa.Array) -> list[Payload]:
        """Return one payload per record. Raises BadMetadata for what is no JSON object."""
        careful = _careful(metadata).to_pylist()
        rows = zip(texts.to_pylist(), metadata.to_pylist(), careful, strict=True)
        return [self._encoded(text, found, slow) for text, found, slow in rows]

    def decode(self, payloads: Sequence[Payload]) -> tuple[list[str | None], list[str | None]]:
        """Return texts and metadata (JSON text); `_wherry_id` and the norm are out already."""
        key, rest = self.layout.text, _nested if self.layout.nested else _json
        texts: list[str | None] = []
        metadata: list[str | None] = []
        for payload in payloads:
            whole, text = payload.pop(METADATA_KEY, None), payload.get(key)
            # What is no text belongs to the metadata.
            texts.append(payload.pop(key) if isinstance(text, str) else None)
            metadata.append(whole if isinstance(whole, str) else rest(payload))
        return texts, metadata

    def _encoded(self, text: str | None, metadata: str | None, careful: bool) -> Payload:
        if metadata is None:
            payload: Payload = {}
        else:
            value = json.loads(metadata) if careful else orjson.loads(metadata)
            if self._fits(value) and (not careful or self._holds(value, _DEEPEST, exactly=True)):
                payload = {_NESTED: value} if self.layout.nested else value
            else:
                payload = self._kept_aside(metadata)
        if text is not None:
            payload[self.layout.text] = text
        return payload

    def _fits(self, value: Payload) -> bool:
        if self.layout.nested:
            # LangChain reads an empty object as no metadata: only aside can it be told from that.
            return bool(value)
        return bool(value) and value.keys().isdisjoint((self.layout.text, ID_KEY, NORM_KEY, METADATA_KEY))

    def _kept_aside(self, metadata: str) -> Payload:
        """Return the whole metadata as text, and beside it what filters can use."""
        canonical = canonical_json(metadata)
        reserved = () if self.layout.nested else (self.layout.text, ID_KEY, NORM_KEY, METADATA_KEY)
        usable = {
            key: value
            for key, value in json.loads(canonical).items()
            if key not in reserved and self._holds(value, _DEEPEST, exactly=False)
        }
        beside = {_NESTED: usable} if self.layout.nested else usable
        return {**beside, METADATA_KEY: canonical}

    def _holds(self, value: Any, levels: int, exactly: bool) -> bool:
        """Tell whether the engine can hold a value; with `exactly`, whether it gives it back."""
        if isinstance(value, float):
            return not exactly or survives(value)
        if isinstance(value, bool) or not isinstance(value, (int, list, dict)):
            return True
        if isinstance(value, int):
            return -(1 << 63) <= value <= self.largest
        inner = value.values() if isinstance(value, dict) else value
        return levels > 0 and all(self._holds(item, levels - 1, exactly) for item in inner)


def _json(value: Payload | None) -> str | None:
    return orjson.dumps(value).decode() if value else None


def _nested(payload: Payload) -> str | None:
    inner = payload.get(_NESTED)
    alone = payload.keys() <= {_NESTED} and (inner is None or isinstance(inner, dict))
    return _json(inner if alone else payload)


def _careful(metadata: pa.Array) -> pa.Array:
    """Tell which texts may hold a number or a depth that has to be looked at."""
    if metadata.null_count == len(metadata):
        return pa.array([False] * len(metadata))
    long = pc.match_substring_regex(metadata, _LONG_NUMBER)
    opened = pc.add(pc.count_substring(metadata, "{"), pc.count_substring(metadata, "["))
    return pc.fill_null(pc.or_(long, pc.greater(opened, _DEEPEST)), False)
