"""Two chat models over real sockets: what they answer, cite, cost and fail at; and the figures by themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wherry
from tests.comparing.kit import QUESTIONS, asked, guides
from tests.comparing.test_page import EVIL, read
from wherry.comparing.chat_metrics import citations, likeness, shared, wording
from wherry.comparing.chat_page import page
from wherry.errors import BadAddress, NoSuchCollection, Rejected, UnknownModel, Unreachable, Usage
from wherry.models.base import Chat, Reply
from wherry.testing.model_server import Fault
from wherry.testing.ollama_server import OllamaServer
from wherry.testing.openai_server import OpenAIServer

Pair = tuple[OpenAIServer, OllamaServer, str, str]


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """An old model behind OpenAI's API, a new one behind Ollama's, and their specs."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with OpenAIServer(key="k") as old, OllamaServer("llama3.1:8b") as new:
        specs = f"openai:gpt-4o-mini?base_url={old.url}/v1", f"ollama:llama3.1:8b?base_url={new.url}&deadline=1"
        yield old, new, *specs


def compared(pair: Pair, questions: Any = QUESTIONS, **wishes: Any) -> wherry.ChatComparison:
    """Compare both models on the guides."""
    return wherry.compare_chat(pair[2], pair[3], questions, in_=guides("memory:#a"), k=3, **wishes)


def test_both_models_get_the_same_questions_and_passages(pair: Pair) -> None:
    found = compared(pair)
    heard = [[asked.body["messages"] for asked in server.asked if "messages" in asked.body] for server in pair[:2]]
    assert len(heard[0]) == len(QUESTIONS) + 1
    talks = [{json.dumps(talk, ensure_ascii=False) for talk in side} for side in heard]
    assert talks[0] == talks[1]
    assert all("[1]>" in talk and "[3]>" in talk for talk in talks[0])
    assert found.old.answered == found.new.answered == len(QUESTIONS)


def test_equal_answers_agree_and_cost_what_the_tables_say(pair: Pair) -> None:
    found = compared(pair, min_agreement=0.99, min_cited=0.99, max_failed=0)
    assert found.wording is not None
    assert found.wording.low == 1.0
    assert found.likeness is not None
    assert found.likeness.mean == pytest.approx(1.0)
    assert found.shared is not None
    assert found.shared.mean == 1.0
    assert found.exit_code == 0
    assert found.new.per_month == 0
    assert found.old.cost == pytest.approx((found.old.tokens_in * 0.15 + found.old.tokens_out * 0.6) / 1e6)
    assert found.old.per_month == pytest.approx(found.old.cost / len(QUESTIONS) * 100_000)
    assert found.worst == ()


def test_answers_that_differ_are_listed_worst_first(pair: Pair) -> None:
    pair[0].spoken = lambda messages: "혈당은 금식한 뒤 아침에 잽니다. [1]"  # type: ignore[method-assign]
    pair[1].spoken = lambda messages: (  # type: ignore[method-assign]
        "모릅니다." if "금식" in messages[-1].rpartition("\n")[2] else "혈당은 금식한 뒤 아침에 잽니다. [1] [9]"
    )
    found = compared(pair, min_agreement=0.9, min_cited=0.5)
    assert found.exit_code == 1
    assert [bar.met for bar in found.bars] == [False, False]
    assert found.worst[0].question == "검진 전 금식"
    assert found.worst[0].new.citations.valid == frozenset()
    assert found.worst[1].new.citations.other == {9}
    assert found.new.cited.mean == 0.0
    assert found.old.cited.mean == 1.0
    html = page(found)
    read(html)
    assert "cites what it was not given: [9]" in html


def test_a_failure_is_counted_and_the_others_go_on(pair: Pair) -> None:
    pair[1].fail(Fault(400, skip=2, path="/api/chat"))
    found = compared(pair, max_failed=0.1)
    assert found.new.failures == {"Rejected": 1}
    assert found.new.answered == len(QUESTIONS) - 1
    assert found.exit_code == 1
    assert found.worst[0].new.error == "Rejected"
    assert compared(pair, max_failed=0.1).exit_code == 0
    read(page(found))
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_model_that_answers_nothing_is_its_own_error(pair: Pair) -> None:
    pair[1].fail(Fault(400, path="/api/chat", times=2))
    with pytest.raises(Rejected):
        compared(pair, ["혈압"])
    asked = len(pair[0].asked)
    dead = "ollama:llama3.1:8b?base_url=http://127.0.0.1:9&deadline=0.2"
    with pytest.raises(Unreachable):
        wherry.compare_chat(pair[2], dead, QUESTIONS, in_=guides("memory:#a"))
    assert len(pair[0].asked) == asked + 1


