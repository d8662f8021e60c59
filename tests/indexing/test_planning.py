"""What a plan says is what the run then does, and nothing is spent to find out."""

from __future__ import annotations

import psycopg
import pytest

from tests.indexing.conftest import Indexed
from tests.indexing.kit import Counting, Paragraphs
from tests.indexing.test_index import shelf
from wherry.errors import SpaceMismatch
from wherry.indexing.planning import plan


def test_a_first_plan_makes_and_asks_nothing(
    address: str, model: Counting, run: Indexed, pg: psycopg.Connection, name: str
) -> None:
    documents = shelf(10)
    planned = plan(documents, address, embedder=model, chunker=Paragraphs())
    assert (planned.new, planned.chunks, planned.to_embed, planned.minutes) == (10, 30, 21, None)
    assert planned.tokens > 0
    assert planned.cost is None, "nobody knows the price of this model"
    assert not model.texts
    assert pg.execute("SELECT to_regclass(%s)", [name]).fetchone() == (None,)
    assert run(documents).chunks_embedded == planned.to_embed


def test_a_later_plan_counts_what_changed_and_what_was_paid_for(address: str, model: Counting, run: Indexed) -> None:
    documents = shelf(10)
    run(documents)
    model.texts.clear()
    documents.texts["문서-01"] += "\n\n새 문단"
    documents.texts["문서-02"] += "\n\n둘째 문단 7"
    documents.texts["umbenannt"] = documents.texts.pop("문서-03")
    documents.texts["kaputt"] = "%BROKEN"
    del documents.texts["문서-04"]
    planned = plan(documents, address, embedder=model, chunker=Paragraphs())
    assert (planned.changed, planned.new, planned.deleted, planned.failed) == (3, 0, 1, 1)
    assert (planned.unchanged, planned.to_embed) == (6, 1)
    assert planned.minutes is not None
    assert not model.texts
    result = run(documents)
    assert result.chunks_embedded == planned.to_embed
    assert plan(documents, address, embedder=model, chunker=Paragraphs()).to_embed == 0


def test_a_plan_with_another_model_is_refused_like_the_run(address: str, run: Indexed) -> None:
    run(shelf(2))
    with pytest.raises(SpaceMismatch):
        plan(shelf(2), address, embedder="hash:8", chunker=Paragraphs())
