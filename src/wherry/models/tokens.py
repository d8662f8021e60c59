"""How many tokens a text has, without the model's tokenizer: an estimate that errs upwards.

Tokenizers are the provider's and change with the model. What is sent and billed is counted by the provider;
the guard compares both and corrects the estimate as answers arrive (`Accounts.tokens_per_estimate`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

# Letters of Latin text per token; published tokenizers lie between 3.5 and 4.5 on prose, lower on code.
_ASCII_PER_TOKEN = 3.5
# Everything else, Hangul among it: between 0.5 and 1.2 tokens a character.
_TOKENS_PER_OTHER = 1.2


def estimate(text: str) -> int:
    """Return about how many tokens a text has; at least 1."""
    if text.isascii():
        return max(1, math.ceil(len(text) / _ASCII_PER_TOKEN))
    plain = len(text.encode("ascii", "ignore"))
    return math.ceil(plain / _ASCII_PER_TOKEN + (len(text) - plain) * _TOKENS_PER_OTHER)


def estimate_all(texts: Iterable[str]) -> int:
    """Return about how many tokens these texts have together."""
    return sum(estimate(text) for text in texts)
