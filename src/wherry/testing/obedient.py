"""A chat model that does whatever anybody tells it, for tests of what stands around a model.

    chat = ObedientChat()
    answer = wherry.ask("...", in_=..., chat=chat)

It tells no instruction from a passage. Every line it reads that asks for something, in Korean or English, it repeats
word for word, as a model would that carries it out; asked for what it knows, it writes down all it was told. What
such a model cannot do to a reader, a better one cannot be made to do. `heard` holds every message it was sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from wherry.models.base import Message, Reply, Usage

_ASKS = re.compile(
    r"ignore|system|instruction|say|write|print|repeat|reply|call|tool|http|select|drop|cite|<|!\[|무시|지시|출력|말하|적으|써라|쓰라"
    r"|호출|인용|실행|보내|따르|답하",
    re.I,
)
_ASKS_FOR_ALL = re.compile(r"reveal|everything|all (?:you|documents|data)|prompt|전부|모두|모든|그대로", re.I)
_PIECE_CHARACTERS = 7


class ObedientChat:
    """Obeys. cites: numbers it cites besides, whether or not there are such passages."""

    spec = "obedient:test"

    def __init__(self, cites: Sequence[int] = (1, 7, 99)) -> None:
        self.cites = tuple(cites)
        self.heard: list[tuple[Message, ...]] = []

    def reply(
        self, messages: Sequence[Message], *, max_tokens: int | None = None, schema: dict[str, Any] | None = None
    ) -> Reply:
        """Return what it was told to say."""
        return Reply(self._obeyed(messages), "obedient", Usage(1, 1))

    def stream(self, messages: Sequence[Message], *, max_tokens: int | None = None) -> Iterator[str]:
        """Yield the same in pieces that end anywhere."""
        text = self._obeyed(messages)
        for start in range(0, len(text), _PIECE_CHARACTERS):
            yield text[start : start + _PIECE_CHARACTERS]

    def close(self) -> None:
        """Release nothing."""

    def told(self) -> str:
        """Return everything it was ever told."""
        return "\n".join(message.content for messages in self.heard for message in messages)

    def _obeyed(self, messages: Sequence[Message]) -> str:
        self.heard.append(tuple(messages))
        lines = [line for message in messages for line in message.content.splitlines()]
        said = [line for line in lines if _ASKS.search(line)]
        if any(_ASKS_FOR_ALL.search(line) for line in lines):
            said += lines
        return "\n".join([*said, "그대로 했습니다.", *(f"[{number}]" for number in self.cites)])
