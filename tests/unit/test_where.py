"""Conditions: what parses, what is refused, and what a condition decides."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import Usage
from wherry.testing.conditions import conditions, metadata
from wherry.where import All, AnyOf, Compare, Not, Where, decode, matches, parse, parse_text, stated, without_not

RECORD = {
    "source": "혈당.pdf", "page": 3, "score": 0.5, "draft": True, "none": None, "tags": ["a", "나", 7],
    "author": {"name": "김", "team": {"id": 4}}, "author.name": "whole", "empty": [],
}  # fmt: skip

HOLDS: list[tuple[dict[str, Any], bool]] = [
    ({}, True),
    ({"source": "혈당.pdf"}, True),
    ({"source": "혈당"}, False),
    ({"source": "혈당.pdf", "page": {"$gte": 3}}, True),
    ({"page": {"$gte": 3, "$lt": 3}}, False),
    ({"page": 3.0}, True),
    ({"page": "3"}, False),
    ({"page": {"$gt": "2"}}, False),
    ({"draft": 1}, False),
    ({"draft": True}, True),
    ({"score": {"$in": [1, 0.5]}}, True),
    ({"none": None}, True),
    ({"none": {"$exists": True}}, True),
    ({"absent": None}, False),
    ({"absent": {"$ne": 1}}, True),
    ({"absent": {"$nin": [1]}}, True),
    ({"absent": {"$gt": 1}}, False),
    ({"$not": {"absent": {"$gt": 1}}}, True),
    ({"absent": {"$exists": False}}, True),
    ({"absent": {"$exists": True}}, False),
    ({"tags": "나"}, True),
    ({"tags": {"$ne": "나"}}, False),
    ({"tags": {"$gt": 6}}, True),
    ({"tags": {"$gt": 7}}, False),
    ({"tags": {"$in": ["b", "a"]}}, True),
    ({"tags": {"$in": []}}, False),
    ({"tags": {"$nin": []}}, True),
    ({"empty": {"$exists": True}}, True),
    ({"empty": {"$ne": None}}, True),
    ({"author": "김"}, False),
    ({"author.name": "whole"}, True),
    ({"author.name": "김"}, False),
    ({"author.team.id": 4}, True),
    ({"author.team": {"$exists": True}}, True),
    ({"page.x": {"$exists": True}}, False),
    ({"tags.0": {"$exists": True}}, False),
    ({"$or": [{"page": 1}, {"tags": "a"}]}, True),
    ({"$and": [{"page": 1}, {"tags": "a"}]}, False),
    ({"source": {"$lt": "혈당.pdg"}}, True),
]


@pytest.mark.parametrize(("condition", "holds"), HOLDS, ids=[json.dumps(c, ensure_ascii=False) for c, _ in HOLDS])
def test_a_condition_decides(condition: dict[str, Any], holds: bool) -> None:
    assert matches(parse(condition), RECORD) is holds
    assert matches(parse(condition), decode(json.dumps(RECORD))) is holds
    assert matches(Not(parse(condition)), RECORD) is not holds


def test_no_metadata_is_an_empty_object() -> None:
    assert matches(parse({"a": {"$exists": False}}), None)
    assert not matches(parse({"a": 1}), None)
    assert decode("[1]") is None
    assert decode("broken") is None


@pytest.mark.parametrize(
    ("held", "operator", "wanted", "holds"),
    [
        ("1e30", "eq", 10**30, True),
        ("1e23", "eq", 10**23, True),
        ("0.1", "eq", 0.1, True),
        ("0.10000000000000000001", "gt", 0.1, True),
        ("9007199254740993", "eq", 9007199254740992.0, False),
        ("-0.0", "eq", 0, True),
        ("1e400", "gt", 1e308, True),
        ("123456789012345678901234567890", "lt", 123456789012345678901234567891, True),
    ],
)
def test_numbers_are_the_decimals_they_are_written_as(held: str, operator: Any, wanted: Any, holds: bool) -> None:
    assert matches(Compare("x", operator, wanted), decode(f'{{"x": {held}}}')) is holds


@pytest.mark.parametrize(
    ("condition", "named"),
    [
        ({"$xor": []}, "$xor"),
        ({"$or": []}, "$or"),
        ({"$and": {"a": 1}}, "$and"),
        ({"$not": 3}, "3"),
        ({"page": {"$like": "x"}}, "$like"),
        ({"page": {"nested": 1}}, "page.nested"),
        ({"page": {}}, "page"),
        ({"page": [1, 2]}, "$in"),
        ({"page": {"$in": 3}}, "$in"),
        ({"page": {"$in": "abc"}}, "$in"),
        ({"page": {"$in": [[1]]}}, "page"),
        ({"page": {"$gt": None}}, "$gt"),
        ({"page": {"$gt": True}}, "$gt"),
        ({"page": {"$exists": 1}}, "$exists"),
        ({"page": float("nan")}, "nan"),
        ({"page": float("inf")}, "inf"),
        ({"page": "\ud800"}, "surrogate"),
        ({"\udc00": 1}, "surrogate"),
        ({3: 1}, "3"),
        ("page>3", "page>3"),
        ({"page": Decimal(3)}, "page"),
        ({"$or": [{"a": 1}] * 1_001}, "1,001"),
        ({"page": 10**1_000}, "1,000 digits"),
    ],
)
def test_what_cannot_be_read_is_named(condition: Any, named: str) -> None:
    with pytest.raises(Usage) as raised:
        parse(condition)
    assert named in str(raised.value)


def test_a_condition_may_not_be_endless() -> None:
    condition: dict[str, Any] = {"a": 1}
    for _ in range(100_000):
        condition = {"$not": condition}
    with pytest.raises(Usage, match="deeper"):
        parse(condition)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("page>=3", {"page": {"$gte": 3}}),
        ("source=혈당.pdf", {"source": "혈당.pdf"}),
        ("source = 혈당 관리.pdf and page>=3", {"$and": [{"source": "혈당 관리.pdf"}, {"page": {"$gte": 3}}]}),
        ("tag in [a,b]", {"tag": {"$in": ["a", "b"]}}),
        ('tag not in [ a , 3, "x, ]y" ]', {"tag": {"$nin": ["a", 3, "x, ]y"]}}),
        ("tag in []", {"tag": {"$in": []}}),
        ('page="3"', {"page": "3"}),
        ('sign=">="', {"sign": ">="}),
        ("code=0004", {"code": "0004"}),
        ("ok=true and gone=null", {"$and": [{"ok": True}, {"gone": None}]}),
        ("x!=-1.5e3", {"x": {"$ne": -1500.0}}),
        ("page exists", {"page": {"$exists": True}}),
        ("page missing AND a.b<2", {"$and": [{"page": {"$exists": False}}, {"a.b": {"$lt": 2}}]}),
        ('"odd key = " = "and and"', {"odd key = ": "and and"}),
        ("$ref=1", {"$$ref": 1}),
        ("a=NaN", {"a": "NaN"}),
        ('{"page": {"$gte": 3}}', {"page": {"$gte": 3}}),
    ],
)
def test_a_line_of_a_command(text: str, condition: dict[str, Any]) -> None:
    assert parse_text(text) == parse(condition)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "page",
        "page >",
        "a=",
        "page>=",
        "page==",
        "page<>3",
        "page=>3",
        "page>= and tag=a",
        "=3",
        "a=1 and ",
        "tag in (a)",
        "tag in [a",
        '{"a":',
        "[1]",
        '{"a": 1} x',
    ],
)
def test_a_line_that_cannot_be_read(text: str) -> None:
    with pytest.raises(Usage, match=r"cannot be read|no JSON"):
        parse_text(text)


def test_a_number_without_end_is_refused() -> None:
    with pytest.raises(Usage, match="digits"):
        parse_text("a=" + "9" * 5_000)


@given(conditions())
def test_what_is_stated_reads_back(where: Where) -> None:
    assert _plain(parse(stated(where))) == _plain(where)
    assert json.loads(json.dumps(stated(where))) == stated(where)


@given(conditions(), metadata())
def test_negations_move_inwards_without_a_change(where: Where, held: dict[str, Any] | None) -> None:
    assert matches(without_not(where), held) is matches(where, held)
    assert matches(without_not(where, opposite=True), held) is not matches(where, held)


@given(conditions(), metadata())
def test_text_and_object_decide_alike(where: Where, held: dict[str, Any] | None) -> None:
    assert matches(where, held) is matches(where, decode(None if held is None else json.dumps(held)))


@given(st.text(), st.text())
def test_no_line_breaks_the_reader(key: str, value: str) -> None:
    with suppress(Usage):
        assert stated(parse_text(f"{key}={value}"))


def _plain(where: Where) -> Where:
    """Return a condition without groups of one, which state nothing of their own."""
    match where:
        case All((one,)) | AnyOf((one,)):
            return _plain(one)
        case All(of):
            return All(tuple(map(_plain, of)))
        case AnyOf(()):
            return Not(All(()))
        case AnyOf(of):
            return AnyOf(tuple(map(_plain, of)))
        case Not(of):
            return Not(_plain(of))
        case _:
            return where
