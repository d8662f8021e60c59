"""The names that earlier programs call the database by."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

import wherry
from wherry_apps.body.database import Database
from wherry_apps.body.plans import read_plan


@pytest.fixture
def db(body: object) -> Iterator[Database]:
    with Database() as opened:
        yield opened


def test_the_connection(db: Database) -> None:
    assert db.test_connection() is True


def test_search_prints_id_and_similarity(db: Database, analysed: dict[str, Any], me: int) -> None:
    query = wherry.open_embedder("hash:1024").embed_query("상체 근육량이 부족하고 체지방률이 높은 경우").tolist()
    (found,) = db.search_similar_analyses(user_id=me, query_embedding=query, top_k=3)
    assert f"ID: {found['id']}, Similarity: {found['similarity']:.3f}".startswith(
        f"ID: {analysed['id']}, Similarity: 0."
    )
    assert db.search_similar_analyses(user_id=me, query_embedding=[0.1] * 1536) == []


def test_a_plan_is_saved_and_returns_an_id(db: Database, me: int) -> None:
    plan = db.save_weekly_plan(
        user_id=me, week_number=1, start_date=date(2026, 2, 3), end_date=date(2026, 2, 9),
        plan_data={"weekly_summary": "테스트 계획"}, model_version="gpt-4o-mini",
    )  # fmt: skip
    found = db.get_weekly_plan(plan)
    assert found is not None
    assert (found["id"], found["plan"]["text"], found["model_version"]) == (plan, "테스트 계획", "gpt-4o-mini")
    assert [one["id"] for one in db.get_user_weekly_plans(me)] == [plan]
    assert db.get_weekly_plan(plan + 1) is None


def test_a_plan_that_cannot_be_saved_returns_no_id(db: Database, me: int) -> None:
    with pytest.raises(wherry.NotFound):
        db.save_weekly_plan(me + 1, 1, date(2026, 2, 3), date(2026, 2, 9), {}, "m")
    for week, end in ((0, date(2026, 2, 9)), (1, date(2026, 1, 1))):
        with pytest.raises(wherry.BadRecord):
            db.save_weekly_plan(me, week, date(2026, 2, 3), end, {}, "m")
    with Database("postgresql://u:hunter2@127.0.0.1:9/db") as broken, pytest.raises(wherry.StoreError) as caught:
        broken.save_weekly_plan(me, 1, date(2026, 2, 3), date(2026, 2, 9), {}, "m")
    assert caught.value.exit_code == 4
    assert "hunter2" not in str(caught.value)


def test_a_vector_is_stored_where_its_length_belongs(db: Database, analysed: dict[str, Any]) -> None:
    assert db.update_analysis_embedding(analysed["id"], [0.5] * 1536) is True
    assert db.update_analysis_embedding(analysed["id"] + 1, [0.5] * 1536) is False
    info = db.body.reports.get(None, analysed["id"])["embedding_info"]
    # The other column is as it was.
    assert info["embedding_1024"]["model"] == "hash:1024"
    for wrong in ([0.5] * 3, [float("nan")] * 1024):
        with pytest.raises(wherry.BadRecord):
            db.update_analysis_embedding(analysed["id"], wrong)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"content": "글", "raw_response": "원문"}, "글"),
        ({"daily_plans": [], "llm_raw_output": "모델의 글"}, "모델의 글"),
        ({}, ""),
        ("글만", "글만"),
    ],
)
def test_every_shape_of_a_stored_plan_is_read(data: Any, text: str) -> None:
    assert (read_plan(data)["structured"], read_plan(data)["text"]) == (False, text)
