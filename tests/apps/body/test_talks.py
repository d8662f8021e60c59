"""Questions about reports and plans without a model, and the menu."""

from __future__ import annotations

from typing import Any

import pytest

import wherry
from wherry_apps.body.quoting import NOTHING, quote
from wherry_apps.body.service import Body


def test_lines_that_fit_are_quoted_word_for_word(body: Body, analysed: dict[str, Any]) -> None:
    done = body.talks.say(None, "report", analysed["id"], "내장지방은 어때?")
    quoted = [line for line in done["answer"].splitlines() if line.startswith("- ")]
    assert any("내장지방레벨: 6" in line for line in quoted)
    for line in quoted:
        assert line.partition(") ")[2] in analysed["llm_output"]


def test_what_the_text_does_not_say_is_not_answered() -> None:
    assert quote("체중: 70 kg", "비트코인 시세") == NOTHING


@pytest.mark.parametrize("message", ["10", "1번", "1.", "1 2", "0", "01", "８", "1번 운동 알려줘"])
def test_the_menu_hears_one_number_alone(body: Body, analysed: dict[str, Any], message: str) -> None:
    assert body.talks.say(None, "report", analysed["id"], message)["model"] == "offline"


def test_a_number_brings_its_part(body: Body, analysed: dict[str, Any], me: int) -> None:
    done = body.talks.say(None, "report", analysed["id"], " 2 ")
    assert (done["model"], done["answer"].splitlines()[0]) == ("menu", "## 체성분")
    plan = body.plans.generate(None, me)
    assert body.talks.say(None, "plan", plan["id"], "7")["answer"].startswith("# 일요일")
    assert len(body.talks.history(None, "plan", plan["id"])["menu"]) == 7


def test_a_restart_keeps_what_was_said(body: Body, analysed: dict[str, Any]) -> None:
    body.talks.say(None, "report", analysed["id"], "체지방률은?")
    with Body() as restarted:
        turns = restarted.talks.history(None, "report", analysed["id"])["turns"]
    assert [turn["role"] for turn in turns] == ["user", "assistant"]


@pytest.mark.parametrize("message", ["", " ", "a\x00b", "x" * 4001, "\ud800"])
def test_a_message_that_is_none_is_refused_and_not_kept(body: Body, analysed: dict[str, Any], message: str) -> None:
    with pytest.raises(wherry.BadRecord):
        body.talks.say(None, "report", analysed["id"], message)
    assert body.talks.history(None, "report", analysed["id"])["turns"] == []


def test_a_sheet_takes_what_was_said_about_it_along(body: Body, analysed: dict[str, Any]) -> None:
    body.talks.say(None, "report", analysed["id"], "체지방률은?")
    body.delete_record(None, analysed["record_id"])
    with body.db.begin() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM body_chats").scalar() == 0
        assert connection.exec_driver_sql("SELECT count(*) FROM analysis_reports").scalar() == 0


def test_what_is_not_there_cannot_be_asked(body: Body, analysed: dict[str, Any]) -> None:
    for number in (0, -1, analysed["id"] + 1, 2**40):
        with pytest.raises(wherry.NotFound):
            body.talks.say(None, "report", number, "x")
