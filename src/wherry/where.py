"""Conditions on metadata: one typed tree that every engine translates, and that decides by itself.

    {"source": "혈당.pdf", "page": {"$gte": 3}}                 both
    {"$or": [{"page": 1}, {"tag": {"$in": ["a", "b"]}}]}         one of them
    {"$not": {"draft": true}}                                   the opposite

A key is a key of the metadata object; a dot leads into a nested object when no key holds the whole name.
Comparisons hold between values of one kind alone: a number is never compared with a text, and a missing key
satisfies nothing but `$ne`, `$nin`, `$not` and `{"$exists": false}`. A value or a key is data: no engine may
paste one into a statement.

Numbers are compared as the decimals they are written as (1 equals 1.0), texts by code points. A list satisfies
`$eq`, `$in` and the four orders when one of its elements does; `$ne` and `$nin` are the opposites of `$eq` and
`$in`. A key that holds null exists. `$$name` means the key `$name`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import ge, gt, le, lt
from typing import Any, Literal, get_args

from wherry.errors import Usage

Scalar = str | int | float | bool | None
Operator = Literal["eq", "ne", "in", "nin", "gt", "gte", "lt", "lte", "exists"]

MAX_DEPTH = 32
MAX_COMPARISONS = 1_000
_OPERATORS = get_args(Operator)
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}
_MISSING = object()
# Below it, a float's decimal form compares with an integer as the float itself does.
_EXACT = 2**53
# No engine holds a longer number, and Python itself refuses to write one of more than 4,300 digits.
_DIGITS = 1_000
_TOO_LONG = 10**_DIGITS


@dataclass(frozen=True)
class Compare:
    """One key against one value. value: a tuple of scalars for `in` and `nin`, a bool for `exists`.

    Raises Usage for a value that the operator cannot take.
    """

    key: str
    operator: Operator
    value: Scalar | tuple[Scalar, ...]

    def __post_init__(self) -> None:
        if self.operator not in _OPERATORS:
            raise _unreadable(f"there is no operator {self.operator!r}")
        _require_text(self.key, "the key")
        many = self.operator in ("in", "nin")
        if many and not isinstance(self.value, tuple):
            raise _unreadable(f"${self.operator} of {self.key!r} needs a list of values")
        for value in self.value if many and isinstance(self.value, tuple) else (self.value,):
            _require_scalar(self.key, self.operator, value)


@dataclass(frozen=True)
class All:
    """Every one of some conditions; none of them is always true."""

    of: tuple[Where, ...]


@dataclass(frozen=True)
class AnyOf:
    """At least one of some conditions; none of them is always false."""

    of: tuple[Where, ...]


@dataclass(frozen=True)
class Not:
    """The opposite of a condition."""

    of: Where


Where = Compare | All | AnyOf | Not


def parse(condition: Mapping[str, Any]) -> Where:
    """Return the condition that a JSON object states. Raises Usage, naming the part it cannot read."""
    where = _object(condition, 0)
    count = sum(1 for _ in comparisons(where))
    if count > MAX_COMPARISONS:
        raise _unreadable(f"the condition compares {count:,} times, which is more than {MAX_COMPARISONS:,}")
    return where


def parse_text(text: str) -> Where:
    """Return the condition that a line of a command states: `page>=3 and tag in [a, b]`, or a JSON object.

    A bare value is a number, true, false or null where it reads as one, else a text; "3" in quotes is a text.
    Raises Usage, naming the part it cannot read.
    """
    from wherry.clauses import read

    return parse(read(text))


def stated(where: Where) -> dict[str, Any]:
    """Return the JSON object that states a condition: the opposite of `parse`."""
    match where:
        case Compare(key, operator, value):
            name = f"${key}" if key.startswith("$") else key
            return {name: {f"${operator}": list(value) if isinstance(value, tuple) else value}}
        case All(of):
            return {"$and": [stated(each) for each in of]} if of else {}
        case AnyOf(of):
            return {"$or": [stated(each) for each in of]} if of else {"$not": {}}
        case Not(of):
            return {"$not": stated(of)}


def comparisons(where: Where) -> Iterator[Compare]:
    """Yield every comparison of a condition."""
    match where:
        case Compare():
            yield where
        case Not(of):
            yield from comparisons(of)
        case All(of) | AnyOf(of):
            for each in of:
                yield from comparisons(each)


def matches(where: Where, metadata: Mapping[str, Any] | None) -> bool:
    """Tell whether metadata satisfies a condition: what every engine's own filter must agree with.

    metadata: as `decode` returns it; None is an empty object. Floats and Decimals may be mixed.
    """
    match where:
        case Compare(key, operator, value):
            return _compared(operator, _found(metadata or {}, key), value)
        case All(of):
            return all(matches(each, metadata) for each in of)
        case AnyOf(of):
            return any(matches(each, metadata) for each in of)
        case Not(of):
            return not matches(of, metadata)


def decode(metadata: str | None) -> dict[str, Any] | None:
    """Return metadata as `matches` takes it; None for a text that is no JSON object, which satisfies what {} does."""
    if metadata is None:
        return None
    try:
        value = json.loads(metadata, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def without_not(where: Where, opposite: bool = False) -> Where:
    """Return an equal condition in which only comparisons are negated, and those only where an order is."""
    match where:
        case Not(of):
            return without_not(of, not opposite)
        case All(of) | AnyOf(of):
            each = tuple(without_not(part, opposite) for part in of)
            return All(each) if isinstance(where, All) is not opposite else AnyOf(each)
        case Compare():
            return _negated(where) if opposite else where


def paths(key: str) -> Iterator[tuple[str, ...]]:
    """Yield where a key may lead, the first that is there wins: a.b.c -> (a.b.c), (a, b.c), (a, b, c)."""
    parts = key.split(".")
    for steps in range(len(parts)):
        yield (*parts[:steps], ".".join(parts[steps:]))


_OPPOSITES: dict[str, Operator] = {"eq": "ne", "ne": "eq", "in": "nin", "nin": "in"}


def _negated(compare: Compare) -> Where:
    if compare.operator == "exists":
        return Compare(compare.key, "exists", not compare.value)
    opposite = _OPPOSITES.get(compare.operator)
    return Compare(compare.key, opposite, compare.value) if opposite else Not(compare)


def _compared(operator: str, found: Any, value: Any) -> bool:
    if operator == "exists":
        return (found is not _MISSING) is value
    if operator in ("ne", "nin"):
        return not _compared(_OPPOSITES[operator], found, value)
    held = found if isinstance(found, list | tuple) else (found,)
    if operator in _ORDERS:
        return any(_ordered(_ORDERS[operator], each, value) for each in held)
    wanted = value if operator == "in" else (value,)
    return any(_equal(each, one) for each in held for one in wanted)


def _found(metadata: Mapping[str, Any], key: str) -> Any:
    """Return what a key leads to, _MISSING where it leads nowhere."""
    if key in metadata:
        return metadata[key]
    head, dot, rest = key.partition(".")
    inner = metadata.get(head) if dot else None
    return _found(inner, rest) if isinstance(inner, Mapping) else _MISSING


def _kind(value: Any) -> str | None:
    """Return the kind of a scalar, None for what is not one."""
    if value is None or isinstance(value, str | bool):
        return type(value).__name__
    if isinstance(value, float):
        return "number" if math.isfinite(value) else None
    return "number" if isinstance(value, int | Decimal) else None


def _equal(held: Any, wanted: Scalar) -> bool:
    kind = _kind(held)
    if kind is None or kind != _kind(wanted):
        return False
    return _ordered(lambda a, b: a == b, held, wanted) if kind == "number" else held == wanted


def _ordered(holds: Callable[[Any, Any], bool], held: Any, wanted: Any) -> bool:
    kind = _kind(held)
    if kind is None or kind != _kind(wanted):
        return False
    if kind == "number" and type(held) is not type(wanted):
        return holds(_decimal(held), _decimal(wanted))
    return holds(held, wanted)


def _decimal(number: float | Decimal) -> Any:
    """Return a number so that comparing it is comparing decimals."""
    if isinstance(number, float):
        return number if abs(number) < _EXACT and number.is_integer() else Decimal(repr(number))
    return number


def _object(condition: Any, depth: int) -> Where:
    if not isinstance(condition, Mapping):
        raise _unreadable(f"a condition is an object, not {_shown(condition)}")
    if depth > MAX_DEPTH:
        raise _unreadable(f"the condition is nested deeper than {MAX_DEPTH} levels")
    parts = [_part(key, value, depth) for key, value in condition.items()]
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _part(key: Any, value: Any, depth: int) -> Where:
    if not isinstance(key, str):
        raise _unreadable(f"a key is a text, not {_shown(key)}")
    if key in ("$and", "$or"):
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            raise _unreadable(f"{key} needs a list of at least one condition, not {_shown(value)}")
        of = tuple(_object(each, depth + 1) for each in value)
        return All(of) if key == "$and" else AnyOf(of)
    if key == "$not":
        return Not(_object(value, depth + 1))
    return _of_key(_plain(key), value)


def _plain(key: str) -> str:
    if key.startswith("$$"):
        return key[1:]
    if key.startswith("$"):
        raise _unreadable(f"there is no {key!r}; $and, $or and $not join conditions, $${key[1:]} is a key")
    return key


def _of_key(key: str, value: Any) -> Where:
    if not isinstance(value, Mapping):
        return Compare(key, "eq", value)
    if not value:
        raise _unreadable(f"{key!r} is compared with an empty object")
    parts = [_compare(key, operator, wanted) for operator, wanted in value.items()]
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _compare(key: str, operator: Any, value: Any) -> Compare:
    name: Any = operator[1:] if isinstance(operator, str) and operator.startswith("$") else None
    if name not in _OPERATORS:
        raise _unreadable(
            f"{key!r} is compared by {_shown(operator)}, which is no operator",
            f"operators: {', '.join(f'${each}' for each in _OPERATORS)}; for a nested key write {key}.{operator}",
        )
    if name in ("in", "nin") and isinstance(value, Sequence) and not isinstance(value, str):
        value = tuple(value)
    return Compare(key, name, value)


def _require_scalar(key: str, operator: str, value: Any) -> None:
    if operator == "exists":
        allowed, kinds = isinstance(value, bool), "true or false"
    elif operator in _ORDERS:
        allowed, kinds = _kind(value) in ("str", "number"), "a number or a text"
    else:
        allowed, kinds = _kind(value) is not None, "a text, a finite number, true, false or null"
    if isinstance(value, int) and abs(value) >= _TOO_LONG:
        raise _unreadable(f"the number for {key!r} has more than {_DIGITS:,} digits")
    if not allowed or isinstance(value, Decimal):
        hint = "; for one of several values write $in" if isinstance(value, list | tuple) else ""
        raise _unreadable(f"${operator} of {key!r} needs {kinds}, not {_shown(value)}{hint}")
    if isinstance(value, str):
        _require_text(value, f"the value of {key!r}")


def _require_text(text: Any, what: str) -> None:
    if not isinstance(text, str):
        raise _unreadable(f"{what} is a text, not {_shown(text)}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _unreadable(f"{what} holds half of a surrogate pair, which is no character") from None


def _shown(value: Any) -> str:
    """Return a value as an error may print it: short, and on one line."""
    text = ascii(value) if isinstance(value, float | bytes) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _unreadable(what: str, next: str = "") -> Usage:
    example = 'for example {"page": {"$gte": 3}, "tag": {"$in": ["a", "b"]}}'
    return Usage(f"this condition cannot be read: {what}", where="where", next=next or example)
