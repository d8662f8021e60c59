"""What the tests of models share: a clock that costs no time, keys that must never show, every provider once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

from wherry.models.base import Chat
from wherry.models.calls import Patience
from wherry.models.guard import GuardedEmbedder
from wherry.models.registry import open_chat, open_embedder
from wherry.testing.anthropic_server import AnthropicServer
from wherry.testing.bedrock_server import BedrockServer
from wherry.testing.gemini_server import GeminiServer
from wherry.testing.model_server import ModelServer
from wherry.testing.ollama_server import OllamaServer
from wherry.testing.openai_server import OpenAIServer

CANARY = "sk-canary-7f3a9c41d0"
AWS_ID = "AKIACANARY7F3A9C41"
KEYS = {
    "OPENAI_API_KEY": CANARY,
    "GEMINI_API_KEY": CANARY,
    "ANTHROPIC_API_KEY": CANARY,
    "OLLAMA_API_KEY": CANARY,
    "AWS_ACCESS_KEY_ID": AWS_ID,
    "AWS_SECRET_ACCESS_KEY": CANARY,
    "AWS_DEFAULT_REGION": "ap-northeast-2",
    "AWS_EC2_METADATA_DISABLED": "true",
}
DIMENSION = 64


class QuickClock:
    """A clock on which waiting takes no time. waits: every wait there was, in seconds."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self._now = 1000.0
        self._lock = Lock()

    def now(self) -> float:
        """Return the seconds."""
        with self._lock:
            return self._now

    def wait(self, seconds: float) -> None:
        """Let them pass at once."""
        assert seconds > 0
        with self._lock:
            self._now += seconds
            self.waits.append(seconds)


def patience(clock: QuickClock | None = None, **settings: Any) -> Patience:
    """Return patience on a quick clock, with half of the longest jitter each time."""
    return Patience(clock=clock or QuickClock(), spread=lambda: 0.5, **settings)


@dataclass(frozen=True)
class Provider:
    """A provider and its server. embedder, chat: specs without the address, "" where it has none."""

    name: str
    server: Callable[..., ModelServer]
    base: str
    embedder: str = ""
    chat: str = ""
    key: str = CANARY

    def open_embedder(self, server: ModelServer, options: str = "", **how: Any) -> GuardedEmbedder:
        """Open its embedder on the server."""
        return open_embedder(f"{self.embedder}base_url={server.url}{self.base}{options}", **how)

    def open_chat(self, server: ModelServer, options: str = "", **how: Any) -> Chat:
        """Open its chat on the server."""
        return open_chat(f"{self.chat}base_url={server.url}{self.base}{options}", **how)


def _ollama(**settings: Any) -> OllamaServer:
    return OllamaServer("bge-m3:latest", "llama3.1:8b", "qwen3-embedding:8b", **settings)


PROVIDERS = [
    Provider("openai", OpenAIServer, "/v1", "openai:local-model?", "openai:gpt-4o-mini?"),
    Provider("ollama", _ollama, "", "ollama:bge-m3?", "ollama:llama3.1:8b?", key=""),
    Provider("bedrock", BedrockServer, "", "bedrock:amazon.titan-embed-text-v2:0?dim=256&", key=AWS_ID),
    Provider("gemini", GeminiServer, "", f"gemini:gemini-embedding-001?dim={DIMENSION}&", "gemini:gemini-2.5-flash?"),
    Provider("anthropic", AnthropicServer, "", chat="anthropic:claude-haiku-4-5?"),
]
EMBEDDERS = [provider for provider in PROVIDERS if provider.embedder]
CHATS = [provider for provider in PROVIDERS if provider.chat]


@contextmanager
def opened(server: ModelServer, options: str = "", **how: Any) -> Iterator[GuardedEmbedder]:
    """Open an embedder of the OpenAI kind on a server and close it afterwards."""
    embedder = open_embedder(f"openai:local-model?base_url={server.url}/v1{options}", **how)
    try:
        yield embedder
    finally:
        embedder.close()


def texts(count: int) -> list[str]:
    """Return texts that differ, Korean ones."""
    return [f"검진 안내 {n}번: 공복 혈당과 혈압은 아침에 잽니다." for n in range(count)]
