"""The guard around every chat model: pace, retries, breaker and accounts, as for embedders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from wherry.errors import BadAddress
from wherry.models.accounts import Account, Accounts
from wherry.models.base import Message, Reply, Usage
from wherry.models.calls import Calls, Patience
from wherry.models.prices import price_of
from wherry.models.tokens import estimate, estimate_all
from wherry.models.wire import ChatWire

_CONCURRENCY = 8


class GuardedChat:
    """A chat model that is asked at its pace and whose bill is known."""

    def __init__(self, wire: ChatWire, patience: Patience | None = None) -> None:
        self._wire = wire
        self._accounts = Accounts(price_of(str(wire.spec)))
        self._calls = Calls(wire.spec, _CONCURRENCY, self._accounts, patience)

    @property
    def spec(self) -> str:
        """Return the spec it was opened by, fit to print."""
        return str(self._wire.spec)

    @property
    def account(self) -> Account:
        """Return what was consumed so far."""
        return self._accounts.so_far

    def reply(
        self, messages: Sequence[Message], *, max_tokens: int | None = None, schema: dict[str, Any] | None = None
    ) -> Reply:
        """Return the answer with its usage and cost. schema: a JSON Schema the answer's text must be an object of.

        Raises AuthFailed, QuotaExceeded, RateLimited, Unreachable, TimedOut or Rejected.
        """
        expected = _expected(messages, max_tokens)
        reply = self._calls.make(lambda: self._wire.reply(messages, max_tokens=max_tokens, schema=schema), expected)
        return self._counted(reply, messages)

    def stream(self, messages: Sequence[Message], *, max_tokens: int | None = None) -> Iterator[str]:
        """Yield the answer piece by piece.

        Only what comes before the first piece is tried again: a reader must not see a beginning twice.
        """

        def begun() -> tuple[str | Reply | None, Iterator[str | Reply]]:
            pieces = self._wire.stream(messages, max_tokens=max_tokens)
            return next(pieces, None), pieces

        first, rest = self._calls.make(begun, _expected(messages, max_tokens))
        with closing(rest):  # type: ignore[type-var]
            if isinstance(first, str):
                yield first
            elif first is not None:
                self._counted(first, messages)
            for piece in rest:
                if isinstance(piece, str):
                    yield piece
                else:
                    self._counted(piece, messages)

    def close(self) -> None:
        """Release connections; a second call does nothing."""
        self._wire.close()

    def _counted(self, reply: Reply, messages: Sequence[Message]) -> Reply:
        guess, used = _expected(messages, None), reply.usage
        out = used.tokens_out or (estimate(reply.text) if reply.text else 0)
        cost = self._accounts.answered(0, guess, used.tokens_in or None, out)
        return replace(reply, usage=Usage(used.tokens_in or guess, out, cost))


def _expected(messages: Sequence[Message], max_tokens: int | None) -> int:
    if not messages or not any(message.content.strip() for message in messages):
        raise BadAddress("there is no message to answer")
    return estimate_all(message.content for message in messages) + (max_tokens or 0)
