"""Spaces: None is "not recorded", and two recorded values that differ never mix."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import BadAddress, SpaceMismatch
from wherry.space import Metric, Space

WORDS = st.none() | st.sampled_from(["a", "b", ""])
SPACES = st.builds(
    Space,
    dimension=st.none() | st.integers(1, 3),
    metric=st.none() | st.sampled_from(list(Metric)),
    provider=WORDS,
    model=WORDS,
    model_digest=WORDS,
    normalised=st.none() | st.booleans(),
    query_prompt=WORDS,
    document_prompt=WORDS,
)


@given(SPACES)
def test_a_card_reads_back(space: Space) -> None:
    assert Space.from_dict(json.loads(json.dumps(space.to_dict()))) == space


@given(SPACES)
def test_fields_of_a_later_version_are_ignored(space: Space) -> None:
    assert Space.from_dict({**space.to_dict(), "colour": "red"}) == space


@given(SPACES, SPACES)
def test_conflicts_are_mutual_and_only_between_recorded_values(one: Space, other: Space) -> None:
    assert len(one.conflicts(other)) == len(other.conflicts(one))
    assert one.conflicts(Space()) == []
    assert one.conflicts(one) == []


@given(SPACES, SPACES)
def test_filling_keeps_what_was_recorded(one: Space, other: Space) -> None:
    filled = one.filled_from(other)
    assert one.conflicts(filled) == []
    assert filled.conflicts(other) == one.conflicts(other)
    assert one.filled_from(Space()) == one


def test_false_is_recorded() -> None:
    assert Space(normalised=False).conflicts(Space(normalised=True)) == ["normalised: False / True"]
    assert Space(normalised=False).to_dict() == {"normalised": False}


def test_a_mismatch_names_both_sides_and_every_field() -> None:
    one, other = Space(dimension=3, metric=Metric.L2, model="a"), Space(dimension=4, metric=Metric.IP, model="a")
    with pytest.raises(SpaceMismatch) as caught:
        one.require_same(other, "a.json", "pgvector:#b")
    message = str(caught.value)
    assert "dimension: 3 / 4" in message
    assert "metric: l2 / ip" in message
    assert "model" not in message
    assert "a.json" in message
    assert "pgvector:#b" in message
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("name", "metric"),
    [("cosine", "cosine"), ("Euclid", "l2"), ("dot", "ip"), ("Manhattan", "l1"), ("inner_product", "ip"), ("L2", "l2")],
)
def test_a_metric_has_the_names_engines_give_it(name: str, metric: str) -> None:
    assert Metric.parse(name) == metric


@pytest.mark.parametrize("name", ["", "hamming", "cosine "])
def test_an_unknown_metric_is_never_a_guess(name: str) -> None:
    with pytest.raises(BadAddress):
        Metric.parse(name)
    with pytest.raises(BadAddress):
        Space.from_dict({"metric": name or "?"})
