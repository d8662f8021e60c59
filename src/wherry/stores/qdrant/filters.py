"""Conditions as Qdrant filters, in the form of its REST interface: what they leave out cannot fit.

A filter lets everything through that satisfies the condition, and may let more through: Qdrant has no order of
texts, knows numbers as float64 alone, and counts null and an empty list as missing. Whatever it finds is looked
at again. Keys are quoted steps of a path, values are values: nothing is pasted together.
"""

from __future__ import annotations

from typing import Any

from wherry.stores.qdrant.payload import METADATA_KEY, Layout
from wherry.where import All, AnyOf, Compare, Scalar, Where, paths, without_not

Form = dict[str, Any]
# Doubles count every integer below it.
_EXACT = 1 << 53
_RANGES = {"gt": ("gt", "gte"), "gte": ("gte", "gte"), "lt": ("lt", "lte"), "lte": ("lte", "lte")}


def filter_of(where: Where, layout: Layout, booleans: bool) -> Form | None:
    """Return a filter that every record satisfying a condition passes; None where none would leave anything out.

    booleans: whether this way to the engine can ask for true and false.
    """
    found = _condition(without_not(where), layout, booleans)
    if found is None:
        return None
    # What the payload cannot hold lies aside as text, where no filter looks.
    aside = {"must_not": [{"is_empty": {"key": METADATA_KEY}}]}
    return {"should": [found, aside]}


def _condition(where: Where, layout: Layout, booleans: bool) -> Form | None:
    match where:
        case Compare():
            return _compare(where, layout, booleans)
        case All(of):
            parts = [part for each in of if (part := _condition(each, layout, booleans)) is not None]
            return {"must": parts} if parts else None
        case AnyOf(of):
            every = [_condition(each, layout, booleans) for each in of]
            # Without any there is nothing that fits; an empty list would mean everything.
            return None if None in every or not every else {"should": every}
        case _:
            return None


def _compare(compare: Compare, layout: Layout, booleans: bool) -> Form | None:
    operator, value = compare.operator, compare.value
    keys = [key for path in paths(compare.key) if (key := _key(path, layout)) is not None]
    if len(keys) != compare.key.count(".") + 1:
        return None
    if operator == "exists":
        return None if value else {"is_empty": {"key": keys[0]}}
    if operator in ("eq", "in"):
        values = value if isinstance(value, tuple) else (value,)
        tests = [_equal(key, each, booleans) for key in keys for each in values]
        return None if None in tests or not tests else {"should": tests}
    if operator in _RANGES and isinstance(value, int | float):
        return {"should": [_range(key, operator, value) for key in keys]}
    return None


def _equal(key: str, value: Scalar, booleans: bool) -> Form | None:
    if value is None:
        return {"is_null": {"key": key}}
    if isinstance(value, bool):
        return {"key": key, "match": {"value": value}} if booleans else None
    if isinstance(value, str):
        return {"key": key, "match": {"value": value}}
    number = _double(value)
    return None if number is None else {"key": key, "range": {"gte": number, "lte": number}}


def _range(key: str, operator: str, value: float) -> Form:
    number = _double(value)
    if number is None:
        # Beyond every double: what satisfies it lies aside, or is every number.
        return {"key": key, "range": {}}
    sharp, blunt = _RANGES[operator]
    return {"key": key, "range": {sharp if abs(value) < _EXACT else blunt: number}}


def _double(value: float) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None


def _key(path: tuple[str, ...], layout: Layout) -> str | None:
    """Return a path as Qdrant reads it; None for a key that cannot be quoted."""
    if any('"' in step or "\\" in step for step in path):
        return None
    steps = ("metadata", *path) if layout.nested else path
    return ".".join(f'"{step}"' for step in steps)
