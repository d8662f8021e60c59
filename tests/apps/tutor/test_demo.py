"""The demo: the whole story, offline, in under a minute, and nothing of the user's is touched."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.apps.tutor.papers import exam
from wherry.cli import main
from wherry_apps.tutor import demo
from wherry_apps.tutor.importing import read_file, read_paper
from wherry_apps.tutor.service import Tutor


def test_the_story_is_played_and_leaves_what_is_there_alone(
    tutor: Tutor, wherry_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tutor.import_paper(read_paper(exam(3), "mine.json"))
    monkeypatch.setenv("WHERRY_TUTOR_LLM", "openai:gpt-4o-mini")
    assert main(["tutor", "demo", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["seconds"] < 60
    assert "question 4" in told["refused"]
    assert told["graded"]["weak"] == ["신경계통"]
    assert all("틀린" in one["reason"] for one in told["recommended"])
    assert "넙다리뒤근육은 무릎을 굽히는 근육이다" in told["explained"]["explanation"]
    assert told["drafted"]["approval_status"] == "pending"
    assert (told["moved"]["equal"], told["moved"]["verified"]) == (True, "deep")
    assert told["benchmark"]["passed"]
    assert (told["retired"]["retired"], told["rolled_back"]["verified"]) == ("pgvector", "verified")
    assert "was not made" in told["not_retired"]
    assert tutor.bank.list()["total"] == 3
    assert tutor.resources.switches().store == "pgvector"
    assert not (wherry_home / "tutor" / "demo").exists()
    with tutor.db.begin() as connection:
        found = connection.exec_driver_sql("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'tutor_demo%%'").all()
    assert found == []


def test_the_files_that_come_along_pass_the_checks() -> None:
    assert len(read_file(demo.DATA / "exam-2030.json").items) == 12
    paper = read_file(demo.DATA / "diagnosis.json")
    assert (len(paper.items), paper.warnings) == (30, ())
