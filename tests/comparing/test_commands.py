"""`wherry compare` and `wherry compare-chat`: what they print, write, and end with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.comparing.kit import QUESTIONS, asked, fill, guides, swapped, vectors_of
from wherry.cli import main
from wherry.testing.ollama_server import OllamaServer


@pytest.fixture
def questions(tmp_path: Path) -> str:
    """A file of Korean questions."""
    path = tmp_path / "질문.txt"
    path.write_text("\n".join(QUESTIONS), encoding="utf-8")
    return str(path)


def test_equal_sides_end_with_nothing_and_a_page(
    questions: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    code = main(["compare", guides("memory:#a"), guides("memory:#b"), "--queries", questions, "--report", str(page)])
    out = capsys.readouterr().out
    assert code == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "Every bar is met" in out
    assert "overlap 1.000" in out


def test_damage_ends_with_one_and_json_is_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vectors = vectors_of(1)
    a, b = fill("memory:#a", vectors), fill("memory:#b", swapped(vectors, 0.02, 1))
    np.save(tmp_path / "q.npy", asked(1))
    rest = ["--queries", str(tmp_path / "q.npy"), "--k", "5", "--rounds", "1", "--worst", "2"]
    assert main(["compare", a, b, *rest, "--json"]) == 1
    value = json.loads(capsys.readouterr().out)
    assert value["passed"] is False
    assert len(value["worst"]) == 2
    assert len(value["worst"][0]["a"]) == 5
    assert main(["compare", a, b, *rest, "--min-overlap", "0.5", "--min-recall", "0.9"]) == 0
    assert main(["compare", a, b, *rest]) == 1
    assert "differs: vector" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rest", "code"),
    [
        (["--queries", "/nosuch/q.txt"], 2),
        (["--queries", "Q", "--k", "0"], 2),
        (["--queries", "Q", "--report", "/nosuch/p.html"], 2),
        ([], 2),
    ],
)
def test_wrong_arguments_are_refused(questions: str, rest: list[str], code: int) -> None:
    assert main(["compare", guides("memory:#a"), "memory:#a", *(questions if r == "Q" else r for r in rest)]) == code


def test_models_are_compared(questions: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "chat.html"
    with OllamaServer("llama3.1:8b", "qwen2.5:7b") as server:
        specs = [f"ollama:{name}?base_url={server.url}" for name in ("llama3.1:8b", "qwen2.5:7b")]
        rest = ["--questions", questions, "--in", guides("memory:#a"), "-k", "2"]
        assert main(["compare-chat", *specs, *rest, "--report", str(page), "--min-agreement", "0.9"]) == 0
        assert "Every bar is met" in capsys.readouterr().out
        server.spoken = lambda messages: "모릅니다"  # type: ignore[method-assign]
        assert main(["compare-chat", *specs, *rest, "--min-cited", "0.5", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["new"]["citations_kept"]["mean"] == 0.0
    assert "Can the new model take over?" in page.read_text(encoding="utf-8")
