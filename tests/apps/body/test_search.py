"""Finding a person's own reports: near and new, else the latest, and vectors of two models never meet."""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

import wherry
from tests.apps.body.sheets_kit import FLAT
from wherry.testing.openai_server import OpenAIServer
from wherry_apps.body.database import Database
from wherry_apps.body.ranking import days_since
from wherry_apps.body.service import Body
from wherry_apps.body.service.vectors import Place

NEAR, FAR = "상체 근육이 부족하고 복부 체지방이 많습니다", "대사량과 수분은 표준 범위입니다"


def _report(body: Body, user: int, written: str, days: float = 0, embedders: tuple[str, ...] = ("hash:1024",)) -> int:
    """Store a report of a given text and age."""
    record = body.records.add(None, user, body.records.read(FLAT))
    made = body.reports.analyse(None, record["id"])
    with body.db.begin() as connection:
        connection.execute(
            text(
                "UPDATE analysis_reports SET llm_output = :t, report_date = now() - make_interval(secs => :s) "
                "WHERE id = :i"
            ),
            {"t": written, "s": days * 86_400, "i": made["id"]},
        )
    body.reports.embed(made["id"], user, written, embedders)
    return int(made["id"])


@pytest.mark.parametrize(("days", "expected"), [(-1.0, 0), (0.0, 0), (0.99, 0), (1.01, 1), (30.5, 30)])
def test_days_are_whole_and_never_negative(days: float, expected: int) -> None:
    now = datetime(2026, 3, 10, 12, tzinfo=UTC)
    moment = now - timedelta(days=days)
    assert days_since(moment, now) == expected
    assert days_since(moment.replace(tzinfo=None), now) == expected


def test_the_score_is_the_stated_one() -> None:
    assert wherry.aged(0.5, 0) == pytest.approx(0.7 * 0.5 + 0.3)
    assert wherry.aged(-0.2, 9) == pytest.approx(0.7 * -0.2 + 0.3 / (1 + math.log(10)))


def test_three_reports_come_each_with_text_date_and_similarity(body: Body, me: int) -> None:
    ids = [_report(body, me, f"{NEAR} {n}", days=n) for n in range(4)]
    found = body.retrieval.find(None, me, NEAR)
    assert (found.retrieval, found.notes) == ("vector", ())
    assert [one.report_id for one in found.reports] == ids[:3]
    for one in found.reports:
        assert one.text.startswith(NEAR)
        assert -1 <= (one.similarity or 2) <= 1
        assert one.score == pytest.approx(wherry.aged(one.similarity or 0, one.days))


def test_a_report_dated_tomorrow_ranks_with_no_days(body: Body, me: int) -> None:
    _report(body, me, NEAR, days=-1)
    (one,) = body.retrieval.find(None, me, NEAR).reports
    assert (one.days, round(one.similarity or 0, 3)) == (0, 1.0)


def test_what_is_new_moves_up_among_what_is_near(body: Body, me: int) -> None:
    old, new = _report(body, me, NEAR, days=400), _report(body, me, f"{NEAR} 그리고 조금 다름", days=0)
    assert [one.report_id for one in body.retrieval.find(None, me, NEAR).reports] == [new, old]


def test_one_persons_reports_alone_are_found(body: Body, me: int) -> None:
    other = int(body.people.add("local", "lee", "lee@example.org")["id"])
    _report(body, other, NEAR)
    mine = _report(body, me, FAR)
    found = body.retrieval.find(None, me, NEAR, top_k=50)
    assert [one.report_id for one in found.reports] == [mine]


def test_without_vectors_the_latest_come_in_the_same_shape(body: Body, me: int) -> None:
    old, new = _report(body, me, NEAR, days=3, embedders=()), _report(body, me, FAR, days=1, embedders=())
    found = body.retrieval.find(None, me, NEAR)
    assert found.retrieval == "latest"
    assert [(one.report_id, one.similarity, one.score) for one in found.reports] == [
        (new, None, None),
        (old, None, None),
    ]
    assert all(one.text and one.report_date for one in found.reports)
    assert "latest" in found.notes[0]


