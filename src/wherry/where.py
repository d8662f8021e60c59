"""Conditions on metadata: one typed tree that every engine translates, and that decides by itself.

    {"source": "혈당.pdf", "page": {"$gte": 3}}                 both
    {"$or": [{"page": 1}, {"tag": {"$in": ["a", "b"]}}]}         one of them
    {"$not": {"draft": true}}                                   the opposite

A key is a key of the metadata object; a dot leads into a nested object when no key holds the whole name.
Comparisons hold between values of one kind alone: a number is never compared with a text, and a missing key
satisfies nothing but `$ne`, `$nin`, `$not` and `{"$exists": false}`. A value or a key is data: no engine may
paste one into a statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Scalar = str | int | float | bool | None
Operator = Literal["eq", "ne", "in", "nin", "gt", "gte", "lt", "lte", "exists"]


@dataclass(frozen=True)
class Compare:
    """One key against one value. value: a tuple of scalars for `in` and `nin`, a bool for `exists`."""

    key: str
    operator: Operator
    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True)
class All:
    """Every one of some conditions; none of them is always true."""

    of: tuple[Where, ...]


@dataclass(frozen=True)
class AnyOf:
    """At least one of some conditions."""

    of: tuple[Where, ...]


@dataclass(frozen=True)
class Not:
    """The opposite of a condition."""

    of: Where


Where = Compare | All | AnyOf | Not


def parse(condition: Mapping[str, Any]) -> Where:
    """Return the condition that a JSON object states. Raises Usage, naming the part it cannot read."""
    raise NotImplementedError


def matches(where: Where, metadata: Mapping[str, Any] | None) -> bool:
    """Tell whether metadata satisfies a condition: what every engine's own filter must agree with."""
    raise NotImplementedError
