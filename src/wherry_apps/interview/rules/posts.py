"""A job post, analysed by rule: known terms, sorted by the heading above them.

The whole post is read. A heading with 필수 or 자격 makes the terms below it required, 우대 preferred, 업무 duties;
terms under no such heading are required.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from wherry_apps.interview.rules.keywords import said
from wherry_apps.interview.rules.weights import COMPETENCIES, DEFAULTS, Weights, criteria, skills, unique, weights

SOURCE = "rules-1"
REQUIRED, PREFERRED, DUTIES = "required", "preferred", "duties"
_HEADINGS = (
    (PREFERRED, re.compile("우대|preferred|nice to have|plus", re.I)),
    (REQUIRED, re.compile("필수|자격|지원 ?요건|requirements?|qualifications?|must", re.I)),
    (DUTIES, re.compile("업무|하는 일|하게 될 일|responsibilit|what you", re.I)),
)
_OTHER = re.compile("복리|후생|복지|혜택|전형|절차|근무|급여|회사 ?소개|팀 ?소개|기타|유의|benefits?|about", re.I)
_MARKS = re.compile(r"^[\s#*\-•·▪■□◆▶○●\[(【<\d.)\]】>]+")
_LONGEST_HEADING, _MOST_DUTIES, _LONGEST_DUTY = 30, 10, 200


@dataclass(frozen=True)
class Analysis:
    """What a job post asks for. source: what found it. weights_source: given, scaled or default."""

    required_skills: list[str]
    preferred_skills: list[str]
    domain_requirements: list[str]
    dynamic_evaluation_criteria: list[str]
    competency_weights: dict[str, float]
    position_type: str | None
    seniority_level: str | None
    main_responsibilities: list[str]
    source: str
    weights_source: str = "default"

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


@cache
def known() -> dict[str, Any]:
    """Return the bundled lists: skills by kind, words of competencies, criteria, positions and seniorities."""
    return json.loads((Path(__file__).parent / "skills.json").read_text(encoding="utf-8"))


def analyse(title: str, description: str) -> Analysis:
    """Return what a post asks for, by the bundled lists."""
    sections = list(under_headings(description))
    required = _terms("technical", (line for kind, line in sections if kind in (REQUIRED, "")))
    preferred = _terms("technical", (line for kind, line in sections if kind == PREFERRED))
    found = weighed(description)
    must, nice = skills(required, preferred)
    whole = f"{title}\n{description}"
    return Analysis(
        must,
        nice,
        _terms("domain", [whole]),
        criteria(_named(known()["criteria"], whole)),
        found.values,
        next(iter(_named(known()["positions"], title)), None) or next(iter(_named(known()["positions"], whole)), None),
        next(iter(_named(known()["seniorities"], whole)), None),
        duties(line for kind, line in sections if kind == DUTIES),
        SOURCE,
        found.source,
    )


def merged(parts: Iterable[Mapping[str, Any]], source: str) -> Analysis:
    """Return one analysis of what was found in the chunks of a post, in their order.

    Lists are joined without repeats; weights are averaged over the chunks that gave six of them.
    """
    found = list(parts)
    must, nice = skills(_joined(found, "required_skills"), _joined(found, "preferred_skills"))
    given = [one for part in found if (one := weights(part.get("competency_weights"))).source != "default"]
    averaged = {key: sum(one.values[key] for one in given) / len(given) for key in COMPETENCIES} if given else None
    total = weights(averaged)
    return Analysis(
        must,
        nice,
        unique(_joined(found, "domain_requirements")),
        criteria(_joined(found, "dynamic_evaluation_criteria")),
        total.values,
        next((part["position_type"] for part in found if part.get("position_type")), None),
        next((part["seniority_level"] for part in found if part.get("seniority_level")), None),
        duties(_joined(found, "main_responsibilities")),
        source,
        total.source,
    )


def under_headings(description: str) -> Iterator[tuple[str, str]]:
    """Yield every line with the kind of the nearest heading above it; an empty kind before any."""
    kind = ""
    for line in description.splitlines():
        if not line.strip():
            continue
        heading = _heading(line)
        if heading is None:
            yield kind, line.strip()
            continue
        kind, rest = heading
        if rest:
            yield kind, rest


def weighed(description: str) -> Weights:
    """Return competency weights: the defaults, raised by how often a post names what a competency is about."""
    folded = description.casefold()
    counts = {key: sum(folded.count(word) for word in words) for key, words in known()["competencies"].items()}
    if not any(counts.values()):
        return Weights(dict(DEFAULTS), "default")
    most = max(counts.values())
    raised = weights({key: DEFAULTS[key] * (1 + counts[key] / most) for key in COMPETENCIES})
    return Weights(raised.values, SOURCE)


def duties(lines: Iterable[str]) -> list[str]:
    """Return up to ten duties, without the marks of a list."""
    return unique(_MARKS.sub("", line)[:_LONGEST_DUTY] for line in lines)[:_MOST_DUTIES]


def _heading(line: str) -> tuple[str, str] | None:
    """Return (kind, the rest of the line) of a heading: a short line, or what stands before a colon."""
    head, colon, rest = _MARKS.sub("", line.strip()).partition(":")
    if len(head) > _LONGEST_HEADING or (not colon and head.rstrip().endswith((".", "다", "요", "분"))):
        return None
    if not colon and line.strip()[:1] in "-•·*" and not line.strip().startswith("**"):
        return None
    kind = next((kind for kind, pattern in _HEADINGS if pattern.search(head)), None)
    if kind is None:
        kind = "other" if _OTHER.search(head) else None
    return None if kind is None else (kind, rest.strip())


def _terms(kind: str, lines: Iterable[str]) -> list[str]:
    text = "\n".join(lines)
    # Most terms are in no post: looking for their letters first costs a tenth of a pattern.
    folded = text.casefold()
    maybe = (term for term in known()[kind] if term.split()[0].casefold() in folded)
    places = [(span, term) for term in maybe if (span := said(term, text))]
    return unique(term for _, term in sorted(places, key=lambda one: (one[0][0], -one[0][1])))


def _named(words_of: Mapping[str, Iterable[str]], text: str) -> list[str]:
    folded = text.casefold()
    return [name for name, words in words_of.items() if any(_names(word, text, folded) for word in words)]


def _names(word: str, text: str, folded: str) -> bool:
    # Latin words stand alone (`PM` is not in `RPM`); Korean ones are joined to others freely.
    return word.casefold() in folded and (not word.isascii() or bool(said(word, text)))


def _joined(parts: Iterable[Mapping[str, Any]], key: str) -> list[str]:
    return [item for part in parts for item in part.get(key) or [] if isinstance(item, str)]
