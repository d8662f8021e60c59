"""Every chat provider through its official client, against a server that speaks its API."""

from __future__ import annotations

import json

import pytest
from pydantic import BaseModel, Field

from tests.models.kit import CANARY, CHATS, Provider, QuickClock, patience
from wherry.errors import (
    AuthFailed,
    BadAddress,
    BadAnswer,
    QuotaExceeded,
    RateLimited,
    Rejected,
    TimedOut,
    Unreachable,
    Unsupported,
)
from wherry.models.base import Chat, Message
from wherry.models.registry import open_chat
from wherry.models.structured import structured
from wherry.testing.anthropic_server import AnthropicServer
from wherry.testing.model_server import Fault
from wherry.testing.openai_server import OpenAIServer

every = pytest.mark.parametrize("provider", CHATS, ids=lambda provider: provider.name)
TALK = [
    Message("system", "자료에 있는 것만 답한다."),
    Message("user", "공복 혈당은 언제 재나요?"),
    Message("assistant", "아침에 잽니다."),
    Message("user", "물은 마셔도 되나요?"),
]
ANSWER = "물은 조금 마셔도 됩니다. [1]"


class Finding(BaseModel):
    """What a report says about one test."""

    name: str
    value: float
    notes: list[str] = Field(default_factory=list)


@every
def test_an_answer_with_its_usage_and_cost(provider: Provider) -> None:
    with provider.server(key=provider.key or None) as server:
        server.say(ANSWER)
        chat = provider.open_chat(server)
        reply = chat.reply(TALK, max_tokens=100)
        assert reply.text == ANSWER
        assert reply.extra["finish"] == "stop"
        assert reply.usage.tokens_out == server.tokens(ANSWER)
        assert reply.usage.tokens_in > 0
        assert reply.usage.cost == (0 if provider.name == "ollama" else pytest.approx(reply.usage.cost, rel=1e-9))
        assert reply.usage.cost is not None
        body = json.dumps(server.asked[-1].body, ensure_ascii=False)
        assert all(message.content in body for message in TALK)
        assert "100" in body
        chat.close()
        chat.close()


@every
def test_an_answer_piece_by_piece(provider: Provider) -> None:
    with provider.server() as server:
        server.say(ANSWER)
        chat = provider.open_chat(server)
        pieces = list(chat.stream(TALK))
        assert "".join(pieces) == ANSWER
        assert len(pieces) > 2
        account = chat.account  # type: ignore[attr-defined]
        assert (account.requests, account.tokens_out) == (1, server.tokens(ANSWER))
        chat.close()


@every
def test_a_stream_that_breaks_off_is_an_error_and_not_repeated(provider: Provider) -> None:
    # Anthropic's stream has two events before its first piece.
    begun = 4 if provider.name == "anthropic" else 2
    with provider.server() as server:
        server.say(ANSWER, ANSWER)
        server.fail(Fault(None, after_pieces=begun))
        chat = provider.open_chat(server, patience=patience())
        pieces: list[str] = []
        with pytest.raises(Unreachable):
            pieces.extend(chat.stream(TALK))
        assert len(server.asked) == 1
        chat.close()


@every
def test_a_stream_that_did_not_begin_is_tried_again(provider: Provider) -> None:
    with provider.server() as server:
        server.say(ANSWER)
        server.fail(Fault(503), Fault(None))
        chat = provider.open_chat(server, patience=patience())
        assert "".join(chat.stream(TALK)) == ANSWER
        assert len(server.asked) == 3
        chat.close()


@every
def test_a_reader_who_stops_early_leaves_a_chat_that_works(provider: Provider) -> None:
    with provider.server() as server:
        server.say(ANSWER, "둘째 답")
        chat = provider.open_chat(server)
        stream = chat.stream(TALK)
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        assert chat.reply(TALK).text == "둘째 답"
        chat.close()


@every
@pytest.mark.parametrize("status", [429, 500, 529, None], ids=str)
def test_a_fault_that_passes_is_waited_out(provider: Provider, status: int | None) -> None:
    with provider.server() as server:
        server.say(ANSWER)
        server.fail(Fault(status, times=2))
        chat = provider.open_chat(server, patience=patience())
        assert chat.reply(TALK).text == ANSWER
        assert len(server.asked) == 3
        chat.close()


@every
def test_what_stays_down_is_given_up(provider: Provider) -> None:
    clock = QuickClock()
    with provider.server() as server:
        server.fail(Fault(429, times=1000))
        chat = provider.open_chat(server, "&deadline=30", patience=patience(clock))
        with pytest.raises(RateLimited):
            chat.reply(TALK)
        assert sum(clock.waits) <= 30
        chat.close()


@every
def test_a_wrong_key_is_never_shown(provider: Provider) -> None:
    with provider.server(key="another-key") as server:
        server.fail(*([Fault(401, words=f"bad key {CANARY}", times=9)] if provider.name == "ollama" else []))
        chat = provider.open_chat(server, patience=patience())
        with pytest.raises(AuthFailed) as caught:
            chat.reply(TALK)
        assert CANARY not in f"{caught.value} {caught.value!r} {caught.value.to_dict()} {chat.spec}"
        with pytest.raises(AuthFailed):
            next(chat.stream(TALK))
        assert len(server.asked) == 1
        chat.close()


@every
def test_a_refused_request_does_not_repeat_what_was_said(provider: Provider) -> None:
    with provider.server() as server:
        server.fail(Fault(400, words=f"bad message: {TALK[1].content}"))
        chat = provider.open_chat(server, patience=patience())
        with pytest.raises(Rejected) as caught:
            chat.reply(TALK)
        assert "혈당" not in str(caught.value)
        assert len(server.asked) == 1
        chat.close()


