"""Where sentences end, in Korean and in languages written like English.

A sentence ends with `.`, `!`, `?` or `…`, the quotes and brackets that close after it, and white space; with a
full stop of Chinese or Japanese; at a blank line; and at the end of a line whose last word ends as Korean
sentences do. It does not end within a number (3.5), after an abbreviation or the number of a list (Dr., 3.),
within a short quotation or a bracket, or where a Korean particle follows a quotation (…했다."라고).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_CLOSERS = "\"'”’」』》〉)\\]}"
_ENDS = re.compile(
    rf"""
      \n[ \t\r]*\n\s*                                          # a blank line
    | (?<![.!?…])[.!?…]++[{_CLOSERS}]*+(?:\s+|\Z)              # a mark, what closes after it, white space
    | [。！？][{_CLOSERS}]*+\s*                                # marks that no space follows
    | (?<=[가-힣])(?<=[다요죠까])[.!?](?=[가-힣])              # 했다.그리고: the space was forgotten
    | (?<=[다요죠까음임함됨])[ \t\r]*\n\s*                      # a line that ends as a sentence does
    """,
    re.VERBOSE,
)
# Within these nothing ends; each alternative stops at its own opening sign, which keeps the search linear.
_QUOTED = re.compile(
    r"“[^“”\n]{0,300}”|‘[^‘’\n]{0,300}’|\"[^\"\n]{0,300}\"|「[^「」\n]{0,300}」|『[^『』\n]{0,300}』"
    r"|\([^()\n]{0,300}\)|\[[^\[\]\n]{0,300}\]"
)
_NO_END = re.compile(
    r"(?:^|[\s(\[\"'“‘])(?:\d{1,3}|[A-Za-z]|[가-하]|(?i:dr|mr|mrs|ms|prof|st|no|nos|vs|cf|fig|figs|eq|sec|vol|pp?|ed|eds"
    r"|e\.g|i\.e|etc|al|approx|jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec|u\.s|ph\.d))\.\Z"
)
# 3. and 가. are numbers at the beginning of a line; at the end of a sentence (2024. / 했나.) they are not.
_NUMBERED = re.compile(r"(?:\A|\n)[ \t>*+-]*(?:\d{1,3}|[가-하]|[A-Za-z])\.\Z")
# 2026. 3. 5. is one date.
_DATE = re.compile(r"\d\.[ \t]+\d{1,2}\.")
_PARTICLE = re.compile(
    r"(?:이?라고|이?라는|이?라며|이?라면서|하고|하며|고|며|는|란)(?![가-힣])|이?라고|이?라며|이?라는|하고"
)
_LOOK_BACK = 24


def sentences(text: str, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    """Yield the sentences of a stretch of text as (start, end); together they are all of it, white space included."""
    stop = len(text) if end is None else end
    begin = start
    for place in _places(text, start, stop):
        if begin < place < stop:
            yield begin, place
            begin = place
    if begin < stop:
        yield begin, stop


def _places(text: str, start: int, stop: int) -> Iterator[int]:
    quotes = _QUOTED.finditer(text, start, stop)
    quote = next(quotes, None)
    for found in _ENDS.finditer(text, start, stop):
        mark = found.start()
        while quote is not None and quote.end() <= mark:
            quote = next(quotes, None)
        # The last mark of a quotation ends with what closes it, so it is compared by where the signs end.
        signs = len(found[0].rstrip()) + mark
        if quote is not None and quote.start() < mark and signs < quote.end():
            continue
        if not _goes_on(text, start, found):
            yield found.end()


def _goes_on(text: str, start: int, found: re.Match[str]) -> bool:
    """Tell whether the sentence goes on after what looks like its end."""
    signs = found[0].rstrip()
    if signs == "." and found.end() < len(text):
        before = text[max(start, found.start() - _LOOK_BACK) : found.start() + 1]
        if _NUMBERED.search(before) or _DATE.match(text, found.start() - 1):
            return True
        inner = _NO_END.search(before)
        # A lone syllable or number ends sentences elsewhere than at the beginning of a line.
        return inner is not None and not re.search(r"(?:\d|[가-하])\.\Z", before)
    return len(signs) > 1 and signs[-1] in "\"'”’」』" and _PARTICLE.match(text, found.end()) is not None
