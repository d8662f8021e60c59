"""What an operator sets in the environment: which models write, which embed, and how long they may take."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from typing import Any

import wherry
from wherry_apps.body.rules import Limits

OFFLINE_EMBEDDER, OPENAI_EMBEDDER, OLLAMA_EMBEDDER = "hash:1024", "openai:text-embedding-3-small", "ollama:bge-m3"
RULES = "rules-1"
# Shorter than a caller of the service waits; who fills many vectors waits longer for a model that asks to.
PATIENCE_S, BULK_PATIENCE_S = 20.0, 120.0
# A question that cannot be embedded is answered from the latest reports: so long is that waited for.
_QUESTION_S = 5.0
_OPENAI = ("gpt-", "chatgpt-", "o1", "o3", "o4")


@dataclass(frozen=True)
class Settings:
    """How Body runs.

    model: the spec that writes; `offline` means the rules. embedders: specs; the first also embeds questions.
    ollama_embedder: what `--use-ollama-rag` embeds questions with. patience_s: how long a model is waited for.
    """

    model: str = "offline"
    embedders: tuple[str, ...] = (OFFLINE_EMBEDDER,)
    ollama_embedder: str = OLLAMA_EMBEDDER
    patience_s: float = PATIENCE_S
    limits: Limits = field(default_factory=Limits)

    @classmethod
    def from_environment(cls) -> Settings:
        """Return the settings of BODY_MODEL, BODY_EMBEDDERS, BODY_OLLAMA_EMBEDDER, BODY_PATIENCE_S and BODY_LIMITS.

        Without BODY_EMBEDDERS the offline embedder is used, and OpenAI's before it where its key is set. Raises Usage.
        """
        usual = f"{OPENAI_EMBEDDER},{OFFLINE_EMBEDDER}" if os.environ.get("OPENAI_API_KEY") else OFFLINE_EMBEDDER
        named = os.environ.get("BODY_EMBEDDERS") or usual
        return cls(
            chat_spec(os.environ.get("BODY_MODEL") or "offline"),
            tuple(spec.strip() for spec in named.split(",") if spec.strip()),
            os.environ.get("BODY_OLLAMA_EMBEDDER") or OLLAMA_EMBEDDER,
            _seconds("BODY_PATIENCE_S", PATIENCE_S),
            Limits.configured(),
        )


class Models:
    """The models of one process, each opened when it is first needed; threads may share it."""

    def __init__(self, patience_s: float) -> None:
        self._patience = {False: wherry.Patience(patience_s), True: wherry.Patience(min(patience_s, _QUESTION_S))}
        self._open: dict[tuple[str, str, bool], Any] = {}
        self._lock = threading.Lock()

    def chat(self, spec: str) -> wherry.Chat:
        """Return a chat model. Raises AuthFailed (no key), MissingExtra and the like."""
        return self._get("chat", spec)

    def embedder(self, spec: str, question: bool = False) -> wherry.Embedder:
        """Return an embedder. question: somebody waits, and there is another way. Raises AuthFailed and the like."""
        return self._get("embedder", spec, question)

    def close(self) -> None:
        """Close every model."""
        with self._lock:
            opened, self._open = list(self._open.values()), {}
        for model in opened:
            model.close()

    def _get(self, kind: str, spec: str, hasty: bool = False) -> Any:
        with self._lock:
            if (kind, spec, hasty) not in self._open:
                make = wherry.open_chat if kind == "chat" else wherry.open_embedder
                self._open[kind, spec, hasty] = make(spec, patience=self._patience[hasty])
            return self._open[kind, spec, hasty]


def chat_spec(name: str) -> str:
    """Return a model as a spec: `gpt-4o-mini` is OpenAI's, `claude-...` Anthropic's, `llama3.1:8b` Ollama's."""
    plain = name.strip()
    provider, mark, _ = plain.partition(":")
    if plain in ("offline", "rules", RULES):
        return "offline"
    if mark and provider in ("openai", "anthropic", "ollama", "gemini", "bedrock"):
        return plain
    if plain.startswith(_OPENAI):
        return f"openai:{plain}"
    return f"anthropic:{plain}" if plain.startswith("claude") else f"ollama:{plain}"


def _seconds(name: str, usual: float) -> float:
    text = os.environ.get(name)
    if not text:
        return usual
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < 1e6:
        raise wherry.Usage(f"{name} is no number of seconds above 0", where="environment", next="give a number")
    return found
