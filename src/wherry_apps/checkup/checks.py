"""What must hold of an export before anything rests on it, and what of it is stored."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import wherry
from wherry_apps.checkup.exports import Export, Fault, Item
from wherry_apps.checkup.rules import text_hash

LISTED = 20


@dataclass(frozen=True)
class Checked:
    """What was checked. dimension: of the vectors, None where there are none. faults: everything that is wrong."""

    shape: str
    documents: int
    distinct: int
    declared: Any
    dimension: int | None
    without_vector: int
    made_by: str | None
    faults: tuple[Fault, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the report, with the first faults."""
        listed = [dict(fault.__dict__) for fault in self.faults[:LISTED]]
        return {**self.__dict__, "faults": listed, "wrong": len(self.faults)}

    def require(self, where: str) -> None:
        """Raise Integrity, naming up to 20 ids, when anything is wrong."""
        if self.faults:
            named = "; ".join(f"{f.id}: {f.what}" for f in self.faults[:LISTED])
            raise wherry.Integrity(
                f"wrong with the export, in {len(self.faults):,} places: {named}",
                where=where,
                left="the export is kept as it came; nothing was loaded",
                next="export it again, then wherry checkup extract and verify",
            )


def check(export: Export) -> Checked:
    """Look at all of an export."""
    sizes = Counter(len(item.vector) for item in export.items if item.vector is not None)
    stated = export.dimension if isinstance(export.dimension, int) and export.dimension > 0 else None
    dimension = stated if stated in sizes else max(sizes, key=lambda s: (sizes[s], s)) if sizes else None
    faults = [*export.faults, *_counts(export), *_declared(export, sizes), *_items(export, dimension)]
    ids = {item.id for item in export.items}
    return Checked(
        export.shape, len(export.items), len(ids), export.total, dimension, export.without_vector, export.made_by,
        tuple(faults),
    )  # fmt: skip


def _counts(export: Export) -> Iterator[Fault]:
    if export.total is not None and export.total != len(export.items):
        yield Fault("total_documents", f"{export.total} are declared, {len(export.items)} are there")
    twice = [name for name, times in Counter(item.id for item in export.items).items() if times > 1]
    yield from (Fault(name, "the id is there more than once") for name in twice)
    if not export.items:
        yield Fault("documents", "there are none")


def _declared(export: Export, sizes: Counter[int]) -> Iterator[Fault]:
    if sizes and export.dimension is not None and export.dimension not in sizes:
        found = ", ".join(map(str, sorted(sizes)))
        yield Fault("embedding_dimension", f"{export.dimension} is declared, the vectors have {found}")


def _items(export: Export, dimension: int | None) -> Iterator[Fault]:
    for item in export.items:
        if not item.text.strip():
            yield Fault(item.id, "the text is empty")
        if item.vector is None:
            continue
        if len(item.vector) != dimension:
            yield Fault(item.id, f"{len(item.vector)} components, the others have {dimension}")
        elif not all(map(math.isfinite, item.vector)):
            yield Fault(item.id, "the vector is not finite")
        elif not any(item.vector):
            yield Fault(item.id, "the vector is zero")


def stored_metadata(item: Item) -> dict[str, Any]:
    """Return the metadata an item is stored with: its own, file and page under their usual names, the text's hash."""
    known = item.metadata
    file, page = known.get("source"), known.get("page")
    usual: dict[str, Any] = {}
    if "file_name" not in known and isinstance(file, str):
        usual["file_name"] = file
    if "page_label" not in known and isinstance(page, (str, int)):
        usual["page_label"] = str(page)
    return {**known, **usual, "text_sha256": text_hash(item.text)}
