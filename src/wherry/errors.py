"""Every error Wherry raises, in one tree.

    WherryError
    ├── Different            1   two collections differ; the tool did not fail
    ├── Usage                2
    │   ├── UnknownStore         no engine for this address
    │   ├── UnknownModel         no provider for this model spec
    │   ├── NoModel              the collection does not say which model made its vectors
    │   ├── MissingExtra         the engine's package is not installed
    │   ├── BadAddress           the address cannot be read
    │   ├── NoSuchRoute          there is no route of this name
    │   ├── NotFound             there is nothing of this id, or not for who asks
    │   ├── WrongDimension       a vector has another number of components than the collection's
    │   └── Unsupported          the engine cannot do this
    ├── Refused              3
    │   ├── LossNotAccepted      the plan lists a loss nobody accepted
    │   ├── MassDelete           too many deletions at once
    │   ├── SpaceMismatch        two collections whose vectors may not be mixed
    │   ├── UnknownMetric        the metric is not recorded and must not be guessed
    │   ├── NotEnoughSpace       the plan needs more disk than there is
    │   ├── NotVerified          nobody proved the two sides equal
    │   ├── WouldLoseWrites      writes made since would be lost
    │   └── Conflict             what is there stands against it
    ├── StoreError           4
    │   ├── Unreachable *        the store does not answer
    │   ├── TimedOut *           no answer in time; the outcome is unknown
    │   ├── RateLimited *        the store asked us to wait
    │   ├── SourceChanged *      the source changed while it was being read
    │   ├── NoSuchCollection     the collection does not exist
    │   ├── NotListed            the documents of a source could not all be listed
    │   ├── AuthFailed           the credentials were refused
    │   ├── QuotaExceeded        the account's quota or money is used up
    │   ├── DiskFull             the disk is full
    │   ├── WorkerLost           one partition of a run cost several workers
    │   └── Rejected             the store refused the request
    ├── BadRecord            5   records could not cross; the rest is done
    ├── Integrity            6
    │   ├── ArchiveCorrupt       a file is damaged or contradicts itself
    │   ├── JournalCorrupt       the journal cannot be read
    │   ├── BadAnswer            a model's answer does not fit the question
    │   └── ReadBackDiffers      what was written does not read back equal
    ├── Busy                 7   another run holds the target
    └── Interrupted        130   stopped by the user; resumable

Errors marked * are retryable. A message says what, where, what was left behind and the next
command; it never holds a credential or the body of a record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

AGAIN = "see that it is up, then run the same again: it goes on from there"


class WherryError(Exception):
    """Something went wrong."""

    exit_code = 2
    retryable = False

    def __init__(self, what: str = "", *, where: str = "", left: str = "", next: str = "") -> None:
        self.what = what or (type(self).__doc__ or "").strip().splitlines()[0]
        self.where = where
        self.left = left
        # What may succeed by itself later needs no other advice; a more exact one is the raiser's to give.
        self.next = next or (AGAIN if self.retryable else "")
        super().__init__(self.what)

    def __str__(self) -> str:
        lines = [self.what]
        lines += [
            f"  {label}: {value}"
            for label, value in (("where", self.where), ("left behind", self.left), ("next", self.next))
            if value
        ]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the error as the JSON object that `--json` prints."""
        return {
            "error": type(self).__name__,
            "what": self.what,
            "where": self.where,
            "left_behind": self.left,
            "next": self.next,
            "exit_code": self.exit_code,
            "retryable": self.retryable,
        }


class Different(WherryError):
    """The two sides differ."""

    exit_code = 1


class Usage(WherryError):
    """The command cannot be carried out as written."""


class UnknownStore(Usage):
    """No engine answers to this address."""


class UnknownModel(Usage):
    """No provider answers to this model spec."""


class NoModel(Usage):
    """The collection does not say which model made its vectors."""


class MissingExtra(Usage):
    """The package of this engine is not installed."""


class NoSuchRoute(Usage):
    """There is no route of this name."""


class NotFound(Usage):
    """There is nothing of this name or number."""


class BadAddress(Usage):
    """The address cannot be read."""


class WrongDimension(Usage):
    """The vector has another number of components than the collection's."""


class Unsupported(Usage):
    """The engine cannot do this."""


class Refused(WherryError):
    """Refused to protect the data."""

    exit_code = 3


class LossNotAccepted(Refused):
    """The move would lose something nobody accepted."""


class MassDelete(Refused):
    """The run would delete a large part of the target."""


class SpaceMismatch(Refused):
    """The vectors of the two collections may not be mixed."""


class UnknownMetric(Refused):
    """The metric of the collection is not recorded, and a guess could be wrong."""


class NotEnoughSpace(Refused):
    """The disk has less room than the plan needs."""


class NotVerified(Refused):
    """Nobody proved the two sides equal."""


class WouldLoseWrites(Refused):
    """Writes made since would be lost."""


class Conflict(Refused):
    """What is there already stands against it."""


class StoreError(WherryError):
    """The store failed."""

    exit_code = 4


class Unreachable(StoreError):
    """The store does not answer."""

    retryable = True


class TimedOut(StoreError):
    """The store did not answer in time; whether it acted is unknown."""

    retryable = True


class RateLimited(StoreError):
    """The store asked to wait."""

    retryable = True

    def __init__(self, what: str = "", *, retry_after_s: float | None = None, **kw: str) -> None:
        super().__init__(what, **kw)
        self.retry_after_s = retry_after_s


class SourceChanged(StoreError):
    """The source changed while it was being read."""

    retryable = True


class NoSuchCollection(StoreError):
    """The collection does not exist."""


class NotListed(StoreError):
    """The documents of a source could not all be listed."""


class AuthFailed(StoreError):
    """The store refused the credentials."""


class QuotaExceeded(StoreError):
    """The quota or the money of the account is used up."""


class DiskFull(StoreError):
    """The disk is full."""


class WorkerLost(StoreError):
    """Workers of a run were lost, one after the other."""


class Rejected(StoreError):
    """The store refused the request."""

    def __init__(self, what: str = "", *, divisible: bool = False, **kw: str) -> None:
        super().__init__(what, **kw)
        # Whether one item of a batch may be the reason, so that the others are worth sending without it.
        self.divisible = divisible


class BadRecord(WherryError):
    """Some records could not cross."""

    exit_code = 5

    def __init__(self, what: str = "", *, fields: Sequence[str] = (), **kw: str) -> None:
        super().__init__(what, **kw)
        # Of one record: the fields that cannot be taken as they are.
        self.fields = list(fields)

    def to_dict(self) -> dict[str, Any]:
        """Return the error as the JSON object that `--json` prints."""
        return super().to_dict() | ({"fields": self.fields} if self.fields else {})


class Integrity(WherryError):
    """The data contradicts itself."""

    exit_code = 6


class ArchiveCorrupt(Integrity):
    """The file is damaged or contradicts itself."""


class JournalCorrupt(Integrity):
    """The journal cannot be read."""


class BadAnswer(Integrity):
    """The answer of the model does not fit the question."""


class ReadBackDiffers(Integrity):
    """What was written does not read back equal."""


class Busy(WherryError):
    """Another run holds the target."""

    exit_code = 7


class Interrupted(WherryError):
    """Stopped by the user."""

    exit_code = 130
