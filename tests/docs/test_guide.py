"""The engine of the guide is the engine in the tests, and its conformance is part of this run."""

from __future__ import annotations

from tests.docs.blocks import ROOT, blocks

_SHELF = ROOT / "tests" / "engines" / "shelf"


def test_the_guide_shows_the_engine_that_the_tests_run() -> None:
    bodies = "\n".join(block.body for block in blocks(ROOT / "docs" / "add-an-engine.md"))
    for name in ("pyproject.toml", "shelf.py", "test_shelf.py"):
        assert (_SHELF / name).read_text(encoding="utf-8") in bodies, f"docs/add-an-engine.md and {name} differ"
