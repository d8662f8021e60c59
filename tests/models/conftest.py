"""Keys for the tests of models: canaries, and none from outside."""

from __future__ import annotations

import os

import pytest

from tests.models.kit import KEYS


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set every key to the canary; nothing that points elsewhere is left."""
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "ANTHROPIC_", "GEMINI_", "GOOGLE_", "AWS_", "OLLAMA_", "WHERRY_PRICES")):
            monkeypatch.delenv(name)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
