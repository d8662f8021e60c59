"""What a model was asked and what it cost, counted as it happens."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from threading import Lock
from typing import Any

from wherry.models.prices import Price


@dataclass(frozen=True)
class Account:
    """What was consumed so far.

    requests: answered ones. retried: attempts that failed and were made again. refused: texts that cannot be
    embedded. estimated: tokens the provider's own rule was asked for before sending. tokens_in, tokens_out: as
    billed where the provider tells, else estimated. cost: US dollars, None where no price is known. waited_s:
    seconds spent waiting for a rate or before another attempt.
    """

    requests: int = 0
    retried: int = 0
    texts: int = 0
    refused: int = 0
    estimated: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None
    waited_s: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the account as a JSON object."""
        return asdict(self)


class Accounts:
    """Adds up an account from several threads. price: None where it is not known."""

    def __init__(self, price: Price | None) -> None:
        self.price = price
        self._account = Account(cost=None if price is None else 0.0)
        self._lock = Lock()

    @property
    def so_far(self) -> Account:
        """Return what was consumed so far."""
        return self._account

    @property
    def tokens_per_estimate(self) -> float:
        """Return how many tokens were billed per token estimated; 1 until an answer has told."""
        account = self._account
        return account.tokens_in / account.estimated if account.tokens_in and account.estimated else 1.0

    def answered(self, texts: int, estimated: int, tokens_in: int | None, tokens_out: int = 0) -> float | None:
        """Count one answered request; return its cost in US dollars."""
        billed = estimated if tokens_in is None else tokens_in
        cost = None if self.price is None else self.price.of(billed, tokens_out)
        self._add(
            requests=1, texts=texts, estimated=estimated, tokens_in=billed, tokens_out=tokens_out, cost=cost or 0.0
        )
        return cost

    def retried(self) -> None:
        """Count one attempt that will be made again."""
        self._add(retried=1)

    def refused(self, texts: int) -> None:
        """Count texts that cannot be embedded."""
        self._add(refused=texts)

    def waited(self, seconds: float) -> None:
        """Count time spent waiting."""
        self._add(waited_s=seconds)

    def _add(self, **amounts: float) -> None:
        with self._lock:
            known = {name: getattr(self._account, name) for name in amounts}
            sums = {name: known[name] + amounts[name] for name in amounts if known[name] is not None}
            self._account = replace(self._account, **sums)
