"""Places where a text must not be cut: within what a reader sees as one sign.

An accent belongs to its letter, a vowel or final of Hangul to its syllable, a skin colour to its face, the two
letters of a flag to each other, \\n to \\r.
"""

from __future__ import annotations

import unicodedata

_FARTHEST = 64
_LONGEST_RUN = 1 << 12
_JOINER = "\u200d"


def torn(text: str, at: int) -> bool:
    """Tell whether a cut before the character `at` would tear one sign apart."""
    if not 0 < at < len(text):
        return False
    after, before = text[at], text[at - 1]
    if after < "\u0300":
        # Plain text is by far the most frequent.
        return (after == "\n" and before == "\r") or before == _JOINER
    if "\u1100" <= after <= "\u11ff":
        return _jamo(before, after)
    if after == _JOINER or before == _JOINER or "\U0001f3fb" <= after <= "\U0001f3ff":
        return True
    if "\udc00" <= after <= "\udfff":
        return "\ud800" <= before <= "\udbff"
    if _letter_of_flag(after):
        return _letter_of_flag(before) and _run_of_flags(text, at) % 2 == 1
    return unicodedata.category(after) in ("Mn", "Me", "Mc")


def whole(text: str, at: int, least: int) -> int:
    """Return the nearest place at or before `at`, but after `least`, that tears nothing; `at` where there is none."""
    place = at
    while place > max(least, at - _FARTHEST) and torn(text, place):
        place -= 1
    return place if place > least and not torn(text, place) else at


def _jamo(before: str, after: str) -> bool:
    leading = "\u1100" <= before <= "\u115f"
    if after <= "\u115f":
        return leading
    vowel = "\u1160" <= before <= "\u11a7" or ("가" <= before <= "힣" and (ord(before) - ord("가")) % 28 == 0)
    if after <= "\u11a7":
        return leading or "\u1160" <= before <= "\u11a7"
    return vowel or "\u11a8" <= before <= "\u11ff" or "가" <= before <= "힣"


def _letter_of_flag(sign: str) -> bool:
    return "\U0001f1e6" <= sign <= "\U0001f1ff"


def _run_of_flags(text: str, at: int) -> int:
    start = at
    while start > 0 and at - start < _LONGEST_RUN and _letter_of_flag(text[start - 1]):
        start -= 1
    return at - start
