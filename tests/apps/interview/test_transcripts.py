"""Transcripts in three shapes become sessions with results."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

import wherry
from tests.apps.interview.conftest import ANSWER, Shop
from tests.apps.interview.transcripts_kit import t1, t2, t3
from wherry_apps.interview.forms import SessionForm
from wherry_apps.interview.service import records, sessions, transcripts
from wherry_apps.interview.tables import InterviewSession


def imported(shop: Shop, content: Any, **how: Any) -> dict[str, Any]:
    """Import a transcript of the shop's applicant."""
    return transcripts.import_transcript(shop.on, shop.owner, content, shop.applicant_id, **how)


def sessions_of(shop: Shop) -> int:
    """Count the shop's sessions."""
    with shop.on.session() as session:
        mine = sa.select(sa.func.count()).select_from(InterviewSession).where(InterviewSession.owner == shop.owner)
        return session.scalar(mine) or 0


@pytest.mark.parametrize(("content", "shape"), [(t1(), "T1"), (t2(), "T2"), (t3(), "T3")])
def test_each_shape_becomes_results_in_order(shop: Shop, content: Any, shape: str) -> None:
    found = imported(shop, content)
    assert found["shape"] == shape
    assert found["status"] == "completed"
    assert [one["stt_full_text"] for one in found["results"]] == [ANSWER, "(인식 실패)"]
    assert found["not_scored"] == [found["results"][1]["id"]]
    assert found["results"][0]["overall_score"] > 70
    assert (found["summary"]["scored"], found["summary"]["unscored"]) == (1, 1)
    turns = sessions.transcript(shop.on, shop.owner, found["interview_id"])
    assert [one["speaker"] for one in turns] == ["a", "applicant", "b", "applicant"]


def test_weights_competencies_and_measures_come_along(shop: Shop) -> None:
    found = imported(shop, t2())
    first, second = found["results"]
    assert first["metadata"]["stt_confidence"] == 0.93
    assert first["metadata"]["speaking"] == {"speaking_speed_wpm": 120, "pause_count": 2, "filler_words": ["음"]}
    assert (first["question_id"], first["metadata"]["source_question_id"]) == (None, 7)
    assert (first["is_common"], second["is_common"], second["metadata"]["turn_type"]) == (False, True, "follow_up")
    assert found["summary"]["competencies"] == {"job_expertise": first["overall_score"]}
    assert found["summary"]["category_score"] == first["overall_score"]
    told = records.one(shop.on, shop.owner, "sessions", found["interview_id"])
    assert told["competency_weights"]["job_expertise"] == 0.5
    assert told["category_weights"] == {"common": 0.4, "job_specific": 0.6}


def test_places_that_do_not_fit_the_whole_are_marked(shop: Shop) -> None:
    content = t2()
    content["segments"][1]["char_index_start"] = 3
    assert imported(shop, content)["results"][0]["metadata"]["misplaced"]


def test_the_same_transcript_comes_in_once(shop: Shop) -> None:
    first, again = imported(shop, t3()), imported(shop, t3())
    assert (first["existing"], again["existing"]) == (False, True)
    assert again["interview_id"] == first["interview_id"]
    assert not imported(shop, t3(), force=True)["existing"]
    assert sessions_of(shop) == 2


def test_a_session_that_waits_takes_the_transcript_it_is_named_in(shop: Shop) -> None:
    job = shop.upload().job_id
    here = sessions.create(shop.on, shop.owner, SessionForm(applicant_id=shop.applicant_id, job_id=job))
    content = t1(interview_id=here["id"], applicant_id=shop.applicant_id, job_id=job)
    found = transcripts.import_transcript(shop.on, shop.owner, content)
    assert found["interview_id"] == here["id"]
    # It is answered by then: another one is a session of its own.
    content["segments"][1]["answer_text"] += " 더."
    assert transcripts.import_transcript(shop.on, shop.owner, content)["interview_id"] != here["id"]


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"segments": []}, ["segments"]),
        ({"segments": [{"segment_id": 1, "segment_order": 1}]}, ["segments.0.question_text", "segments.0.answer_text"]),
        ({"weights": {"competency": {"a": -1}}}, ["weights.competency.a"]),
        ({"applicant_id": "me"}, ["applicant_id"]),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_written(shop: Shop, change: Any, fields: list[str]) -> None:
    with pytest.raises(wherry.BadRecord) as caught:
        imported(shop, {**t1(), **change})
    assert caught.value.fields == fields
    assert sessions_of(shop) == 0


@pytest.mark.parametrize("content", [None, 1, "text", [], [1], [{"answer": "x"}], {"segments": "x"}, {}])
def test_what_is_no_transcript_is_refused(shop: Shop, content: Any) -> None:
    with pytest.raises(wherry.BadRecord) as caught:
        imported(shop, content)
    assert caught.value.fields
    assert sessions_of(shop) == 0


def test_a_bare_list_needs_an_applicant_and_bad_confidence_is_refused(shop: Shop) -> None:
    with pytest.raises(wherry.BadRecord, match="whose it is"):
        transcripts.import_transcript(shop.on, shop.owner, t3())
    content = t2()
    content["segments"][0]["stt_confidence"] = 1.1
    with pytest.raises(wherry.BadRecord) as caught:
        imported(shop, content)
    assert caught.value.fields == ["segments.0.stt_confidence"]
    with pytest.raises(wherry.NotFound):
        transcripts.import_transcript(shop.on, shop.owner, t3(), 2**31 - 2)
