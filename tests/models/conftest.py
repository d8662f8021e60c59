"""Keys for the tests of models: canaries, and none from outside."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from functools import cache

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


@pytest.fixture(scope="session", autouse=True)
def certificates() -> Iterator[None]:
    """Read certificates once: Gemini's client does so four times whenever it is made, in 130 ms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", cache(ssl.create_default_context))
        yield
