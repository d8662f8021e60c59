"""Search and questions: what is found, what is computed, what a model may write."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.apps.evals.conftest import with_settings
from tests.apps.evals.places import R01, as_json, run, uuid_of
from wherry import NotFound, Usage
from wherry.testing.model_server import Fault
from wherry.testing.ollama_server import OllamaServer
from wherry_apps.evals.asking import Answers, Asked
from wherry_apps.evals.preindexing import Preindex, Wish
from wherry_apps.evals.questions import is_verb_alone, metric_in, parsed, period_in
from wherry_apps.evals.searching import Finder
from wherry_apps.evals.service import Evals

NOW = datetime(2026, 1, 14, 10)
Cli = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def filled(evals: Evals, tmp_path: Path) -> Evals:
    """R01 of last week, and two runs of the week before."""
    place = as_json(tmp_path / "runs.json", [R01, run(1, 4, day=1), run(2, 4, day=2, scores=(0.9, 0.95))])
    Preindex(evals.index, Wish(source_db=str(place), model="hash:256", skip_guide=True)).run()
    return evals


def asked(evals: Evals, question: str, run_id: str | None = None, owner: str | None = None) -> Any:
    return Answers(evals.index, evals.finder, lambda: NOW).ask(Asked(question, run_id), owner)


def test_the_failing_cases_of_a_run_are_named_and_cited_offline(filled: Evals, run_cli: Cli) -> None:
    code, out, _ = run_cli("ask", "실패한 케이스는?", "--run-id", "r-01")
    assert code == 0
    assert "c1" in out
    assert "run:r-01" in out
    assert "근거와 다름" in out
    found = json.loads(run_cli("ask", "실패한 케이스는?", "--run-id", "r-01", "--json")[1])
    assert found["how"] == "computed"
    assert found["citations"] == [{"source": "run:r-01", "doc_id": 2, "run_id": "r-01", "case_id": "c1"}]
    assert found["figures"]["failed"] == 1


def test_which_runs_failed_faithfulness_last_week_and_why(filled: Evals) -> None:
    reply = asked(filled, "which runs failed faithfulness last week and why?")
    assert reply.figures == {"failed": 1, "runs": 1, "sources": ["run:r-01"]}
    assert "2026-01-05 ~ 2026-01-11" in reply.text
    assert "근거와 다름" in reply.text
    assert {one["source"] for one in reply.citations} == {"run:r-01"}
    korean = asked(filled, "지난주에 faithfulness에 실패한 실행과 이유는?")
    assert korean.figures == reply.figures
    every = asked(filled, "which runs failed faithfulness and why?")
    assert (every.figures["failed"], every.figures["runs"]) == (2, 3)
    assert asked(filled, "which runs failed faithfulness yesterday?").figures == {}


@pytest.mark.parametrize(
    ("question", "run_id", "figures"),
    [
        ("가장 낮은 점수의 케이스는?", None, {"score": 0.0, "cases": 1}),
        ("what is the lowest faithfulness score?", uuid_of(1), {"score": 0.5, "cases": 2}),
        ("가장 높은 점수는?", uuid_of(2), {"score": 0.95, "cases": 2}),
        ("통과율은?", uuid_of(1), {f"run:{uuid_of(1)}": 0.5}),
        ("faithfulness 평균 점수는?", uuid_of(2), {f"run:{uuid_of(2)}": {"faithfulness": 0.925}}),
        ("실패한 케이스는?", uuid_of(2), {"failed": 0, "evaluated": 4}),
        ("마지막 실행에서 실패한 케이스는?", None, {"failed": 1, "evaluated": 1,
                                        "cases": [{"source": "run:r-01", "case_id": "c1"}]}),
    ],
)  # fmt: skip
def test_numbers_are_computed(filled: Evals, question: str, run_id: str | None, figures: dict[str, Any]) -> None:
    reply = asked(filled, question, run_id)
    assert reply.how == "computed"
    assert reply.figures == figures


def test_other_questions_are_answered_by_what_is_found(filled: Evals) -> None:
    reply = asked(filled, "보증은 몇 년인가요")
    assert reply.how == "found"
    assert reply.text.startswith("[검색 결과]\n")
    assert len(reply.contexts) == 3
    assert "보증은 2년이다." in reply.text
    assert "run:r-01" in {one["source"] for one in reply.citations}


def test_a_verb_alone_means_the_selected_run(filled: Evals) -> None:
    assert [is_verb_alone(words) for words in ("요약해줘", "이거 설명해 줘!", "explain please", "보증을 설명해줘")] == [
        True, True, True, False
    ]  # fmt: skip
    reply = asked(filled, "요약해줘", "r-01")
    assert {one["source"] for one in reply.citations} == {"run:r-01"}
    assert "[RUN SUMMARY]" in reply.text


def test_a_selected_run_limits_what_is_found(filled: Evals) -> None:
    found = filled.search("할인율", None, uuid_of(1))
    assert {hit["source"] for hit in found.hits} == {f"run:{uuid_of(1)}"}
    with pytest.raises(NotFound):
        filled.search("할인율", None, "r-404")
    with pytest.raises(NotFound):
        asked(filled, "실패한 케이스는?", "r-404")
    with pytest.raises(Usage):
        asked(filled, "   ")


def test_the_score_is_the_formula_and_the_best_hit_is_the_most_similar(filled: Evals) -> None:
    found = filled.search("보증 기간은? 보증은 2년이다", None)
    for hit in found.hits:
        weights = {"lexical": 0.4, "vector": 0.6}
        wanted = sum(weights[leg] / (60 + part["rank"]) for leg, part in hit["parts"].items())
        assert hit["score"] == pytest.approx(wanted)
        assert hit["similarity"] == pytest.approx(1 - hit["distance"])
    dense = with_settings(filled, EVALVAULT_RAG_USE_HYBRID=False)
    finder = Finder(dense)
    hits = finder.search("보증 기간은? 보증은 2년이다", None).hits
    finder.close()
    similar = [hit["similarity"] for hit in hits]
    assert similar == sorted(similar, reverse=True)
    assert hits[0]["source"] == "run:r-01"


def test_search_as_a_command(filled: Evals, run_cli: Cli) -> None:
    code, out, _ = run_cli("search", "faithfulness", "--json")
    assert code == 0
    assert all(hit["source"].startswith("run:") for hit in json.loads(out)["hits"])
    code, out, _ = run_cli("search", "faithfulness", "-k", "1")
    assert "run:" in out
    code, out, _ = run_cli("search", "할인율", "--metric", "faithfulness", "--kind", "test_case", "--json")
    assert {hit["metadata"]["run_id"] for hit in json.loads(out)["hits"]} == {uuid_of(1), "r-01"}


def test_an_empty_index_says_so(evals: Evals, run_cli: Cli) -> None:
    code, out, _ = run_cli("search", "x", "--json")
    assert (code, json.loads(out)["hits"]) == (0, [])
    code, out, _ = run_cli("ask", "설치 방법은?")
    assert code == 0
    assert "preindex" in out


def test_a_model_writes_from_the_three_best_and_its_citations_are_checked(filled: Evals) -> None:
    with OllamaServer("qwen3:14b") as ollama:
        settings = {"OLLAMA_CHAT_MODEL": "qwen3:14b", "OLLAMA_BASE_URL": ollama.url}
        index = with_settings(filled, **settings)
        finder = Finder(index)
        ollama.say("보증은 2년입니다 [1]. 없는 근거 [9].")
        reply = Answers(index, finder).ask(Asked("보증은 몇 년인가요", "r-01", "보증"), None)
        finder.close()
        assert reply.how == "written"
        assert "보증은 2년입니다 [1]" in reply.text
        assert "[9]" not in reply.text
        assert [one["source"] for one in reply.citations] == ["run:r-01"]
        assert len(reply.contexts) <= 3
        sent = json.dumps([one.body for one in ollama.asked if one.path == "/api/chat"], ensure_ascii=False)
        assert "r-01" in sent
        assert "분류(category): 보증" in sent
        assert "보증은 몇 년인가요" in sent


def test_a_model_that_fails_leaves_the_contexts(filled: Evals) -> None:
    with OllamaServer("qwen3:14b") as ollama:
        settings = {"OLLAMA_CHAT_MODEL": "qwen3:14b", "OLLAMA_BASE_URL": ollama.url}
        ollama.hold()
        index = with_settings(filled, **settings, EVALVAULT_RAG_CHAT_TIMEOUT_SECONDS=0.5)
        finder = Finder(index)
        reply = Answers(index, finder).ask(Asked("보증은 몇 년인가요"), None)
        assert (reply.how, reply.text.startswith("[검색 결과]")) == ("found", True)
        ollama.fail(Fault(500, path="/api/chat", times=50))
        silent = with_settings(filled, **settings, EVALVAULT_RAG_LLM_ENABLED=False)
        before = len(ollama.asked)
        assert Answers(silent, finder).ask(Asked("보증은 몇 년인가요"), None).how == "found"
        assert len(ollama.asked) == before
        finder.close()


def test_an_answer_comes_in_pieces_and_ends_whole(filled: Evals) -> None:
    pieces = list(filled.stream(Asked("보증은 몇 년인가요"), None))
    assert "".join(piece for piece in pieces if isinstance(piece, str)) == pieces[-1].text  # type: ignore[union-attr]


def test_periods_begin_on_monday_and_at_midnight() -> None:
    found = {words: period_in(words, NOW) for words in ("last week", "이번 주", "어제", "지난달", "최근 3일", "없음")}
    starts = {words: period.start.date().isoformat() if period else None for words, period in found.items()}
    assert starts == {
        "last week": "2026-01-05", "이번 주": "2026-01-12", "어제": "2026-01-13", "지난달": "2025-12-01",
        "최근 3일": "2026-01-11", "없음": None,
    }  # fmt: skip
    week = found["last week"]
    assert week is not None
    assert week.holds("2026-01-11T23:59:59.999")
    assert not week.holds("2026-01-12T00:00:00")


def test_metrics_are_known_by_their_names_and_by_what_they_are_called() -> None:
    names = ["faithfulness", "answer_relevancy", "answer"]
    assert metric_in("왜 answer relevancy 점수가 낮지?", names) == "answer_relevancy"
    assert metric_in("충실도에 실패한 실행은?", names) == "faithfulness"
    assert metric_in("점수는?", names) is None
    assert parsed("설치는 어떻게 하나요?", names, False) is None
    assert parsed("실패했을 때는 어떻게 하나요?", names, False) is None
