"""What the options of an address ask for."""

from __future__ import annotations

from dataclasses import dataclass, field

from wherry.address import Address
from wherry.errors import BadAddress
from wherry.space import Metric
from wherry.stores.layouts import OPTION, wanted

FIELD_TYPES = ("keyword", "integer", "float", "bool", "datetime", "uuid", "text", "geo")


@dataclass(frozen=True)
class Wanted:
    """What the options of an address ask for.

    text: the payload key of the text. vector: the name of the vector. metric: how vectors are
    compared, for a collection that is to be made from a source that does not say. fields: payload
    keys to be indexed for filters, key -> type. layout: of a framework, None where nothing is said.
    """

    text: str | None = None
    vector: str | None = None
    metric: Metric | None = None
    fields: dict[str, str] = field(default_factory=dict)
    layout: str | None = None

    @classmethod
    def of(cls, address: Address) -> Wanted:
        """Read `text`, `vector`, `metric` and `index=key,key:integer`. Raises BadAddress."""
        entries = [entry for entry in (address.option("index") or "").split(",") if entry]
        pairs = [entry.rpartition(":") if ":" in entry else (entry, ":", "keyword") for entry in entries]
        for _, _, kind in pairs:
            if kind not in FIELD_TYPES:
                raise BadAddress(f"a payload index cannot be of type {kind!r}", next=f"types: {', '.join(FIELD_TYPES)}")
        said = address.option("metric")
        metric = None if said is None else Metric.parse(said)
        fields = {key: kind for key, _, kind in pairs}
        return cls(address.option("text"), address.option("vector"), metric, fields, wanted(address))


def options(*more: str) -> set[str]:
    """Return the names of the options an address of Qdrant may have."""
    return {"text", "vector", "metric", "index", OPTION, *more}
