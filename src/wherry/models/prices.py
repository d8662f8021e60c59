"""What models and stores cost: a table that ships with Wherry and that users overrule with their own."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from wherry.errors import Usage

VARIABLE = "WHERRY_PRICES"


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens, in and out."""

    input: float
    output: float = 0.0

    def of(self, tokens_in: int, tokens_out: int = 0) -> float:
        """Return the dollars for so many tokens."""
        return (tokens_in * self.input + tokens_out * self.output) / 1e6


@dataclass(frozen=True)
class Rent:
    """What a store costs in US dollars: per query, per month, and per gigabyte (10^9 bytes) held and month."""

    query: float = 0.0
    month: float = 0.0
    gigabyte: float = 0.0

    def of(self, queries: float, size: int) -> float:
        """Return the dollars of a month with so many queries, holding so many bytes."""
        return self.month + queries * self.query + size / 1e9 * self.gigabyte


_TOKENS, _RENT = {"input", "output"}, {"query", "month", "gigabyte"}
Table = dict[str, Price | Rent]


def price_of(spec: str) -> Price | None:
    """Return the price of the model a spec names, None where no table has it.

    Raises Usage when the file of WHERRY_PRICES cannot be read.
    """
    name = spec.partition("?")[0]
    table = {key: entry for key, entry in _tables().items() if isinstance(entry, Price)}
    fitting = [key for key in table if _begins(name, key)]
    return table[max(fitting, key=len)] if fitting else None


def rent_of(address: str) -> Rent | None:
    """Return what the store at an address costs, None where no table has it.

    Raises Usage when the file of WHERRY_PRICES cannot be read.
    """
    table = {key: entry for key, entry in _tables().items() if isinstance(entry, Rent)}
    # `chroma` is the price of a folder, and says nothing of chroma+https, which is a server somewhere.
    fitting = [key for key in table if re.match(re.escape(key) + r"(?:(?<=[:#/?])|$|(?=[:#/?]))", address)]
    return table[max(fitting, key=len)] if fitting else None


def _tables() -> Table:
    return {**_shipped(), **_own()}


def _begins(name: str, key: str) -> bool:
    rest = name[len(key) :]
    if not name.startswith(key):
        return False
    # `openai:gpt-5` is the price of gpt-5 and of gpt-5-2025-08-07, but says nothing of gpt-5.1 or gpt-5-pro.
    return re.fullmatch(r"(-\d[\d-]*|-latest|@\d+)?" if ":" in key else r"(:.*)?", rest, re.DOTALL) is not None


def _shipped() -> Table:
    return _read(files("wherry.models").joinpath("prices.toml").read_text(encoding="utf-8"), "prices.toml")


def _own() -> Table:
    path = os.environ.get(VARIABLE, "")
    if not path:
        return {}
    try:
        return _read(Path(path).read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(
            f"the price table cannot be read ({type(error).__name__})", where=path, next=f"correct {VARIABLE}"
        ) from None


def _read(text: str, path: str) -> Table:
    try:
        return {name: _price(entry) for name, entry in tomllib.loads(text).items()}
    except (tomllib.TOMLDecodeError, TypeError, ValueError) as error:
        raise Usage(
            f"the price table is wrong: {error}", where=path, next='write ["provider:model"] with input = and output ='
        ) from None


def _price(entry: Any) -> Price | Rent:
    kinds = set(entry) if isinstance(entry, dict) else set()
    rented = bool(kinds) and kinds <= _RENT
    if not rented and not (kinds <= _TOKENS and "input" in kinds):
        raise ValueError("a model's table has input and may have output; a store's has query, month or gigabyte")
    if not all(isinstance(value, int | float) and 0 <= value < float("inf") for value in entry.values()):
        raise ValueError("a price is a number of dollars, 0 or more")
    amounts = {name: float(value) for name, value in entry.items()}
    return Rent(**amounts) if rented else Price(**amounts)