def test_an_embedder_that_fails_is_no_reason_to_find_nothing(body: Body, me: int) -> None:
    mine = _report(body, me, NEAR)
    # No key is set.
    found = body.retrieval.find(None, me, NEAR, embedder="openai:text-embedding-3-small")
    assert ([one.report_id for one in found.reports], found.retrieval) == ([mine], "latest")
    assert "AuthFailed" in found.notes[0]


def test_both_columns_are_filled_and_never_mixed(body: Body, me: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with OpenAIServer(key="k", dimension=1536) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        with Body() as other:
            spec = "openai:text-embedding-3-small"
            both = _report(other, me, NEAR, embedders=(spec, "hash:1024"))
            small = _report(other, me, NEAR, embedders=("hash:1024",))
            info = other.reports.get(None, both)["embedding_info"]
            digest = hashlib.sha256(NEAR.encode()).hexdigest()
            assert {name: one["text_sha256"] for name, one in info.items()} == {
                "embedding_1536": digest, "embedding_1024": digest,
            }  # fmt: skip
            assert info["embedding_1536"]["model"] == "text-embedding-3-small"
            # The report's text alone was embedded.
            assert NEAR in server.embedded
            assert [one.report_id for one in other.retrieval.find(None, me, NEAR, embedder=spec).reports] == [both]
            found = other.retrieval.find(None, me, NEAR, embedder="hash:1024")
            assert {one.report_id for one in found.reports} == {both, small}


def test_a_provider_that_fails_leaves_the_report_and_the_other_vector(body: Body, me: int) -> None:
    sheet = body.records.read(FLAT)
    done = body.reports.analyse_sheet(None, me, sheet, embedders=("openai:text-embedding-3-small", "hash:1024"))
    assert done["embedding"] == {
        "openai:text-embedding-3-small": {"error": "AuthFailed"}, "hash:1024": {"stored": "embedding_1024"},
    }  # fmt: skip
    assert list(body.reports.get(None, done["id"])["embedding_info"]) == ["embedding_1024"]


def test_vectors_of_another_length_are_in_a_collection_of_their_own(body: Body, me: int) -> None:
    mine = _report(body, me, NEAR, embedders=("hash:64",))
    found = body.retrieval.find(None, me, NEAR, embedder="hash:64")
    assert ([one.report_id for one in found.reports], found.retrieval) == ([mine], "vector")
    assert body.retrieval.find(None, me, NEAR, embedder="hash:1024").retrieval == "latest"
    body.delete_person(None, me)
    with body.db.begin() as connection:
        names = connection.execute(text("SELECT tablename FROM pg_tables WHERE tablename LIKE 'report_vectors_64%'"))
        (table,) = names.scalars()
        assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() == 0


def test_two_models_of_one_length_never_meet(body: Body, me: int) -> None:
    mine = _report(body, me, NEAR)
    with Database() as db:
        db.update_analysis_embedding(mine, [1.0] + [0.0] * 1023, "ollama", "bge-m3")
    assert body.retrieval.find(None, me, NEAR).retrieval == "latest"
    # It is there, so it is not missing; who wants it of this model says so.
    assert body.embedding.fill().stored == {"hash:1024": 0}
    assert body.embedding.fill(again=True).stored == {"hash:1024": 1}
    assert body.retrieval.find(None, me, NEAR).retrieval == "vector"
    assert body.embedding.fill(again=True).stored == {"hash:1024": 0}


def test_a_question_that_is_none_is_refused(body: Body, me: int) -> None:
    for query, top_k in (("", 3), ("  ", 3), ("a\x00", 3), ("x", 0), ("x", 51)):
        with pytest.raises(wherry.BadRecord):
            body.retrieval.find(None, me, query, top_k)
    with pytest.raises(wherry.NotFound):
        body.retrieval.find(None, me + 1, "x")


def test_the_condition_of_a_search_names_the_person_and_the_maker() -> None:
    place = Place("embedding_1024", True, wherry.open_embedder("hash:1024").space())
    condition: dict[str, Any] = place.condition(7)
    assert condition["user_id"] == 7
    assert condition["embedding_1024.model"] == "hash:1024"
