"""What the acts return; `to_dict` is the JSON their commands print."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any

from wherry.record import Reject
from wherry.stores.base import Range

LISTED = 1000


class Level(IntEnum):
    """How thoroughly two sides were compared, weakest first."""

    COUNTED = 0
    IDS = 1
    DIGESTS = 2
    DEEP = 3

    @property
    def word(self) -> str:
        """The level as commands and results spell it."""
        return self.name.lower()

    @classmethod
    def parse(cls, word: str) -> Level:
        """Return the level called `word`. Raises Usage."""
        from wherry.errors import Usage

        try:
            return cls[word.upper()]
        except KeyError:
            raise Usage(f"unknown level {word!r}", next="use counted, ids, digests or deep") from None


@dataclass(frozen=True)
class Loss:
    """Something that does not come back as it was.

    code: a short word. severity: `lossy` (gone for good, must be accepted), `rounding` (within the
    stated tolerance) or `kept` (kept beside, comes back; something works differently meanwhile).
    records: how many records are affected, None when every one may be. examples: some of their ids.
    """

    code: str
    severity: str
    words: str
    records: int | None = None
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What a sync would do, lose and need, before a byte is written.

    rows, bytes: of the source. new, changed, unchanged, deleted, quarantined: records, None where the
    plan did not look (`sync` decides while it reads). disk_needed, disk_free: bytes at the target,
    None where the volume is not ours to see. seconds: estimate from a short probe. layouts: whose records the
    source and the target hold (`plain`, `llamaindex`, `langchain`). parts: the ranges of keys that several workers
    bring over, none where one does.
    """

    source: str
    target: str
    rows: int
    bytes: int
    creates: bool
    losses: tuple[Loss, ...]
    notes: tuple[str, ...]
    disk_needed: int
    disk_free: int | None
    seconds: float | None
    new: int | None = None
    changed: int | None = None
    unchanged: int | None = None
    deleted: int | None = None
    quarantined: int | None = None
    quarantine: tuple[Reject, ...] = ()
    layouts: tuple[str, str] = ("plain", "plain")
    parts: tuple[Range, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether a sync would have nothing to do; False when the plan did not look."""
        return (self.new, self.changed, self.deleted, self.quarantined) == (0, 0, 0, 0)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as a JSON object."""
        return {**asdict(self), "empty": self.empty}


@dataclass(frozen=True)
class SyncResult:
    """What a sync did. `read = written + unchanged + quarantined` always holds.

    verified: the weakest level that covers the whole target. equal: whether the target now holds
    exactly what the source holds. seconds: of the whole run; copying: of the part from the first record
    read to the last one written (and read back), without index, statistics and the closing count.
    """

    source: str
    target: str
    read: int
    written: int
    unchanged: int
    deleted: int
    quarantined: int
    losses: tuple[Loss, ...]
    verified: str
    equal: bool
    seconds: float
    run: str
    copying: float = 0.0
    created: int = 0
    changed: int = 0
    notes: tuple[str, ...] = ()
    quarantine: tuple[Reject, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 done, 5 when records are in quarantine, 1 when the target differs all the same."""
        if self.quarantined:
            return 5
        return 0 if self.equal else 1

    def to_dict(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Difference:
    """One difference: kind is `missing` (target lacks it), `extra` (source lacks it) or `different`."""

    id: str
    kind: str
    field: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Verification:
    """What a comparison found.

    level: what was compared; only `deep` proves. missing, extra, different: records.
    differences: the first of them. unreadable: records that no batch can hold, on either side.
    """

    source: str
    target: str
    level: str
    source_count: int
    target_count: int
    compared: int
    missing: int
    extra: int
    different: int
    unreadable: int
    differences: tuple[Difference, ...]
    losses: tuple[Loss, ...]
    tolerance: str
    seconds: float
    notes: tuple[str, ...] = field(default=())

    @property
    def equal(self) -> bool:
        """Whether nothing differs at this level."""
        return not (self.missing or self.extra or self.different or self.unreadable)

    @property
    def exit_code(self) -> int:
        """0 equal, 1 different."""
        return 0 if self.equal else 1

    @property
    def verdict(self) -> str:
        """The outcome in one word: only a deep comparison may say `verified`."""
        if not self.equal:
            return "different"
        return "verified" if self.level == Level.DEEP.word else f"equal by {self.level}"

    def to_dict(self) -> dict[str, Any]:
        """Return the verification as a JSON object."""
        return {**asdict(self), "equal": self.equal, "verdict": self.verdict}
