"""Conditions as Chroma filters: what they leave out cannot fit; whatever Chroma finds is looked at again.

Chroma has no order of texts, no test for a missing key, compares only what is flat, and looks for an element of a
list in another way than for a value. A part of a condition that it cannot say is left out of the filter. Metadata
that Chroma cannot hold lies beside it as JSON, where no filter looks: a collection with such a record has no
filter at all.
"""

from __future__ import annotations

from typing import Any

from wherry.stores.chroma.values import is_exact, is_plain_key
from wherry.where import All, AnyOf, Compare, Scalar, Where, without_not

Form = dict[str, Any]
# Integers that a double counts, so that 3 and 3.0 are found alike.
_EXACT = 1 << 53
_ORDERS = ("gt", "gte", "lt", "lte")


def filter_of(where: Where, listed: frozenset[str]) -> Form | None:
    """Return a filter that every record satisfying a condition passes; None where none would leave anything out.

    listed: keys that hold a list of numbers in some record, of which Chroma cannot compare the order.
    """
    return _condition(without_not(where), listed)


def ordered_keys(where: Where) -> set[str]:
    """Return the keys whose order a condition compares."""
    match where:
        case Compare(key, operator, _):
            return {key} if operator in _ORDERS else set()
        case All(of) | AnyOf(of):
            return set().union(*map(ordered_keys, of)) if of else set()
        case _:
            return ordered_keys(where.of)


def _condition(where: Where, listed: frozenset[str]) -> Form | None:
    match where:
        case Compare():
            return _compare(where, listed)
        case All(of):
            return _joined([part for each in of if (part := _condition(each, listed)) is not None], "$and")
        case AnyOf(of):
            parts = [_condition(each, listed) for each in of]
            return None if None in parts else _joined([part for part in parts if part is not None], "$or")
        case _:
            return None


def _compare(compare: Compare, listed: frozenset[str]) -> Form | None:
    key, operator, value = compare.key, compare.operator, compare.value
    # Nothing nested is held, so a key leads nowhere but to itself.
    if not is_plain_key(key):
        return None
    if operator in ("eq", "in"):
        values = value if isinstance(value, tuple) else (value,)
        tests = [_equal(key, each) for each in values]
        return None if None in tests else _joined([one for test in tests if test for one in test], "$or")
    if operator in _ORDERS and key not in listed and isinstance(value, int | float) and _is_sure(value):
        return {key: {f"${operator}": value}}
    return None


def _equal(key: str, value: Scalar) -> list[Form] | None:
    """Return what finds a value, as itself or in a list."""
    if value is None or (not isinstance(value, str | bool) and not _is_sure(value)):
        return None
    alike: list[Any] = [value]
    if not isinstance(value, str | bool) and float(value).is_integer():
        alike = [int(value), float(value)]
    return [{key: {"$eq": value}}, *({key: {"$contains": each}} for each in alike)]


def _is_sure(number: float) -> bool:
    """Tell whether a number reaches Chroma as it is."""
    return abs(number) < _EXACT and (isinstance(number, int) or number == 0 or is_exact(number))


def _joined(parts: list[Form], word: str) -> Form | None:
    """Return several filters as one; Chroma takes no list of one."""
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else {word: parts}
