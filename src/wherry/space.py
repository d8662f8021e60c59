"""The card that says which vectors may be compared.

Two vectors mean something to each other only when the same model made them under the same
settings. A `Space` travels with its collection; mixing two spaces is an error, never a guess.
A field that nobody recorded is None, which is not the same as "the usual".
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any, Self

from wherry.errors import BadAddress, SpaceMismatch


class Metric(StrEnum):
    """How two vectors of one space are compared."""

    COSINE = "cosine"
    L2 = "l2"
    IP = "ip"
    L1 = "l1"

    @classmethod
    def parse(cls, name: str) -> Self:
        """Return the metric called `name`, under any of the names the engines use.

        Raises BadAddress when no engine calls a metric that.
        """
        known = {
            "cosine": "cosine", "cos": "cosine",
            "l2": "l2", "euclid": "l2", "euclidean": "l2",
            "ip": "ip", "dot": "ip", "inner_product": "ip",
            "l1": "l1", "manhattan": "l1",
        }  # fmt: skip
        if name.lower() not in known:
            raise BadAddress(f"unknown metric {name!r}", next="use cosine, l2, ip or l1")
        return cls(known[name.lower()])


@dataclass(frozen=True)
class Space:
    """What makes vectors comparable; None means "not recorded".

    dimension: components per vector. metric: how they are compared. provider, model,
    model_digest: what made them. normalised: whether they arrived with unit length.
    query_prompt, document_prompt: text put before what was embedded.
    """

    dimension: int | None = None
    metric: Metric | None = None
    provider: str | None = None
    model: str | None = None
    model_digest: str | None = None
    normalised: bool | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None

    def conflicts(self, other: Space) -> list[str]:
        """Name the fields that both sides recorded and that differ, as "field: mine / theirs"."""
        found = []
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            if mine is not None and theirs is not None and mine != theirs:
                found.append(f"{field.name}: {mine} / {theirs}")
        return found

    def require_same(self, other: Space, here: str, there: str) -> None:
        """Raise SpaceMismatch, naming both sides, when the two spaces contradict each other."""
        conflicts = self.conflicts(other)
        if conflicts:
            raise SpaceMismatch(
                f"the vectors of {here} and {there} may not be mixed ({'; '.join(conflicts)})",
                where=f"{here} / {there}",
                left="nothing was written",
                next="choose another target, or re-embed the source into the target's space",
            )

    def filled_from(self, other: Space) -> Space:
        """Return this space with its unrecorded fields taken from `other`."""
        missing = {f.name: getattr(other, f.name) for f in fields(self) if getattr(self, f.name) is None}
        return replace(self, **missing)

    def with_metric(self, stated: Metric | None, address: str) -> Space:
        """Return this space with a metric that an address states. Raises SpaceMismatch when it has another."""
        said = Space(metric=stated)
        self.require_same(said, address, "its ?metric=")
        return self.filled_from(said)

    def to_dict(self) -> dict[str, Any]:
        """Return the recorded fields as a JSON object."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, card: dict[str, Any]) -> Space:
        """Build a space from what `to_dict` returned; fields of later versions are ignored."""
        known = {f.name for f in fields(cls)}
        values = {name: value for name, value in card.items() if name in known and value is not None}
        if "metric" in values:
            values["metric"] = Metric.parse(str(values["metric"]))
        return cls(**values)
