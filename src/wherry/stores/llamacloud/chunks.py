"""From a chunk as the service sends it to a record, or to the reason why it is none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

MISSING = "MissingVector"
_KNOWN = {"id_", "id", "text", "embedding", "extra_info", "metadata", "class_name"}
# What LlamaIndex writes where nobody set anything else.
_USUAL = {
    "mimetype": "text/plain",
    "metadata_seperator": "\n",
    "metadata_template": "{key}: {value}",
    "text_template": "{metadata_str}\n\n{content}",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A chunk. vector: float32, as bytes. fault: (reason, detail) when no batch can hold it.

    left: fields of the chunk that hold something and are not in the record.
    """

    id: str
    text: str | None = None
    metadata: str | None = None
    vector: bytes | None = None
    fault: tuple[str, str] | None = None
    left: frozenset[str] = frozenset()

    @property
    def dimension(self) -> int | None:
        """Components of its vector."""
        return None if self.vector is None else len(self.vector) // 4


def rows_of(document: str, chunks: list[dict[str, Any]], carry: tuple[str, ...]) -> Iterator[Row]:
    """Read the chunks of a document. carry: fields that go into the metadata where no key has their name."""
    for number, chunk in enumerate(chunks):
        yield _row(chunk, document, number, carry)


def _row(chunk: dict[str, Any], document: str, number: int, carry: tuple[str, ...]) -> Row:
    faults: list[tuple[str, str]] = []
    record_id = chunk.get("id_") or chunk.get("id")
    if not isinstance(record_id, str):
        faults.append(("BadId", "the chunk has no id"))
        record_id = f"{document}#{number}"
    record_id = _unicode(record_id, "id", faults) or f"{document}#{number}"
    text = chunk.get("text")
    if text is not None and not isinstance(text, str):
        faults.append(("BadText", "the text is not a text"))
        text = None
    fields = {"document_id": document, **{name: chunk.get(name) for name in carry if name != "document_id"}}
    metadata = _metadata(chunk, {name: fields[name] for name in carry}, faults)
    text = None if text is None else _unicode(text, "text", faults)
    metadata = None if metadata is None else _unicode(metadata, "metadata", faults)
    # Last: a fault of the vector alone can be mended.
    vector = _vector(chunk.get("embedding"), faults)
    return Row(
        record_id,
        text,
        metadata,
        vector,
        faults[0] if faults else None,
        frozenset(name for name, value in chunk.items() if _tells(name, value) and name not in carry),
    )


def _tells(name: str, value: Any) -> bool:
    return bool(value) and name not in _KNOWN and value != _USUAL.get(name)


def _metadata(chunk: dict[str, Any], carried: dict[str, Any], faults: list[tuple[str, str]]) -> str | None:
    found = chunk.get("extra_info")
    if found is None:
        found = chunk.get("metadata")
    if found is not None and not isinstance(found, dict):
        faults.append(("BadMetadata", "the metadata is not an object"))
        return None
    values = {name: value for name, value in carried.items() if value is not None}
    if found is None and not values:
        return None
    try:
        # The user's own key wins over one of ours.
        return json.dumps({**values, **(found or {})}, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError):
        faults.append(("BadMetadata", "the metadata holds NaN, a number beyond a double, or is nested too deeply"))
        return None


def _vector(found: Any, faults: list[tuple[str, str]]) -> bytes | None:
    if not found:
        faults.append((MISSING, "LlamaCloud sent no embedding: re-embed its text"))
        return None
    if not isinstance(found, list) or any(type(value) not in (float, int) for value in found):
        faults.append(("BadVector", "the embedding is not a list of numbers"))
        return None
    try:
        with np.errstate(over="ignore"):
            return np.array(found, dtype=np.float64).astype("<f4").tobytes()
    except OverflowError:
        faults.append(("NonFinite", "a component is beyond 32 bits"))
        return None


def _unicode(text: str, name: str, faults: list[tuple[str, str]]) -> str:
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        faults.append(({"id": "BadId", "text": "BadText"}.get(name, "BadMetadata"), f"the {name} is not valid Unicode"))
        return text.encode("utf-8", "backslashreplace").decode()


__all__ = ["MISSING", "Row", "rows_of"]
