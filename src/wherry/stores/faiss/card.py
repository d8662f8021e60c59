"""What a generation says of itself: `card.json`, with the checksums of the files beside it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import xxhash

from wherry.errors import Refused
from wherry.space import Space
from wherry.stores.base import Index
from wherry.stores.faiss.files import Output, corrupt

CARD_FILE, INDEX_FILE, RECORDS_FILE, VECTORS_FILE = "card.json", "index.faiss", "records.parquet", "vectors.f32"
_FORMAT = 1


@dataclass(frozen=True)
class Mark:
    """One published state: its number, and a token that no other state of any collection has."""

    number: int
    token: str

    @property
    def folder(self) -> str:
        """The name of the generation's folder."""
        return f"{self.number:010d}-{self.token}"


@dataclass(frozen=True)
class Stamp:
    """What a file must be: bytes and the XXH3-128 of them."""

    bytes: int
    xxh3: str


@dataclass(frozen=True)
class Card:
    """What a generation holds.

    count: records. vectors_in: the file whose bytes from `vectors_at` on are the records' vectors as
    they came, float32 in little-endian order, one after the other.
    """

    name: str
    count: int
    space: Space
    index: Index
    mark: Mark
    vectors_in: str = INDEX_FILE
    vectors_at: int = 0
    files: dict[str, Stamp] = field(default_factory=dict)

    @property
    def dimension(self) -> int:
        """Components per vector, 0 when that is not known yet."""
        return self.space.dimension or 0

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(stamp.bytes for stamp in self.files.values())

    @property
    def keeps_originals(self) -> bool:
        """Whether the index holds other vectors than came: the originals lie beside it."""
        return self.vectors_in == VECTORS_FILE

    def write(self, folder: Path) -> None:
        """Write `card.json` into a generation's folder, durably."""
        said = asdict(self) | {"wherry_faiss": _FORMAT, "space": self.space.to_dict()}
        out = Output(folder / CARD_FILE)
        out.write(json.dumps(said | {"seal": _seal(said)}, ensure_ascii=False, indent=1).encode())
        out.close()

    @classmethod
    def read(cls, raw: bytes, shown: str) -> Card:
        """Read a card. Raises ArchiveCorrupt, or Refused for a format of a later version."""
        try:
            said = json.loads(raw)
            seal = said.pop("seal")
        except (ValueError, KeyError, AttributeError, TypeError):
            raise corrupt(shown, "card.json is no card") from None
        if seal != _seal(said):
            raise corrupt(shown, "card.json is not what Wherry wrote: its checksum does not match")
        if said.pop("wherry_faiss") != _FORMAT:
            raise Refused(
                "the collection has a format of a later version",
                where=shown,
                left="nothing was read from it",
                next="use the version of wherry that wrote it",
            )
        known = {f.name for f in fields(cls)}
        said = {name: value for name, value in said.items() if name in known}
        return cls(**said | _typed(said))


def _typed(said: dict[str, Any]) -> dict[str, Any]:
    return {
        "space": Space.from_dict(said["space"]),
        "index": Index(**said["index"]),
        "mark": Mark(**said["mark"]),
        "files": {name: Stamp(**stamp) for name, stamp in said["files"].items()},
    }


def _seal(said: dict[str, Any]) -> str:
    plain = json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return xxhash.xxh3_128_hexdigest(plain.encode())
