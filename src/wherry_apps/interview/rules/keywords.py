"""Whether somebody said a word: case does not matter, and Korean words may carry their endings."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

# Closed classes of grammar: particles, then the beginnings of 하다, 되다, 시키다, 이다 after a noun.
_PARTICLES = (
    "에서의|에서는|에서도|에서|에게서|에게|에는|에도|에|으로써|으로서|으로는|으로도|으로|로써|로서|로는|로도|로|까지|부터|마다"
    "|처럼|보다|조차|밖에|만큼|이나|이며|이고|이라는|라는|이라|이란|란|들이|들을|들은|들의|들에|들|과의|와의|은|는|이|가|을|를"
    "|의|와|과|도|만|나|및"
)
_VERBAL = "(?:하|해|했|한|할|함|합|되|돼|됐|된|될|됨|됩|시키|시켜|시켰|시킨|시킬|이|인|일|입|였|예|적)[가-힣]{0,6}"
_AFTER = f"(?:(?:{_PARTICLES})|{_VERBAL})?"
_LETTER = r"[^\W_]"


def said(keyword: str, text: str) -> tuple[int, int] | None:
    """Return where a keyword stands in a text (start, end) with its endings left out; None when nobody said it.

    It begins and ends as a word does: `java` is not in `JavaScript`, nor `자바` in `자바스크립트`, but `배차` is in
    `배차를`.
    """
    pattern = _pattern(keyword.strip())
    found = pattern.search(text) if pattern else None
    return found.span("word") if found else None


def matched(keywords: Iterable[str], text: str) -> tuple[list[str], list[str]]:
    """Return the keywords that were said, and those that were not, in their order."""
    there, missing = [], []
    for keyword in keywords:
        (there if said(keyword, text) else missing).append(keyword)
    return there, missing


@lru_cache(maxsize=4_096)
def _pattern(keyword: str) -> re.Pattern[str] | None:
    if not keyword:
        return None
    # A space in a keyword may be left out or doubled in speech.
    body = r"\s*".join(re.escape(part) for part in keyword.split())
    return re.compile(rf"(?<!{_LETTER})(?P<word>{body}){_AFTER}(?!{_LETTER})", re.IGNORECASE)
