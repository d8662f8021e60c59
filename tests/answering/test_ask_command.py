"""`wherry ask` as a person and a script run it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.answering.shelves import fill
from tests.cli.commands import run_command
from wherry import cli
from wherry.demo import library

QUESTION = "공복혈당이 얼마면 당뇨병인가요?"


def test_the_command_prints_one_object_and_keeps_the_conversation(tmp_path: Path) -> None:
    export = tmp_path / "export.json"
    library.export(export, 16)
    said = run_command(
        "ask", "공복혈당이 108이면 당뇨병인가요?", "--in", str(export), "--json", "--conversation", "kim"
    )
    assert said.code == 0, said.err
    assert said.json["citations"][0]["id"] == "g003-p02"
    assert said.json["conversation"] == "kim"
    assert said.json["extractive"] is True


def ask(*args: str) -> int:
    """Run the command in this process."""
    return cli.main(["ask", *args])


def test_people_see_the_answer_then_its_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(QUESTION, "--in", fill("memory:#guides")) == 0
    said = capsys.readouterr().out
    assert said.startswith("[발췌 답변]")
    assert "[1] glu-1 · glu-1.pdf" in said
    assert "quoted from the records, from memory:#guides" in said


def test_on_a_terminal_the_answer_comes_piece_by_piece(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    address = fill("memory:#guides")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert ask(QUESTION, "--in", address) == 0
    said = capsys.readouterr().out
    assert said.count("[발췌 답변]") == 1
    assert "[1] glu-1" in said


@pytest.mark.parametrize(("args", "code", "what"), [
    (["", "--in", "memory:#guides"], 2, "the question is empty"),
    ([QUESTION, "--in", "memory:#guides", "--chat", "nosuch:x"], 2, "no provider"),
    ([QUESTION, "--in", "memory:#guides", "-k", "0"], 2, "k is 0"),
    ([QUESTION, "--in", "memory:#guides", "--where", "page >"], 2, ""),
    ([QUESTION, "--in", "nosuch-file.json"], 4, ""),
])  # fmt: skip
def test_mistakes_are_told(args: list[str], code: int, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    fill("memory:#guides")
    assert ask(*args, "--json") == code
    told = json.loads(capsys.readouterr().out)
    assert what in told["what"]
    assert told["next"]
