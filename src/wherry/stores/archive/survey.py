"""The first pass over a JSON archive that carries no seal: what it holds, and whether that is what it says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from wherry.errors import ArchiveCorrupt
from wherry.stores.archive.element import Element
from wherry.stores.archive.lookup import Lookup

_ADD_AT_ONCE = 4096
_SHOWN_KEYS = 5


@dataclass
class Survey:
    """What a pass over all documents found.

    dimensions: how many vectors have how many components, in order of first appearance.
    further: keys of documents that a record has no place for.
    """

    count: int = 0
    without_vector: int = 0
    integer_ids: int = 0
    text_ids: int = 0
    dimensions: Counter[int] = field(default_factory=Counter)
    further: set[str] = field(default_factory=set)
    lookup: Lookup = field(default_factory=Lookup)

    def take(self, documents: Iterable[tuple[int, int, Element]]) -> None:
        """Look at all documents, each with its offset and length in the file."""
        waiting: list[tuple[str, int, int]] = []
        for offset, length, element in documents:
            self._count(element)
            if element.id:
                waiting.append((element.id, offset, length))
            if len(waiting) == _ADD_AT_ONCE:
                self.lookup.add(waiting)
                waiting.clear()
        self.lookup.add(waiting)

    def _count(self, element: Element) -> None:
        self.count += 1
        if element.values:
            self.dimensions[len(element.values)] += 1
        else:
            self.without_vector += 1
        if element.id:
            self.integer_ids += element.integer
            self.text_ids += not element.integer
        self.further |= element.further

    def dimension(self, stated: Any, shown: str) -> int | None:
        """Return the dimension of the file: the one it states, else that of most of its vectors.

        Raises ArchiveCorrupt when no vector at all has the stated dimension.
        """
        if type(stated) is not int or stated <= 0:
            return max(self.dimensions, key=self.dimensions.__getitem__) if self.dimensions else None
        if self.dimensions and stated not in self.dimensions:
            found = ", ".join(str(size) for size in sorted(self.dimensions))
            raise contradiction(
                f"the file states embedding_dimension {stated}, its embeddings have {found} components", shown
            )
        return stated

    def require_total(self, stated: Any, shown: str) -> None:
        """Raise ArchiveCorrupt when the stated number of documents is not the number of documents."""
        if stated is not None and (type(stated) is not int or stated != self.count):
            raise contradiction(
                f"the file states total_documents {stated!r:.40}, it holds {self.count:,} documents", shown
            )

    def notes(self) -> Iterator[str]:
        """Say what a person should know before these documents are moved."""
        if self.count and self.without_vector == self.count:
            yield "no embeddings: must be re-embedded"
        elif self.without_vector:
            yield f"{self.without_vector:,} of {self.count:,} documents have no embedding"
        if len(self.dimensions) > 1:
            sizes = ", ".join(f"{n:,} × {size}" for size, n in self.dimensions.most_common())
            yield f"embeddings of different dimensions: {sizes}"
        if self.integer_ids and not self.text_ids:
            yield "the ids are integers; they become their decimal text"
        if self.further:
            yield f"documents have further keys that are not carried: {self._further()}"

    def losses(self) -> Iterator[str]:
        """Say what would be lost if the file were written anew."""
        if self.integer_ids:
            yield "integer ids would become texts"
        if self.further:
            yield f"these keys of its documents would be gone: {self._further()}"

    def _further(self) -> str:
        shown = ", ".join(sorted(self.further)[:_SHOWN_KEYS])
        return shown + (", …" if len(self.further) > _SHOWN_KEYS else "")


def contradiction(what: str, shown: str) -> ArchiveCorrupt:
    """Return the error for a file that contradicts itself."""
    return ArchiveCorrupt(what, where=shown, left="no record was handed out", next="fetch or export the file again")
