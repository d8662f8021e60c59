"""Conditions as SQL. Every key and every value is a bound parameter; the statement holds constants alone.

An index serves three kinds of comparison, each of a key without dots. A key that is a column of the table is compared
as that column where this means the same, which any index of the column finds. Equality of others is written as
containment (`metadata @> {"page": 3} OR metadata @> {"page": [3]}`), which a GIN index on the metadata finds. The
order of numbers is written as `numbers` has it, which a B-tree on that expression finds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wherry.stores.pgvector.jsonb import RESERVED
from wherry.where import All, AnyOf, Compare, Not, Scalar, Where, comparisons, matches, paths, without_not

# From here on one test of many values is cheaper than many tests that an index could serve.
_MOST_ALTERNATIVES = 16
_NEVER = "false"
_SYMBOLS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


class NotNative(Exception):
    """PostgreSQL cannot decide this condition as the reference does."""


@dataclass(frozen=True)
class Direct:
    """A key that is decided by a column. expression: of the column, quoted. kind: number, text or bool."""

    expression: str
    kind: str

    def values(self, values: Sequence[Scalar]) -> list[Any]:
        """Return those of some values that the column can hold, as it holds them."""
        if self.kind == "number":
            whole = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool) and v == v // 1]
            return [int(v) for v in whole if abs(v) < 1 << 63]
        wanted = bool if self.kind == "bool" else str
        return [v for v in values if isinstance(v, wanted) and not (isinstance(v, str) and "\x00" in v)]


_ARRAYS = {"number": "bigint", "text": "text", "bool": "boolean"}


@dataclass
class Filter:
    """A condition while it becomes SQL.

    column: the metadata as jsonb, quoted. values: the parameters, numbered from `first`. direct: keys that are decided
    by columns. held: the part of the metadata that is stored as JSON, which decides every key but those in `fields`.
    """

    column: str
    first: int
    values: list[Any] = field(default_factory=list)
    direct: Mapping[str, Direct] = field(default_factory=dict)
    held: str = ""
    fields: frozenset[str] = frozenset()

    def condition(self, where: Where) -> str:
        """Return an expression that is true for the rows that satisfy a condition, and false or null for others.

        Negations stand before comparisons alone, as IS NOT TRUE: an index cannot look behind a coalesce.
        """
        return self._positive(without_not(where))

    def _positive(self, where: Where) -> str:
        match where:
            case Compare():
                return self._compare(where)
            case Not(of):
                return f"({self._positive(of)} IS NOT TRUE)"
            case All(of):
                return _joined([self._positive(each) for each in of], " AND ", "true")
            case AnyOf(of):
                return _joined([self._positive(each) for each in of], " OR ", _NEVER)

    def _compare(self, compare: Compare) -> str:
        key, operator, value = compare.key, compare.operator, compare.value
        if "\x00" in key:
            # No stored key holds NUL: it is missing everywhere.
            return "true" if matches(compare, {}) else _NEVER
        if operator == "exists":
            held = self.direct[key].expression if key in self.direct else self._value(key)
            return f"({held} IS {'NOT ' if value else ''}NULL)"
        if operator in ("eq", "in"):
            return self._equal(key, _several(value))
        if operator in ("ne", "nin"):
            return f"({self._equal(key, _several(value))} IS NOT TRUE)"
        return self._ordered(key, operator, value)

    def _equal(self, key: str, values: Sequence[Scalar]) -> str:
        if key in self.direct:
            return self._in_column(self.direct[key], values)
        possible = [v for v in values if not (isinstance(v, str) and "\x00" in v)]
        if not possible:
            return _NEVER
        if "." in key or len(possible) > _MOST_ALTERNATIVES:
            return f"({self._value(key)} @> ANY ({self._put([_json(v) for v in possible])}::jsonb[]))"
        forms = [_json({key: form}) for value in possible for form in (value, [value])]
        tests = [f"{self.column} @> {self._put(form)}::jsonb" for form in forms]
        return _joined(tests, " OR ", _NEVER)

    def _in_column(self, direct: Direct, values: Sequence[Scalar]) -> str:
        held, kind = direct.values(values), _ARRAYS[direct.kind]
        if not held:
            return _NEVER
        if len(held) == 1:
            return f"({direct.expression} = {self._put(held[0])}::{kind})"
        return f"({direct.expression} = ANY ({self._put(held)}::{kind}[]))"

    def _ordered(self, key: str, operator: str, value: Any) -> str:
        symbol = _SYMBOLS[operator]
        if isinstance(value, str):
            if "\x00" in value:
                # A stored text holds no NUL: it is above this one exactly when above what precedes the NUL.
                value, symbol = value.partition("\x00")[0], ">" if operator in ("gt", "gte") else "<="
            return self._looked_into(key, "string", symbol, value)
        if "." in key:
            return self._looked_into(key, "number", symbol, value)
        held = numbers(self.column, f"{self._put(key)}::text")
        end = f"{held} {symbol} {self._put(_json(value))}::jsonb AND {held} < 'true'"
        return f"(({end}) OR ({held} = 'true' AND {self._looked_into(key, 'number', symbol, value)}))"

    def _looked_into(self, key: str, kind: str, symbol: str, value: Any) -> str:
        # Elements of a list, or the value itself; what a list within a list holds is of another type.
        path = f"""'$[*] ? (@.type() == "{kind}" && @ {symbol} $x)'"""
        wanted = self._put(_json({"x": value}))
        return f"jsonb_path_exists({self._value(key)}, {path}, {wanted}::jsonb, true)"

    def _value(self, key: str) -> str:
        """Return what a key leads to as jsonb, null where it leads nowhere."""
        # Putting fields and JSON together for every row costs more than all the rest.
        alone = self.held and not any(path[0] in self.fields for path in paths(key))
        column = self.held if alone else self.column
        found = [f"({' -> '.join([column, *(f'{self._put(step)}::text' for step in path)])})" for path in paths(key)]
        return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"

    def _put(self, value: Any) -> str:
        """Bind a value; return its placeholder."""
        self.values.append(value)
        return f"${self.first + len(self.values) - 1}"


def numbers(column: str, key: str) -> str:
    """Return the expression by which an index has the numbers under a key in order; key: a text expression.

    A list, which satisfies a comparison where one of its elements does, is `true`, which is above all numbers;
    what satisfies none is null. So no value is too long for an index.
    """
    value = f"({column} -> {key})"
    return f"CASE jsonb_typeof({value}) WHEN 'number' THEN {value} WHEN 'array' THEN 'true'::jsonb END"


def require_native(where: Where, hidden: frozenset[str] = frozenset(), nul: bool = False) -> None:
    """Raise NotNative for a condition that the column cannot decide as the reference does.

    hidden: keys that are stored otherwise than a record has them. nul: whether texts in the column may hold NUL.
    """
    for compare in comparisons(where):
        head = compare.key.partition(".")[0]
        if head == RESERVED or head in hidden:
            raise NotNative
        if nul and any("\x00" in text for text in (compare.key, *_several(compare.value)) if isinstance(text, str)):
            raise NotNative


def served(where: Where, gin: bool, ordered: frozenset[str], columns: frozenset[str] = frozenset()) -> bool:
    """Tell whether indexes can find the rows of a condition.

    gin: of equalities; ordered: keys with a B-tree; columns: keys that are columns with an index.
    """
    match without_not(where):
        case Compare(key, operator, value):
            if operator in ("eq", "in") and key in columns:
                return True
            if operator in ("eq", "in"):
                return gin and "." not in key and len(_several(value)) <= _MOST_ALTERNATIVES
            return operator in _SYMBOLS and key in ordered and not isinstance(value, str)
        case All(of):
            return any(served(each, gin, ordered, columns) for each in of)
        case AnyOf(of):
            return all(served(each, gin, ordered, columns) for each in of)
        case Not():
            return False


def leading(where: Where, columns: frozenset[str]) -> Where | None:
    """Return the part of a condition that the index of a column serves: whatever satisfies all satisfies it too."""
    if served(where, False, frozenset(), columns):
        if isinstance(where, All):
            return All(tuple(each for each in where.of if served(each, False, frozenset(), columns)))
        return where
    return None


def _several(value: Any) -> Sequence[Scalar]:
    return value if isinstance(value, tuple) else (value,)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _joined(parts: list[str], word: str, empty: str) -> str:
    return f"({word.join(parts)})" if parts else empty
