"""The people, posts and answers of `wherry interview demo`; all of them are made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent


def posts() -> dict[str, str]:
    """Return job posts by title."""
    return json.loads((_HERE / "posts.json").read_text(encoding="utf-8"))


def answers() -> dict[str, list[str]]:
    """Return the answers of two applicants, by name, in the order of the questions."""
    return json.loads((_HERE / "answers.json").read_text(encoding="utf-8"))


def transcript() -> dict[str, Any]:
    """Return the transcript of a third interview, held by voice."""
    return json.loads((_HERE / "transcript.json").read_text(encoding="utf-8"))
