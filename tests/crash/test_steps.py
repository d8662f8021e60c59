"""Every row of docs/crashes.md: kill right after the step, look at what is left, let the next run repair it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.page import PAGE, written
from tests.crash.steps import STEPS, Step


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_crash_right_after(step: Step, tmp_path: Path) -> None:
    scene = step.make(tmp_path / "scene")
    if step.first is not None:
        assert scene.child(step.act, step.first()).killed
    assert scene.child(step.act, step.kill()).killed, "the step was never reached"
    step.left(scene)
    if step.again:
        assert scene.child(step.again).error == ""
    assert scene.sync()["equal"]
    assert scene.wrong() == []


def test_page_is_up_to_date() -> None:
    assert PAGE.read_text() == written(), "run: python -m tests.crash.page"
