"""What models cost: a table that ships with Wherry and that users overrule with their own."""

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


def price_of(spec: str) -> Price | None:
    """Return the price of the model a spec names, None where no table has it.

    Raises Usage when the file of WHERRY_PRICES cannot be read.
    """
    name = spec.partition("?")[0]
    table = _shipped() | _own()
    fitting = [key for key in table if _begins(name, key)]
    return table[max(fitting, key=len)] if fitting else None


def _begins(name: str, key: str) -> bool:
    rest = name[len(key) :]
    if not name.startswith(key):
        return False
    # `openai:gpt-5` is the price of gpt-5 and of gpt-5-2025-08-07, but says nothing of gpt-5.1 or gpt-5-pro.
    return re.fullmatch(r"(-\d[\d-]*|-latest|@\d+)?" if ":" in key else r"(:.*)?", rest, re.DOTALL) is not None


def _shipped() -> dict[str, Price]:
    return _read(files("wherry.models").joinpath("prices.toml").read_text(encoding="utf-8"), "prices.toml")


def _own() -> dict[str, Price]:
    path = os.environ.get(VARIABLE, "")
    if not path:
        return {}
    try:
        return _read(Path(path).read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(
            f"the price table cannot be read ({type(error).__name__})", where=path, next=f"correct {VARIABLE}"
        ) from None


def _read(text: str, path: str) -> dict[str, Price]:
    try:
        return {name: _price(entry) for name, entry in tomllib.loads(text).items()}
    except (tomllib.TOMLDecodeError, TypeError, ValueError) as error:
        raise Usage(
            f"the price table is wrong: {error}", where=path, next='write ["provider:model"] with input = and output ='
        ) from None


def _price(entry: Any) -> Price:
    if not isinstance(entry, dict) or not set(entry) <= {"input", "output"} or "input" not in entry:
        raise ValueError("each table has input and may have output")
    if not all(isinstance(value, int | float) and 0 <= value < float("inf") for value in entry.values()):
        raise ValueError("a price is a number of dollars, 0 or more")
    return Price(**{name: float(value) for name, value in entry.items()})
