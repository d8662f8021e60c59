"""What is known about an archive before its records are read, and how that is put into the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pyarrow as pa

from wherry.canonical import digests, total
from wherry.errors import Refused
from wherry.space import Space
from wherry.stores.archive.seal import EMPTY_SEAL
from wherry.stores.base import Index

FORMAT = 1
CARD_KEY, SEAL_KEY = "wherry", "wherry_seal"


@dataclass(frozen=True)
class Card:
    """What a look at an archive found.

    name: what the file calls itself, else its own name. sealed: written by Wherry and whole.
    integer_ids: every id is a number in the file. notes: for a person, one sentence each. losses:
    what writing the file anew would lose, in words. extra: what the file says besides.
    """

    name: str
    count: int
    space: Space
    index: Index = field(default_factory=Index)
    sealed: bool = False
    integer_ids: bool = False
    notes: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def dimension(self) -> int:
        """Components per vector, 0 when there are no vectors."""
        return self.space.dimension or 0

    @staticmethod
    def place_words(place: Any) -> str:
        """Say where in the file a record is."""
        return f"byte {place[0]:,}" if isinstance(place, tuple) else f"row {place:,}"

    def to_dict(self) -> dict[str, Any]:
        """Return the card as the JSON object that is kept in the file."""
        index = {name: value for name, value in asdict(self.index).items() if value is not None}
        return {"format": FORMAT, "count": self.count, "space": self.space.to_dict(), "index": index}

    @classmethod
    def from_dict(cls, name: str, found: Mapping[str, Any], shown: str) -> Card:
        """Read what `to_dict` returned. Raises Refused for a format of a later version."""
        if found.get("format") != FORMAT:
            raise Refused(
                f"the archive has format {found.get('format')}, this version reads {FORMAT}",
                where=shown,
                left="nothing was read from it",
                next="use the version of wherry that wrote it",
            )
        space, index = Space.from_dict(found["space"]), Index(**found["index"])
        return cls(name, int(found["count"]), space, index, sealed=True)

    def noted(self, *notes: str) -> Card:
        """Return the card with more notes."""
        return replace(self, notes=(*self.notes, *notes))


@dataclass
class Tally:
    """Count and digest sum of the records that passed by."""

    count: int = 0
    digest: int = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Count a batch."""
        self.count += batch.num_rows
        self.digest = (self.digest + total(digests(batch))) % (1 << 128)

    def closing(self) -> dict[str, Any]:
        """Return the closing part of an archive: count, digest sum of the records, and the empty seal."""
        return {"count": self.count, "records": f"{self.digest:032x}", "seal": EMPTY_SEAL, "again": EMPTY_SEAL}