@every
def test_no_answer_in_time(provider: Provider) -> None:
    with provider.server() as server:
        server.hold(9)
        chat = provider.open_chat(server, "&timeout=0.25&deadline=0.01", patience=patience())
        with pytest.raises(TimedOut):
            chat.reply(TALK)
        chat.close()


@every
def test_an_address_that_is_not_the_api_says_so(provider: Provider) -> None:
    with provider.server() as server:
        server.answer = lambda asked: ["another", "service"]  # type: ignore[method-assign]
        chat = provider.open_chat(server, patience=patience())
        with pytest.raises(BadAnswer, match="cannot be read"):
            chat.reply(TALK)
        chat.close()


@every
def test_an_answer_that_was_cut_says_so(provider: Provider) -> None:
    with provider.server() as server:
        server.say("길다 " * 50)
        chat = provider.open_chat(server)
        assert chat.reply(TALK, max_tokens=5).extra["finish"] == "length"
        chat.close()


@every
def test_an_object_is_asked_for_by_the_providers_own_means(provider: Provider) -> None:
    with provider.server() as server:
        server.say('{"name": "공복 혈당", "value": 102.5, "notes": ["경계"]}')
        chat = provider.open_chat(server)
        found = structured(chat, TALK, Finding)
        assert found == Finding(name="공복 혈당", value=102.5, notes=["경계"])
        body = server.asked[0].body
        asked = {
            "openai": lambda: body["response_format"]["json_schema"]["schema"],
            "ollama": lambda: body["format"],
            "gemini": lambda: body["generationConfig"]["responseJsonSchema"],
            "anthropic": lambda: body["output_config"]["format"]["schema"],
        }[provider.name]()
        assert set(asked["properties"]) == {"name", "value", "notes"}
        assert len(server.asked) == 1
        chat.close()


@every
def test_an_object_that_does_not_fit_is_asked_for_once_more(provider: Provider) -> None:
    with provider.server() as server:
        server.say('{"name": "공복 혈당"}', '```json\n{"name": "공복 혈당", "value": 99}\n```')
        chat = provider.open_chat(server)
        assert structured(chat, TALK, Finding).value == 99
        repair = json.dumps(server.asked[1].body, ensure_ascii=False)
        assert "value" in repair
        assert "does not fit" in repair
        chat.close()


@every
def test_two_answers_that_do_not_fit_are_an_error_without_their_content(provider: Provider) -> None:
    with provider.server() as server:
        server.say('{"name": "홍길동"', '{"name": "홍길동", "value": "높음"}', "셋째")
        chat = provider.open_chat(server)
        with pytest.raises(BadAnswer, match=r"value \(float_parsing\)") as caught:
            structured(chat, TALK, Finding)
        assert "홍길동" not in str(caught.value)
        assert "높음" not in str(caught.value)
        assert len(server.asked) == 2
        chat.close()


def test_an_empty_answer_and_a_cut_one_say_why() -> None:
    with OpenAIServer() as server:
        server.say("", '{"name": "' + "가" * 100)
        chat = open_chat(f"openai:gpt-4o-mini?base_url={server.url}/v1")
        with pytest.raises(BadAnswer, match="length") as caught:
            structured(chat, TALK, Finding, max_tokens=20)
        assert caught.value.next == "raise max_tokens"
        chat.close()


def test_openai_takes_a_closed_schema_strictly_and_an_open_one_loosely() -> None:
    class Open(BaseModel):
        values: dict[str, int]

    with OpenAIServer() as server:
        chat = open_chat(f"openai:gpt-4o-mini?base_url={server.url}/v1")
        server.say('{"name": "ALT", "value": 1, "notes": []}', '{"values": {"ALT": 1}}')
        structured(chat, TALK, Finding)
        structured(chat, TALK, Open)
        first, second = (asked.body["response_format"]["json_schema"] for asked in server.asked)
        assert (first["strict"], second["strict"]) == (True, False)
        assert first["schema"]["required"] == ["name", "value", "notes"]
        assert first["schema"]["additionalProperties"] is False
        chat.close()


def test_anthropic_without_credit_is_not_asked_again() -> None:
    with AnthropicServer() as server:
        server.fail(Fault(402, times=9))
        chat = open_chat(f"anthropic:claude-haiku-4-5?base_url={server.url}", patience=patience())
        with pytest.raises(QuotaExceeded):
            chat.reply(TALK)
        assert len(server.asked) == 1
        chat.close()


def test_the_temperature_is_passed_on_and_checked() -> None:
    with OpenAIServer() as server:
        chat = open_chat(f"openai:gpt-4o-mini?temperature=0.2&base_url={server.url}/v1")
        chat.reply(TALK)
        assert server.asked[0].body["temperature"] == 0.2
        chat.close()
    with pytest.raises(BadAddress, match="temperature"):
        open_chat("openai:gpt-4o-mini?temperature=hot")


def test_nothing_to_answer_is_a_usage_error() -> None:
    with OpenAIServer() as server:
        chat = open_chat(f"openai:gpt-4o-mini?base_url={server.url}/v1")
        for messages in ([], [Message("user", "  ")]):
            with pytest.raises(BadAddress, match="no message"):
                chat.reply(messages)
        assert server.asked == []
        chat.close()


def test_offline_says_nothing_and_makes_no_objects() -> None:
    chat = open_chat("offline")
    assert isinstance(chat, Chat)
    assert (chat.spec, chat.reply(TALK).text, list(chat.stream(TALK))) == ("offline", "", [])
    with pytest.raises(Unsupported, match="no objects"):
        structured(chat, TALK, Finding)
    with pytest.raises(Unsupported):
        open_chat("offline:llama")
    chat.close()
