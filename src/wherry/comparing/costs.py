"""What a question costs on a side: embedding it, asking the store, and holding the records for a month."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wherry.address import Address
from wherry.comparing.questions import Question
from wherry.models.prices import price_of, rent_of
from wherry.models.tokens import estimate

PER_MONTH = 100_000


@dataclass(frozen=True)
class Cost:
    """US dollars of a side. per_query: embedding and store; per_month: of `queries` questions and of holding.

    None where no table knows a price. unknown: what has no price.
    """

    per_query: float | None
    per_month: float | None
    queries: int
    unknown: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the cost as a JSON object."""
        return {
            "per_query": rounded(self.per_query),
            "per_month": rounded(self.per_month),
            "queries_per_month": self.queries,
            "unknown": list(self.unknown),
        }


def cost_of(address: str, size: int | None, model: str | None, questions: Sequence[Question], per_month: int) -> Cost:
    """Return what a side costs. size: bytes held. model: what embeds texts, None where nothing is embedded here.

    Raises Usage when the file of WHERRY_PRICES cannot be read.
    """
    rent, price = rent_of(_keyed(address)), price_of(model) if model else None
    tokens = [estimate(question.text) for question in questions if question.text is not None]
    embedding = price.of(sum(tokens)) / len(questions) if price else 0.0
    unknown = [] if rent else [address]
    if model and price is None:
        unknown.append(model)
    if rent and rent.gigabyte and size is None:
        unknown.append(f"the size of {address}")
    if unknown or rent is None:
        return Cost(None, None, per_month, tuple(unknown))
    return Cost(embedding + rent.query, per_month * embedding + rent.of(per_month, size or 0), per_month)


def _keyed(address: str) -> str:
    """Return an address with its scheme, which that of a file leaves out."""
    scheme = Address.parse(address).scheme
    return address if address.startswith(f"{scheme}:") else f"{scheme}:{address}"


def rounded(dollars: float | None) -> float | None:
    """Return an amount with the six digits that are worth printing."""
    return None if dollars is None else float(f"{dollars:.6g}")
