"""Questions with known answers, read from a file.

    {"question": "공복혈당 108이면?", "relevant": ["g003-p02"]}            one JSON object a line, or
    {"questions": [{"id": "q1", "question": "...", "relevant": {"a": 2, "b": 1}, "language": "ko"}]}

What is relevant is named by id, with a grade where some answers are better than others, or by a condition on
metadata ({"where": {"source": "혈당.pdf", "page": 3}}), which also holds where ids differ.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wherry.answering import gold
from wherry.errors import Usage
from wherry.where import Where, parse

_HANGUL, _LETTER = re.compile("[가-힣]"), re.compile(r"[^\W\d_]")
_QUESTION, _RELEVANT = ("question", "query"), ("relevant", "relevant_docs", "relevant_ids")
_LISTS = ("questions", "test_cases", "queries")


@dataclass(frozen=True)
class Question:
    """A question and what answers it. grades: by id, above 0. wheres: conditions that answers satisfy."""

    id: str
    text: str
    grades: Mapping[str, float]
    language: str
    wheres: tuple[Where, ...] = ()


def read_questions(source: str | Path | Sequence[Mapping[str, Any]]) -> list[Question]:
    """Return the questions of a file, of a shipped set (`gold:guides`), or of a list of objects.

    Raises Usage, naming the question that cannot be read.
    """
    if isinstance(source, (str, Path)):
        where = str(source)
        entries = gold.load(where.removeprefix(gold.PREFIX))["questions"] if _shipped(where) else _entries(where)
    else:
        where, entries = "questions", list(source)
    found = [question for number, entry in enumerate(entries, 1) for question in _of(entry, number, where)]
    if not found:
        raise Usage("there are no questions", where=where, next="see the page on measuring quality for the form")
    return found


def language_of(text: str) -> str:
    """Return `ko` for a text with Korean letters, `en` for other ASCII letters, else `other`."""
    letters = _LETTER.findall(text)
    if _HANGUL.search(text):
        return "ko"
    return "en" if letters and all(letter.isascii() for letter in letters) else "other"


def _shipped(where: str) -> bool:
    return where.startswith(gold.PREFIX)


def _entries(where: str) -> list[Any]:
    try:
        text = Path(where).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(f"the questions cannot be read: {type(error).__name__}", where=where) from None
    try:
        whole = json.loads(text)
    except ValueError:
        return [_line(line, number, where) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if isinstance(whole, dict):
        listed = next((whole[name] for name in _LISTS if isinstance(whole.get(name), list)), None)
        return [whole] if listed is None else listed
    if isinstance(whole, list):
        return whole
    raise Usage("the file holds no questions", where=where)


def _line(line: str, number: int, where: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        raise Usage(f"line {number} is no JSON", where=where) from None


def _of(entry: Any, number: int, where: str) -> Iterator[Question]:
    """Yield the question of an entry, and those variants of it that have the same answers."""
    if not isinstance(entry, Mapping):
        raise Usage(f"question {number} is no JSON object", where=where)
    text = next((entry[name] for name in _QUESTION if isinstance(entry.get(name), str)), "")
    relevant = next((entry[name] for name in _RELEVANT if name in entry), None)
    if not text.strip() or not relevant:
        raise Usage(f"question {number} needs a `question` and what is `relevant`", where=where)
    grades, wheres = _grades(relevant, number, where)
    name = str(entry.get("id") or entry.get("test_id") or f"q{number:03}")
    for position, one in enumerate([text, *entry.get("query_variants", [])]):
        language = str(entry.get("language") or language_of(one))
        yield Question(f"{name}.{position}" if position else name, one, grades, language, wheres)


def _grades(relevant: Any, number: int, where: str) -> tuple[dict[str, float], tuple[Where, ...]]:
    if isinstance(relevant, Mapping):
        if set(relevant) == {"where"}:
            return {}, (parse(relevant["where"]),)
        if all(isinstance(grade, (int, float)) and grade >= 0 for grade in relevant.values()):
            return {str(name): float(grade) for name, grade in relevant.items()}, ()
    listed = [relevant] if isinstance(relevant, str) else relevant
    if not isinstance(listed, Sequence):
        raise Usage(f"question {number}: `relevant` is neither ids nor grades nor conditions", where=where)
    grades = {one: 1.0 for one in listed if isinstance(one, str)}
    wheres = [parse(one["where"]) for one in listed if isinstance(one, Mapping) and "where" in one]
    if len(grades) + len(wheres) != len(listed):
        raise Usage(f"question {number}: `relevant` is neither ids nor grades nor conditions", where=where)
    return grades, tuple(wheres)
