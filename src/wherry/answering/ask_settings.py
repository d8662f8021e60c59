"""How a question is to be answered."""

from __future__ import annotations

from dataclasses import dataclass

from wherry.answering.search import Condition
from wherry.errors import Usage
from wherry.models.base import Chat, Embedder

TOKEN_BUDGET, MOST_TOKENS, TIMEOUT_S = 3_000, 1_024, 60.0
_SMALLEST_BUDGET = 100


@dataclass(frozen=True)
class Settings:
    """The wishes of one question; `ask` explains each.

    token_budget: of passages and earlier turns together, estimated upwards; rules and question come on top.
    max_tokens: of the answer. timeout_s: seconds, at most 1 day.
    """

    chat: str | Chat = "offline"
    k: int = 5
    where: Condition | None = None
    conversation: str | None = None
    token_budget: int = TOKEN_BUDGET
    max_tokens: int = MOST_TOKENS
    timeout_s: float = TIMEOUT_S
    instructions: str | None = None
    embedder: str | Embedder | None = None
    mode: str | None = None
    label: str | None = None

    def require(self) -> None:
        """Raise Usage for a number that cannot be."""
        for name, least in (("k", 1), ("token_budget", _SMALLEST_BUDGET), ("max_tokens", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise Usage(f"{name} is {value!r}; it must be a whole number of at least {least}", where=name)
        if not 0 < self.timeout_s <= 86_400:
            raise Usage(f"timeout_s is {self.timeout_s!r}; it must be seconds, above 0", where="timeout_s")
