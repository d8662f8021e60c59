"""Study documents, explanations and drafts; what a model did not finish is never kept as a model's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import select

from tests.apps.tutor.papers import EXAMPLE, KNEE, exam
from wherry import BadAnswer, BadRecord, Document, NotFound, Part, Refused, StoreError
from wherry.testing.model_server import Fault
from wherry.testing.ollama_server import OllamaServer
from wherry_apps.tutor import offline
from wherry_apps.tutor.explaining import STYLES
from wherry_apps.tutor.importing import read_paper
from wherry_apps.tutor.points import DOCUMENT, condition
from wherry_apps.tutor.service import Tutor
from wherry_apps.tutor.tables import StudyChunk

pytestmark = pytest.mark.usefixtures("no_waiting")
DRAFT = {
    "content": "정강뼈가 앞으로 밀리는 것을 막는 인대는?",
    "options": {"1": "앞십자인대", "2": "뒤십자인대", "3": "안쪽곁인대", "4": "가쪽곁인대"},
    "correct_answer": "1", "explanation": "자료에 그렇게 적혀 있습니다.", "passages": [1],
}  # fmt: skip


def document(text: str, title: str = "무릎관절 재활") -> Document:
    return Document(title, (Part(text),), title)


def add(tutor: Tutor, text: str = KNEE, title: str = "무릎관절 재활", **about: Any) -> dict[str, Any]:
    return tutor.add_document(title, document(text, title), **about)


@pytest.fixture
def studied(tutor: Tutor) -> Tutor:
    """A Tutor with the example question, approved, and one study document."""
    tutor.import_paper(read_paper({"meta": {}, "questions": [EXAMPLE]}, "a.json"))
    tutor.approve([1], "prof")
    assert add(tutor, subject="운동치료학")["indexed"]
    return tutor


@pytest.fixture
def ollama(studied: Tutor, monkeypatch: pytest.MonkeyPatch) -> Iterator[OllamaServer]:
    with OllamaServer("llama3.1:8b") as server:
        monkeypatch.setenv("WHERRY_TUTOR_LLM", f"ollama:llama3.1:8b?base_url={server.url}&deadline=2")
        yield server


@pytest.mark.parametrize("length", [1, 199, 200, 799, 800, 801, 999, 1000, 1001, 1800, 1801, 2600, 5000])
def test_chunks_cover_every_length_and_end(tutor: Tutor, length: int) -> None:
    text = "가나다라 " * 1000
    made = add(tutor, ("x" + text)[:length])
    with tutor.db.session() as session:
        rows = list(session.scalars(select(StudyChunk).order_by(StudyChunk.chunk_index)))
        assert (rows[0].start_char, rows[-1].end_char) == (0, len(("x" + text)[:length].rstrip()))
        assert all(len(row.text) <= 1000 for row in rows)
        assert all(b.start_char <= a.end_char for a, b in pairwise(rows))
    assert made["passages"] == len(rows)


@pytest.mark.parametrize("text", ["", "   \n", "a\x00b"])
def test_a_document_without_text_is_refused(tutor: Tutor, text: str) -> None:
    with pytest.raises(BadRecord):
        add(tutor, text)
    assert tutor.documents.list() == []


def test_replacing_a_title_removes_its_old_points(studied: Tutor) -> None:
    points = studied.resources.points()
    before = points.ids()
    add(studied, "어깨관절의 움직임은 넓다.")
    after = points.ids()
    assert len(studied.documents.list()) == 1
    assert len(after) == len(before) == 2
    assert (before & after) == {"1"}
    assert [h.text for h in points.search("관절", 9, condition(DOCUMENT))] == ["어깨관절의 움직임은 넓다."]


def test_deleting_a_document_leaves_no_hit(studied: Tutor) -> None:
    [one] = studied.documents.list()
    assert studied.searching.search("앞십자인대", DOCUMENT, 5)["hits"]
    assert studied.remove_document(one["id"]) == {"removed": one["id"], "points": 1}
    assert studied.searching.search("앞십자인대", DOCUMENT, 5)["hits"] == []
    assert studied.resources.points().ids() == {"1"}
    with pytest.raises(NotFound):
        studied.remove_document(one["id"])


def test_indexing_brings_back_passages_that_were_lost(studied: Tutor) -> None:
    points = studied.resources.points()
    points.remove([i for i in points.ids() if i != "1"])
    assert studied.index().embedded == 1
    assert len(points.ids()) == 2


def test_the_offline_explanation_quotes_and_says_what_it_is(studied: Tutor) -> None:
    found = studied.explain(1, "kim")
    assert found["model"] == "offline"
    assert found["explanation"].startswith("[규칙 기반] 정답은 1번 '굽힘'입니다.")
    assert "「무릎관절 재활」" in found["explanation"]
    assert "주된 움직임은 굽힘과 폄이다" in found["explanation"]
    assert "confidence" not in str(found)


def test_the_offline_explanation_without_a_document_says_so(tutor: Tutor) -> None:
    tutor.import_paper(read_paper({"meta": {}, "questions": [EXAMPLE]}, "a.json"))
    tutor.approve([1], "prof")
    assert "찾지 못했습니다" in tutor.explain(1, None)["explanation"]


def test_a_model_is_asked_in_the_style_of_the_department(studied: Tutor, ollama: OllamaServer) -> None:
    ollama.say("굽힘이 맞습니다. 회전은 작습니다.")
    found = studied.explain(1, "kim")
    assert (found["explanation"], found["model"].startswith("ollama:")) == ("굽힘이 맞습니다. 회전은 작습니다.", True)
    sent = next(asked for asked in ollama.asked if asked.path == "/api/chat").body["messages"]
    style = STYLES["물리치료학과"]
    assert all(word in sent[0]["content"] for word in (style.focus, style.tone, style.form))
    assert "정답: 1" in sent[1]["content"]
    assert "앞십자인대" in sent[1]["content"]


def test_what_the_model_said_is_kept_and_asked_for_once(studied: Tutor, ollama: OllamaServer) -> None:
    ollama.say("처음", "다시")
    assert [studied.explain(1, "kim")["explanation"] for _ in range(2)] == ["처음", "처음"]
    assert studied.explain(1, None, anew=True)["explanation"] == "다시"
    studied.edit(1, {"correct_answer": "2"})
    assert "explanation" not in studied.bank.get(1)["ai_integration"]


@pytest.mark.parametrize("fault", [Fault(None, path="/api/chat", times=9), Fault(500, path="/api/chat", times=9)])
def test_a_model_that_stops_leaves_a_labelled_offline_answer(
    studied: Tutor, ollama: OllamaServer, fault: Fault
) -> None:
    ollama.fail(fault)
    found = studied.explain(1, "kim")
    assert found["model"] == "offline"
    assert found["explanation"].startswith("[규칙 기반]")
    assert found["why_offline"]
    assert studied.bank.get(1)["ai_integration"] == {}


def test_a_stream_comes_in_pieces_and_is_kept_whole(studied: Tutor, ollama: OllamaServer) -> None:
    ollama.say("굽힘이 맞습니다. 나머지는 작은 움직임입니다.")
    found = list(studied.explain_stream(1, "kim"))
    assert "".join(one["piece"] for one in found[:-1]) == found[-1]["explanation"]
    assert found[-1]["done"]
    assert studied.bank.get(1)["ai_integration"]["explanation"]["text"] == found[-1]["explanation"]


def test_a_stream_that_breaks_off_ends_offline_and_nothing_is_kept(studied: Tutor, ollama: OllamaServer) -> None:
    ollama.say("굽힘이 맞습니다. 나머지는 작은 움직임입니다.")
    ollama.fail(Fault(None, path="/api/chat", after_pieces=2))
    found = list(studied.explain_stream(1, "kim"))
    assert any("piece" in one for one in found)
    assert (found[-1]["done"], found[-1]["replaces"], found[-1]["model"]) == (True, True, "offline")
    assert found[-1]["explanation"].startswith("[규칙 기반]")
    assert studied.bank.get(1)["ai_integration"] == {}


def test_an_empty_answer_is_no_explanation(studied: Tutor, ollama: OllamaServer) -> None:
    ollama.say("  ")
    assert studied.explain(1, None)["model"] == "offline"
    ollama.say("")
    assert list(studied.explain_stream(1, None))[-1]["model"] == "offline"


def test_a_draft_of_the_model_enters_as_pending(studied: Tutor, ollama: OllamaServer) -> None:
    ollama.say(json.dumps(DRAFT, ensure_ascii=False))
    found = studied.drafting.draft("앞십자인대의 역할", "prof", "물리치료학과", None, 4)
    assert (found["approval_status"], found["difficulty"], found["correct_answer"]) == ("pending", 4, "1")
    assert found["passages"][0]["title"] == "무릎관절 재활"
    assert found["question_metadata"]["explanation"] == DRAFT["explanation"]
    with pytest.raises(NotFound):
        studied.bank.get(found["id"], student=True)
    assert str(found["id"]) not in studied.resources.points().ids()


@pytest.mark.parametrize(
    "change",
    [{"options": {"1": "가", "2": "나", "3": "다"}}, {"options": {"1": "가", "2": "가", "3": "다", "4": "라"}},
     {"correct_answer": "7"}, {"explanation": ""}, {"passages": []}, {"passages": [9]}, {"content": None},
     {"extra": 1}],
)  # fmt: skip
def test_a_draft_that_is_no_question_is_an_error_and_is_not_stored(
    studied: Tutor, ollama: OllamaServer, change: dict[str, Any]
) -> None:
    ollama.say(*[json.dumps({**DRAFT, **change}, ensure_ascii=False)] * 2)
    with pytest.raises(BadAnswer):
        studied.drafting.draft("앞십자인대의 역할", "prof")
    assert studied.bank.list()["total"] == 1


def test_a_model_that_is_gone_drafts_nothing(studied: Tutor, ollama: OllamaServer) -> None:
    ollama.fail(Fault(None, path="/api/chat", times=9))
    with pytest.raises(StoreError):
        studied.drafting.draft("앞십자인대의 역할", "prof")
    assert studied.bank.list()["total"] == 1


def test_a_draft_like_a_question_there_is_rejected(studied: Tutor, ollama: OllamaServer) -> None:
    same = {**DRAFT, "content": EXAMPLE["content"], "options": EXAMPLE["options"]}
    ollama.say(json.dumps(same, ensure_ascii=False))
    with pytest.raises(Refused, match="as good as a question there is"):
        studied.drafting.draft("무릎관절의 움직임", "prof")
    ollama.say(*[json.dumps(DRAFT, ensure_ascii=False)] * 2)
    studied.drafting.draft("앞십자인대의 역할", "prof")
    with pytest.raises(Refused, match="as good as a question there is"):
        studied.drafting.draft("앞십자인대의 역할", "prof")


def test_drafting_needs_a_passage(studied: Tutor) -> None:
    with pytest.raises(Refused, match="no passage"):
        studied.drafting.draft("양자역학의 불확정성", "prof")
    assert studied.bank.list()["total"] == 1


def test_the_offline_draft_blanks_a_term_and_says_what_it_is(studied: Tutor) -> None:
    seen = set()
    for _ in range(3):
        found = studied.drafting.draft("십자인대와 넙다리네갈래근", "prof", "물리치료학과", "운동치료학")
        assert found["content"].startswith("[규칙 기반]")
        assert found["question_metadata"]["explanation"].startswith("[규칙 기반]")
        assert "(    )" in found["content"]
        term = found["options"][found["correct_answer"]]
        assert term in KNEE
        assert term not in found["content"]
        assert len(set(found["options"].values())) == 4
        seen.add(found["content"])
    assert len(seen) == 3


def test_the_offline_draft_ends_where_the_passages_do(tutor: Tutor) -> None:
    add(tutor, "무릎관절은 크다.")
    with pytest.raises(Refused, match="no further sentence"):
        tutor.drafting.draft("무릎관절은 크다", "prof")


def test_terms_are_words_without_their_endings() -> None:
    assert offline.terms("앞십자인대는 정강뼈가 앞으로 밀리는 것을 막는다")[:2] == ["앞십자인대", "정강뼈"]


def test_search_prints_its_threshold_and_counts_what_was_below(studied: Tutor) -> None:
    found = studied.searching.search("무릎 관절")
    assert found["threshold"] == pytest.approx(0.15)
    assert [hit["id"] for hit in found["hits"]] == ["1"]
    assert studied.searching.search("무릎 관절", threshold=0.99)["below_threshold"] == 1
    studied.resources.board.set(thresholds={"question": 0.9})
    assert studied.searching.search("무릎 관절")["hits"] == []


def test_models_that_read_meaning_have_the_thresholds_of_the_rules(
    tutor: Tutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHERRY_TUTOR_EMBEDDER", "st:all-MiniLM-L6-v2")
    now = tutor.resources.switches()
    assert [now.threshold(kind) for kind in ("question", "document", "drafting")] == [0.6, 0.7, 0.5]


@pytest.mark.parametrize(
    "wanted", [{"department": "물리치료학과"}, {"difficulty": 3}, {"year": 2030}, {"question_type": "multiple_choice"}]
)
def test_search_filters(tutor: Tutor, wanted: dict[str, Any]) -> None:
    tutor.import_paper(read_paper(exam(6), "a.json"))
    other = {**EXAMPLE, "subject": "간호학과", "year": 2020, "difficulty": "상", "question_type": "essay"}
    tutor.import_paper(read_paper({"meta": {}, "questions": [other]}, "b.json"))
    tutor.approve(tutor.bank.pending(), "prof")
    found = tutor.searching.search("무릎관절의 주된 움직임", k=50, threshold=-1, **wanted)["hits"]
    [(key, value)] = wanted.items()
    assert found
    assert all(hit["payload"][key] == value for hit in found)
    assert len(tutor.searching.search("무릎관절", k=50, threshold=-1)["hits"]) == 7
