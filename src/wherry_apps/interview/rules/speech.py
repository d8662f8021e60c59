"""What a spoken answer holds, found by patterns: when and where, own action, numbers, results; fillers, evasions."""

from __future__ import annotations

import re

Span = tuple[int, int]

UNRECOGNISED = "(인식 실패)"
LEAST_LETTERS = 5
_UNRECOGNISED = re.compile(r"^[\s(\[]*(?:음성\s*)?인식\s*(?:실패|불가)[\s)\].]*$")


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_SITUATION = _any(
    r"작년|올해|재작년|지난\s?(?:해|달|주|번|학기)|당시|그때|때(?=[에는도\s,.]|$)",
    r"(?:19|20)\d\d년|\d+\s?(?:년|개월|주|일)\s?(?:전|동안|간|차)|\d+월",
    r"학년|학기|상황|프로젝트|회사에서|팀에서|현장에서|입사|인턴|근무|재직|이전\s?직장",
    r"last (?:year|month|week)|\bin (?:19|20)\d\d\b|\bwhen i\b|\bduring\b|\bproject\b",
)
_ACTION = _any(
    r"제가\s|저는\s|직접\s|스스로\s",
    r"[가-힣]*(?:했|하였|줄였|높였|만들었|고쳤|바꿨|바꾸었|세웠|이끌었|나눴|나누었|찾았|옮겼|올렸|내렸|풀었|맡았|썼|짰)"
    r"(?:습니다|어요|다|고|는데|으며|지만|던)",
    r"\bI (?:\w+ly )?\w+ed\b|\bI (?:built|led|wrote|made|ran|took|set)\b",
)
_NUMBER = re.compile(
    r"\d[\d,.]*\s?(?:%|퍼센트|프로(?![가-힣])|배|건|명|개월|개|년|월|주|일|시간|분|초|밀리초|만\s?원|원|억|천|만|회|번|대|점|팀"
    r"|곳|줄|ms|s\b|GB|MB|TB|KB|rps|tps|qps|users?|requests?|hours?|days?|weeks?|months?|years?|times|percent)",
    re.IGNORECASE,
)
_RESULT = _any(
    r"때문|그래서|따라서|그\s?결과|결과적으로|덕분|덕에|왜냐하면|이유는|원인[은이]|[으로]\s인해|그러자|결국|기\s위해",
    r"(?<=[가-힣])[아어해]서(?=[\s,])|(?<=[가-힣])므로",
    r"\bbecause\b|\btherefore\b|\bas a result\b|\bso that\b|\bdue to\b|\bwhich led\b",
)
# The number with the words up to the end of its clause says more than the number alone.
_CLAUSE = re.compile(r"[^.!?,\n]*")
_FILLER = re.compile(
    r"^(?:음+|어+|그+|저+|아+|에+|뭐|뭐랄까|그니까|그러니까|이제|막|약간|um+|uh+|er+|like|well)[.,…~]*$", re.IGNORECASE
)
_EVASION = _any(
    r"모르겠|잘\s?모릅|잘\s?몰라|글쎄|해\s?본\s?적이?\s?없",
    r"(?:기억|생각)이\s?(?:안|나지)",
    r"not sure|don't know|can't remember",
)
_SENTENCE_END = re.compile(r"[.!?。！？…]['\"”’)\]]*$")
_SENTENCE = re.compile(r"[^.!?。！？\n]+[.!?。！？]?")
LOGIC_MARKS = {"situation": _SITUATION, "action": _ACTION, "number": _NUMBER, "result": _RESULT}


def not_scorable(answer: str) -> str | None:
    """Return why an answer cannot be scored, None when it can."""
    if not answer.strip():
        return "the answer is blank"
    if _UNRECOGNISED.match(answer.strip()):
        return "the speech was not recognised"
    if sum(sign.isalpha() for sign in answer) < LEAST_LETTERS:
        return f"the answer has fewer than {LEAST_LETTERS} letters"
    return None


def logic_marks(answer: str) -> dict[str, Span]:
    """Return where an answer tells its situation, an own action, a number with its unit, a cause or result."""
    found = {name: pattern.search(answer) for name, pattern in LOGIC_MARKS.items()}
    return {name: match.span() for name, match in found.items() if match}


def clause_of_number(answer: str) -> Span | None:
    """Return where the first number with a unit stands, with the words that follow in its clause."""
    number = _NUMBER.search(answer)
    if number is None:
        return None
    rest = _CLAUSE.match(answer, number.end())
    return number.start(), rest.end() if rest else number.end()


def evasion(answer: str) -> Span | None:
    """Return where an answer evades the question, None when it does not."""
    found = _EVASION.search(answer)
    return found.span() if found else None


def fillers(answer: str) -> list[Span]:
    """Return where words stand that only fill time."""
    words = re.finditer(r"\S+", answer)
    return [word.span() for word in words if _FILLER.match(word.group())]


def filler_share(answer: str) -> float:
    """Return the share of words that only fill time, from 0 to 1."""
    words = len(answer.split())
    return len(fillers(answer)) / words if words else 0.0


def ends_as_sentence(answer: str) -> bool:
    """Tell whether an answer ends where a sentence does."""
    return _SENTENCE_END.search(answer.rstrip()) is not None


def first_sentence(answer: str) -> Span:
    """Return where the first sentence of an answer stands."""
    for found in _SENTENCE.finditer(answer):
        part = found.group()
        if part.strip():
            start = found.start() + len(part) - len(part.lstrip())
            return start, found.start() + len(part.rstrip())
    return 0, len(answer)
