"""`offline`: no chat model. It says nothing by itself; answers are then made of what was found, word for word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from wherry.errors import Unsupported
from wherry.models.base import Message, Reply
from wherry.models.spec import ModelSpec


class OfflineChat:
    """Answers nothing: the empty reply tells whoever asked to quote instead."""

    spec = "offline"

    def reply(
        self, messages: Sequence[Message], *, max_tokens: int | None = None, schema: dict[str, Any] | None = None
    ) -> Reply:
        """Return an empty reply. Raises Unsupported when an object is asked for."""
        if schema is not None:
            raise Unsupported("offline makes no objects", next="name a chat model, for example ollama:llama3.1:8b")
        return Reply("", "offline")

    def stream(self, messages: Sequence[Message], *, max_tokens: int | None = None) -> Iterator[str]:
        """Yield nothing."""
        yield from ()

    def close(self) -> None:
        """Release nothing."""


def open_chat(spec: ModelSpec) -> OfflineChat:
    """Open `offline`. Raises Unsupported when it is given a model or options."""
    if spec.model or spec.options:
        raise Unsupported(f"offline takes no model and no options ({spec})", next="write offline")
    return OfflineChat()