def test_the_same_questions_give_the_same_bytes_apart_from_what_is_measured(pair: Pair) -> None:
    made = [json.dumps({**compared(pair, seed=3).to_dict(), "measured": None}) for _ in range(2)]
    assert made[0] == made[1]


def test_an_open_chat_is_asked_and_stays_open() -> None:
    class Short:
        """A model that always says the same and was never closed."""

        spec = "own:short"
        closed = False

        def reply(self, messages: Any, *, max_tokens: int | None = None, schema: Any = None) -> Reply:
            return Reply("아침에 잽니다 [1]", "short")

        def stream(self, messages: Any, *, max_tokens: int | None = None) -> Iterator[str]:
            yield "아침"

        def close(self) -> None:
            self.closed = True

    chat = Short()
    assert isinstance(chat, Chat)
    found = wherry.compare_chat(chat, "offline", ["혈압"], in_=guides("memory:#a"))
    assert not chat.closed
    assert found.old.cost is None
    assert found.new.empty == 1
    assert any("no price is known for own:short" in note for note in found.notes)
    assert any("without a word" in note for note in found.notes)


def test_the_page_shows_what_models_say_as_text(pair: Pair, tmp_path: Path) -> None:
    pair[1].spoken = lambda messages: EVIL + " [1]"  # type: ignore[method-assign]
    path = tmp_path / "chat.html"
    compared(pair, [EVIL + " 혈당"], report=path)
    html = path.read_text(encoding="utf-8")
    assert not read(html).seen & {"script", "img"}
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize(
    ("wishes", "error"),
    [
        ({"questions": asked(1, 2)}, Usage),
        ({"questions": []}, Usage),
        ({"min_agreement": 1.5}, Usage),
        ({"old": "nosuch:model"}, UnknownModel),
        ({"old": "offline:x"}, BadAddress | Usage),
        ({"in_": "memory:#nosuch"}, NoSuchCollection),
        ({"report": "/nosuch/page.html"}, Usage),
    ],
)
def test_what_cannot_be_compared_is_refused(wishes: dict[str, Any], error: Any) -> None:
    given = {"old": "offline", "new": "offline", "questions": ["혈압"], "in_": guides("memory:#a"), **wishes}
    with pytest.raises(error if isinstance(error, type) else error.__args__):
        wherry.compare_chat(**given)


texts = st.text(st.sampled_from("혈압당이 높다[]1,29 ."), max_size=40)


@settings(max_examples=60)
@given(texts, texts)
def test_likeness_is_the_same_both_ways_and_whole_for_equals(one: str, other: str) -> None:
    for measure in (wording, likeness):
        assert measure(one, other) == pytest.approx(measure(other, one))
        assert -1 <= measure(one, other) <= 1 + 1e-6
        assert measure(one, one) == pytest.approx(1.0)


def test_wording_is_dice_over_pieces_of_three() -> None:
    assert wording("abcd", "abcx") == pytest.approx(0.5)
    assert wording("혈압은 아침에 잽니다.", "혈압은, 아침에 잽니다") == 1.0
    assert wording("가", "나") == 0.0
    assert wording("", "가나다") == 0.0


@pytest.mark.parametrize(
    ("text", "valid", "other"),
    [
        ("아침에 잽니다 [1], 저녁에도 [2].", {1, 2}, set()),
        ("둘 다 [1, 3] [2;3]", {1, 2, 3}, set()),
        ("없는 것 [0] [4] [99999999999]", set(), {0, 4}),
        ("표시가 아닌 것 [a] (1) [1 2]", set(), set()),
        ("", set(), set()),
    ],
)
def test_citations_are_numbers_in_brackets(text: str, valid: set[int], other: set[int]) -> None:
    found = citations(text, 3)
    assert (set(found.valid), set(found.other)) == (valid, other)
    assert found.kept is (bool(valid) and not other)


def test_citations_kept_are_those_of_the_old_answer() -> None:
    assert shared(citations("[1][2]", 3), citations("[2][3]", 3)) == 0.5
    assert shared(citations("", 3), citations("[2]", 3)) == 1.0
