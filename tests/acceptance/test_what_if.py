"""Every answer of docs/what-if.md names a test, and the test is there."""

from __future__ import annotations

import ast
import re

import pytest

from tests.docs.blocks import ROOT

PAGE = (ROOT / "docs" / "what-if.md").read_text(encoding="utf-8")
_NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
ANSWERS = dict(re.findall(r"^## (What if [^\n]+\?)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))


def test_at_least_twenty_questions_are_answered() -> None:
    assert len(ANSWERS) >= 20
    assert len(ANSWERS) == PAGE.count("\n## ")


@pytest.mark.parametrize("question", ANSWERS)
def test_answer_is_short_and_names_its_proof(question: str) -> None:
    words, _, proof = ANSWERS[question].partition("\nProof")
    assert 2 <= len(re.findall(r"[.?!](?=\s|$)", words)) <= 6
    named = _NAMED.findall(proof)
    assert named
    # Nothing in backticks that looks like a test and escapes the check below.
    assert len(named) == proof.count("`") // 2


@pytest.mark.parametrize(("path", "test"), sorted(set(_NAMED.findall(PAGE))))
def test_proof_that_is_named_is_there(path: str, test: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert test in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
