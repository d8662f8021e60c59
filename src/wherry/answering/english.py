"""English words without their common endings: a light stem, by rule, that never looks anything up."""

from __future__ import annotations

import re

_VOWEL = re.compile("[aeiouy]")
_RULES = (
    ("ies", "y"), ("ied", "y"), ("sses", "ss"), ("shes", "sh"), ("ches", "ch"), ("xes", "x"), ("zes", "z"),
    ("ings", ""), ("ing", ""), ("edly", ""), ("ed", ""), ("ers", ""), ("er", ""), ("ation", ""), ("ations", ""),
    ("ly", ""), ("ments", ""), ("ment", ""), ("ss", "ss"), ("us", "us"), ("s", ""),
)  # fmt: skip
_SHORTEST = 3
# Words that every question has: in a small collection they are rare, and would count for much.
_ASKING = frozenset(
    """
    a an and any are as at be been but by can could did do does for from get gets give go had has have he her his how
    i if in into is it its just like may me might must my no not of on or our shall she should show so some such tell
    than that the their them then there these they this those to us was we were what when where which who whom whose
    why will with would you your am about s t don
    """.split()  # noqa: SIM905 - one word per line would be a page
)


def stem(word: str) -> str:
    """Return a lower-case word without its ending; words of other alphabets come back as they are."""
    if not word.isascii() or len(word) <= _SHORTEST:
        return word
    for ending, instead in _RULES:
        if word.endswith(ending):
            left = word[: -len(ending)] + instead
            if len(left) >= _SHORTEST and _VOWEL.search(left):
                return _bare(left)
    return _bare(word)


def is_asking(word: str) -> bool:
    """Tell whether a lower-case word carries no content in a question."""
    return word in _ASKING


def _bare(left: str) -> str:
    """Undo what an ending did to the end of a word: a doubled consonant, a dropped e."""
    if len(left) > _SHORTEST and left[-1] == left[-2] and left[-1] not in "aeiouls":
        left = left[:-1]
    return left[:-1] if len(left) > _SHORTEST and left[-1] == "e" else left
