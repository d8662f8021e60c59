"""Conditions in the engines' own forms: what is said, what is left out, and that keys stay keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from wherry.record import Record, from_records
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.chroma import filters as chroma
from wherry.stores.qdrant import filters as qdrant
from wherry.stores.qdrant import searching
from wherry.stores.qdrant.payload import Layout
from wherry.stores.registry import open_target
from wherry.testing.conditions import conditions
from wherry.where import Where, parse

FLAT = Layout("text")


def said(condition: dict[str, Any], layout: Layout = FLAT, booleans: bool = True) -> Any:
    """Return what Qdrant is asked, without the part for what lies aside."""
    form = qdrant.filter_of(parse(condition), layout, booleans)
    return None if form is None else form["should"][0]


@pytest.mark.parametrize(
    ("condition", "form"),
    [
        ({"쪽": "a"}, {"should": [{"key": '"쪽"', "match": {"value": "a"}}]}),
        ({"n": 3}, {"should": [{"key": '"n"', "range": {"gte": 3.0, "lte": 3.0}}]}),
        ({"n": {"$gt": 3}}, {"should": [{"key": '"n"', "range": {"gt": 3.0}}]}),
        ({"n": {"$gt": 2**60}}, {"should": [{"key": '"n"', "range": {"gte": 2.0**60}}]}),
        ({"n": None}, {"should": [{"is_null": {"key": '"n"'}}]}),
        ({"n": {"$exists": False}}, {"is_empty": {"key": '"n"'}}),
        ({"a.b": True}, {"should": [{"key": k, "match": {"value": True}} for k in ('"a.b"', '"a"."b"')]}),
        ({"n": {"$exists": True}}, None),
        ({"n": {"$ne": 3}}, None),
        ({"n": {"$lt": "가"}}, None),
        ({'q"x': 1}, None),
        ({"a\\": 1}, None),
        ({"$not": {"n": {"$gt": 3}}}, None),
    ],
)
def test_what_qdrant_is_asked(condition: dict[str, Any], form: Any) -> None:
    assert said(condition) == form


def test_parts_that_qdrant_cannot_say_are_left_out_where_that_lets_more_through() -> None:
    both = said({"n": 3, "m": {"$ne": 1}})
    assert both == {"must": [said({"n": 3})]}
    assert said({"$or": [{"n": 3}, {"m": {"$ne": 1}}]}) is None
    assert said({"ok": True}, booleans=False) is None
    nested = said({"n": 3}, Layout("page_content", nested=True))
    assert nested["should"][0]["key"] == '"metadata"."n"'


@pytest.mark.parametrize(
    ("condition", "listed", "form"),
    [
        ({"a": "x"}, (), {"$or": [{"a": {"$eq": "x"}}, {"a": {"$contains": "x"}}]}),
        ({"a": {"$gte": 3}}, (), {"a": {"$gte": 3}}),
        ({"a": {"$gte": 3}}, ("a",), None),
        ({"a": {"$gte": 0.1 + 0.2}}, (), None),
        ({"a": 2**53}, (), None),
        ({"a": None}, (), None),
        ({"a": {"$ne": 1}}, (), None),
        ({"": 1}, (), None),
        ({"chroma:x": 1}, (), None),
        ({"_wherry_metadata": "x"}, (), None),
    ],
)
def test_what_chroma_is_asked(condition: dict[str, Any], listed: tuple[str, ...], form: Any) -> None:
    assert chroma.filter_of(parse(condition), frozenset(listed)) == form


@given(conditions())
def test_no_form_is_an_empty_list_which_would_mean_everything_or_be_refused(where: Where) -> None:
    for form in (qdrant.filter_of(where, FLAT, True), chroma.filter_of(where, frozenset())):
        assert form is None or _sound(form)


def _sound(form: Any) -> bool:
    if isinstance(form, list):
        return bool(form) and all(map(_sound, form))
    if isinstance(form, dict):
        return all(_sound(each) for each in form.values() if isinstance(each, list | dict) and each != {})
    return True


def test_a_filter_finds_few_among_many_at_the_first_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store: Any = open_target(f"qdrant:{tmp_path}#docs")
    space = Space(4, Metric.COSINE)
    store.prepare(space, Index(), 500)
    rng = np.random.default_rng(1)
    records = [Record(str(n), rng.normal(size=4).tolist(), "글", {"n": n, "lang": "ko"}) for n in range(500)]
    store.upsert(from_records(records))
    asked: list[searching.Wanted] = []
    nearest = store._link.nearest

    def counting(wanted: searching.Wanted) -> Any:
        asked.append(wanted)
        return nearest(wanted)

    monkeypatch.setattr(store._link, "nearest", counting)
    found = store.search(np.ones(4), 3, parse({"n": {"$lt": 5}}))
    assert (len(found), len(asked)) == (3, 1)
    asked.clear()
    # No filter says this: the engine is asked for more until three fit.
    assert len(store.search(np.ones(4), 3, parse({"$not": {"n": {"$gte": 3}}}))) == 3
    assert len(asked) > 1
    store.close()
