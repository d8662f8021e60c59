"""What a move would lose: the source's capabilities less the target's.

`possible` compares the two claims and needs no data. `Projection` is the same list as an act: it
brings a batch into the form the target can hold, which is what is then written and what reading back
is compared with. With an engine that keeps everything it does nothing at all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wherry.canonical import canonical_json, canonical_metadata
from wherry.moving.results import Loss
from wherry.record import make_batch, vectors_of
from wherry.space import Metric
from wherry.stores.base import ALL_KINDS, Capabilities, Kind

_EXAMPLES = 5


def possible(source: Capabilities, target: Capabilities, metric: Metric | None) -> list[Loss]:
    """List what may be lost between two engines, whatever the data; most severe first."""
    return sorted(
        _possible(source, target, metric), key=lambda loss: ("lossy", "rounding", "kept").index(loss.severity)
    )


def _possible(source: Capabilities, target: Capabilities, metric: Metric | None) -> Iterator[Loss]:
    if target.precision_bits < source.precision_bits:
        yield Loss("precision", "lossy", f"components are rounded to {target.precision_bits} bits")
    if metric in target.normalises and metric not in source.normalises:
        yield Loss("rounding", "rounding", f"vectors under {metric} are rounded: at most 1e-6 of their length")
    if source.null_text and not target.null_text:
        yield Loss("null-text", "lossy", "records without text come back with an empty text")
    for kind in sorted(source.metadata - target.metadata):
        yield Loss(f"metadata-{kind}", "lossy", _METADATA_WORDS[kind])
    if _smaller(target.integer_bits, source.integer_bits):
        yield Loss("long-integers", "lossy", f"integers beyond {target.integer_bits} bits become text")
    if source.negative_zero and not target.negative_zero:
        yield Loss("negative-zero", "lossy", "-0.0 in metadata becomes 0.0")
    if unseen := _unseen(source, target):
        kinds = ", ".join(sorted(unseen))
        yield Loss("not-filterable", "kept", f"kept exactly, but the target's own filters do not see: {kinds}")


_METADATA_WORDS = {
    Kind.NULL: "keys with a null value are left out",
    Kind.BOOL: "true and false become text",
    Kind.INTEGER: "integers become text",
    Kind.FLOAT: "floats become text",
    Kind.TEXT: "texts are left out",
    Kind.LIST: "lists become JSON text",
    Kind.OBJECT: "nested objects become JSON text",
    Kind.EMPTY: "an empty metadata object becomes no metadata",
}


@dataclass
class Projection:
    """Brings batches into the form a target can hold, and counts what that changed.

    unseen: kinds of value the target keeps but cannot filter on; they are counted, not changed.
    """

    target: Capabilities
    unseen: frozenset[Kind] = frozenset()
    changed: dict[str, list[str]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def between(cls, source: Capabilities, target: Capabilities) -> Projection:
        """Return the projection of one engine's records into another's."""
        return cls(target, _unseen(source, target))

    @property
    def does_nothing(self) -> bool:
        """Whether every batch comes out as it went in."""
        return not self._half and self.target.null_text and not self._touches_metadata

    @property
    def _half(self) -> bool:
        return self.target.precision_bits == 16

    @property
    def _touches_metadata(self) -> bool:
        return self.target.metadata != ALL_KINDS or self._limits_numbers

    @property
    def _limits_numbers(self) -> bool:
        return self.target.integer_bits is not None or not self.target.negative_zero

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the batch as the target will hold it."""
        if self.unseen:
            self._count_unseen(batch)
        if self.does_nothing:
            return batch
        vectors, texts, metadata = vectors_of(batch), batch.column("text"), batch.column("metadata")
        ids = batch.column("id")
        if self._half:
            vectors = self._halved(ids, vectors)
        if not self.target.null_text and texts.null_count:
            self._count("null-text", ids.filter(pc.is_null(texts)).to_pylist())
            texts = pc.fill_null(texts, "")
        if self._touches_metadata:
            metadata = self._flattened(ids.to_pylist(), metadata)
        return make_batch(ids, vectors, texts, metadata)

    def found(self, losses: list[Loss]) -> list[Loss]:
        """Return the losses that really happened to the batches seen so far, counted, with examples.

        Losses that touch every record, or none of whose doing is counted here, stay as they are.
        """
        counted = [loss for loss in losses if loss.code in _UNCOUNTED or loss.code in self.counts]
        return [
            replace(loss, records=self.counts.get(loss.code), examples=tuple(self.changed.get(loss.code, ())))
            for loss in counted
        ]

    def add(self, counts: dict[str, int], changed: dict[str, list[str]]) -> None:
        """Count what another projection between the same two engines has counted."""
        for code, count in counts.items():
            self.counts[code] = self.counts.get(code, 0) + count
            examples = self.changed.setdefault(code, [])
            examples += changed.get(code, [])[: _EXAMPLES - len(examples)]

    def _count_unseen(self, batch: pa.RecordBatch) -> None:
        metadata = batch.column("metadata")
        # A first look at the text keeps the parser away from the plain records, which are nearly all.
        pattern = "|".join(_SIGNS[kind] for kind in sorted(self.unseen))
        rows = np.flatnonzero(pc.fill_null(pc.match_substring_regex(metadata, pattern), False))
        if len(rows) == 0:
            return
        texts = canonical_metadata(metadata.take(pa.array(rows))).texts.to_pylist()
        holds = [text is not None and bool(_kinds_in(json.loads(text)) & self.unseen) for text in texts]
        ids = batch.column("id").take(pa.array(rows)).filter(pa.array(holds, type=pa.bool_()))
        self._count("not-filterable", ids.to_pylist())

    def _halved(self, ids: pa.Array, vectors: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            halves = vectors.astype(np.float16).astype(np.float32)
        rounded = (halves != vectors).any(axis=1)
        self._count("precision", ids.filter(pa.array(rounded)).to_pylist())
        return halves

    def _flattened(self, ids: list[str], metadata: pa.Array) -> pa.Array:
        # What is no metadata at all passes as it is: it is for screening to set aside.
        canonical = canonical_metadata(metadata).texts.to_pylist()
        return pa.array(
            [
                original if text is None else self._flat(record_id, original, text)
                for record_id, original, text in zip(ids, metadata.to_pylist(), canonical, strict=True)
            ],
            type=pa.string(),
        )

    def _flat(self, record_id: str, original: str, text: str) -> str | None:
        value: dict[str, Any] = json.loads(text)
        codes: set[str] = set()
        flat = {k: self._value(v, codes) for k, v in value.items()}
        kept = {k: v for k, v in flat.items() if v is not _LEFT_OUT}
        if not kept and Kind.EMPTY not in self.target.metadata:
            self._count("metadata-empty-object", [record_id])
            return None
        for code in codes:
            self._count(code, [record_id])
        return original if not codes else canonical_json(json.dumps(kept, ensure_ascii=False))

    def _value(self, value: Any, codes: set[str]) -> Any:
        kind = kind_of(value)
        if kind not in self.target.metadata:
            codes.add(f"metadata-{kind}")
            value = _REPLACEMENTS[kind](value)
        elif kind is Kind.INTEGER:
            value = self._integer(value, codes)
        elif kind is Kind.FLOAT:
            value = self._float(value, codes)
        elif kind in (Kind.LIST, Kind.OBJECT) and self._limits_numbers:
            value = self._inside(value, codes)
        # Without texts there is nothing that any value could become.
        return _LEFT_OUT if isinstance(value, str) and Kind.TEXT not in self.target.metadata else value

    def _inside(self, value: Any, codes: set[str]) -> Any:
        """Bring the numbers inside a list or an object into form, at any depth without recursion here."""
        return json.loads(
            json.dumps(value),
            parse_int=lambda digits: self._integer(int(digits), codes),
            parse_float=lambda digits: self._float(float(digits), codes),
        )

    def _integer(self, value: int, codes: set[str]) -> int | str:
        bits = self.target.integer_bits
        if bits is None or -(1 << (bits - 1)) <= value < 1 << (bits - 1):
            return value
        codes.add("long-integers")
        return str(value)

    def _float(self, value: float, codes: set[str]) -> float:
        if self.target.negative_zero or value != 0 or math.copysign(1, value) > 0:
            return value
        codes.add("negative-zero")
        return 0.0

    def _count(self, code: str, ids: list[str]) -> None:
        if ids:
            self.counts[code] = self.counts.get(code, 0) + len(ids)
            self.changed.setdefault(code, []).extend(ids[: _EXAMPLES - len(self.changed.get(code, ()))])


_LEFT_OUT = object()
_UNCOUNTED = frozenset({"rounding"})
# What the text of a metadata object that holds such a value must contain.
_SIGNS = {
    Kind.NULL: "null",
    Kind.BOOL: "true|false",
    Kind.INTEGER: r"\d",
    Kind.FLOAT: r"\d",
    Kind.TEXT: '"',
    Kind.LIST: r"\[",
    Kind.OBJECT: r"[:,\[]\s*\{",
    Kind.EMPTY: r"\{\s*\}",
}


def _as_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


_REPLACEMENTS: dict[Kind, Callable[[Any], Any]] = {
    Kind.NULL: lambda value: _LEFT_OUT,
    Kind.TEXT: lambda value: _LEFT_OUT,
    Kind.BOOL: _as_text,
    Kind.INTEGER: _as_text,
    Kind.FLOAT: _as_text,
    Kind.LIST: _as_text,
    Kind.OBJECT: _as_text,
    Kind.EMPTY: _as_text,
}


def _unseen(source: Capabilities, target: Capabilities) -> frozenset[Kind]:
    return (source.filterable - target.filterable) & target.metadata


def _kinds_in(metadata: dict[str, Any]) -> set[Kind]:
    """Return the kinds of the values of a metadata object, and EMPTY for an object without any."""
    return {kind_of(value) for value in metadata.values()} if metadata else {Kind.EMPTY}


def kind_of(value: Any) -> Kind:
    """Return the kind of one metadata value."""
    if value is None:
        return Kind.NULL
    if isinstance(value, bool):
        return Kind.BOOL
    for kind, types in ((Kind.INTEGER, int), (Kind.FLOAT, float), (Kind.TEXT, str), (Kind.LIST, list)):
        if isinstance(value, types):
            return kind
    return Kind.OBJECT if value else Kind.EMPTY


def _smaller(target: int | None, source: int | None) -> bool:
    return target is not None and (source is None or target < source)
