"""The engine of the guide is the engine in the tests, and its conformance is part of this run."""

from __future__ import annotations

import re

from tests.docs.blocks import ROOT, blocks

_SHELF = ROOT / "tests" / "engines" / "shelf"


def test_the_guide_shows_the_engine_that_the_tests_run() -> None:
    bodies = "\n".join(block.body for block in blocks(ROOT / "docs" / "add-an-engine.md"))
    for name in ("pyproject.toml", "shelf.py", "test_shelf.py"):
        assert (_SHELF / name).read_text(encoding="utf-8") in bodies, f"docs/add-an-engine.md and {name} differ"


def test_an_app_of_ones_own_takes_less_than_a_hundred_lines() -> None:
    shell = [block.body for block in blocks(ROOT / "docs" / "build-an-app.md")]
    files = re.findall(r"cat > found/\S+\.py <<'END'\n(.*?)^END$", "".join(shell), re.S | re.M)
    lines = [line for body in files for line in body.splitlines() if line.strip()]
    assert len(files) == 3
    assert len(lines) < 100
    assert {m for line in lines for m in re.findall(r"(?:from|import) (wherry\S*)", line)} == {"wherry"}
