"""Reading exam files: three shapes in, one kind of item out, every fault named by its question.

exam   {meta, questions}                        past papers, parsed; `subject` often holds the department
test   {test_info, scoring_criteria, questions} a diagnostic test; difficulty on a scale of ten
list   [{question_id, question_text, choices}]  questions alone
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from pathlib import Path
from typing import Any

from wherry import BadRecord, Refused
from wherry_apps.tutor.rules import difficulty
from wherry_apps.tutor.tables import QUESTION_TYPES

SKEW_LEAST, SKEW_SHARE = 10, 0.7
SKEW = "answer_key_skew"
_CHOICES = ("multiple_choice", "true_false", "multi_choice_selection")
_TYPES = {
    "객관식": "multiple_choice", "주관식": "short_answer", "단답형": "short_answer", "서술형": "essay",
    "논술형": "essay", "참거짓": "true_false", "진위형": "true_false", "빈칸채우기": "fill_in_blank",
    "매칭": "matching", "연결형": "matching", "순서배열": "ordering", "다중선택": "multi_choice_selection",
    "기타": "other",
}  # fmt: skip
_DEPARTMENT = "학과"
_YEARS = range(1900, 2200)
_LONGEST_KEY = 10
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Item:
    """A question as a file has it, checked. label: how messages name it. values: columns of `tables.Question`."""

    label: str
    values: dict[str, Any]
    points: Decimal = Decimal(1)


@dataclass(frozen=True)
class Paper:
    """A file that was read. shape: `exam`, `test` or `list`. test: title, time_limit and scoring_criteria of a test.

    warnings: code and words; `answer_key_skew` has to be accepted by whoever imports.
    """

    name: str
    shape: str
    items: tuple[Item, ...]
    declared: int
    test: dict[str, Any] | None = None
    warnings: tuple[tuple[str, str], ...] = field(default=())

    def require_accepted(self, accepted: bool) -> None:
        """Raise Refused for a warning that nobody accepted."""
        for code, words in self.warnings:
            if code == SKEW and not accepted:
                raise Refused(
                    f"{code}: {words}",
                    where=self.name,
                    left="nothing of this file was stored",
                    next="look at the answer keys; import with --accept-warnings if they are right",
                )


def read_file(path: Path, department: str | None = None, allow_incomplete: bool = False) -> Paper:
    """Read one file. Raises BadRecord, naming file and questions, Usage where it is not there."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadRecord(
            f"the file cannot be read: {type(error).__name__}",
            where=str(path),
            left="nothing of this file was stored",
            next="it has to be JSON in UTF-8",
        ) from None
    return read_paper(data, path.name, department, allow_incomplete)


def read_paper(data: Any, name: str, department: str | None = None, allow_incomplete: bool = False) -> Paper:
    """Read what a file held. department: of questions that name none. Raises BadRecord naming every bad question."""
    require_plain([name, department], "the name of the file or the department")
    shape, rows, declared, test = _shaped(data, name)
    items, faults, warnings = _items(shape, rows, name, department)
    faults += _repeated(shape, rows)
    if test is not None:
        faults += _bad_test(test)
    if declared != len(rows) and not allow_incomplete:
        faults.append(f"the file declares {declared} questions and holds {len(rows)} (--allow-incomplete takes it)")
    if not rows:
        faults.append("the file holds no question")
    if faults:
        raise BadRecord(
            f"{name}: {'; '.join(faults[:20])}{f'; and {len(faults) - 20} more' if len(faults) > 20 else ''}",
            where=name,
            left="nothing of this file was stored",
            next="correct the questions that are named, then import the file again",
            fields=[fault.partition(":")[0] for fault in faults],
        )
    return Paper(name, shape, tuple(items), declared, test, (*warnings, *_skew(items)))


def question_type(value: Any) -> str:
    """Return a question type under its one name; what names none is multiple choice. Raises BadRecord."""
    if value in (None, ""):
        return "multiple_choice"
    word = str(value).strip()
    found = _TYPES.get(word.replace(" ", ""), word.lower())
    if found not in QUESTION_TYPES:
        raise BadRecord(f"{value!r} is no question type", next=f"use one of {', '.join(QUESTION_TYPES)}")
    return found


def digest(content: str) -> str:
    """Return the SHA-256 of a question's content."""
    return sha256(content.encode()).hexdigest()


def _shaped(data: Any, name: str) -> tuple[str, list[Any], int, dict[str, Any] | None]:
    """Return shape, questions, how many the file declares, and what it says of a test."""
    if isinstance(data, list):
        return "list", data, len(data), None
    if isinstance(data, dict) and isinstance(data.get("questions"), list):
        rows = data["questions"]
        if isinstance(info := data.get("test_info"), dict):
            criteria = data.get("scoring_criteria")
            test = {
                "title": info.get("title"), "time_limit": info.get("time_limit"), "info": info,
                "scoring_criteria": criteria if isinstance(criteria, dict) else {},
            }  # fmt: skip
            return "test", _worth(rows, test["scoring_criteria"]), _declared(info, rows), test
        if isinstance(meta := data.get("meta"), dict):
            return "exam", rows, _declared(meta, rows), None
    raise BadRecord(
        "this is none of the three shapes: {meta, questions}, {test_info, questions} or a list of questions",
        where=name,
        left="nothing of this file was stored",
    )


def _worth(rows: Sequence[Any], criteria: Record) -> list[Any]:
    """Return the questions with the points that their file gives to each, where they name none themselves."""
    each = criteria.get("score_per_question")
    return [{"points": each, **row} if isinstance(row, dict) else row for row in rows]


def _declared(about: Record, rows: Sequence[Any]) -> int:
    said = about.get("total_questions")
    return said if isinstance(said, int) and not isinstance(said, bool) else len(rows)


def _items(
    shape: str, rows: Sequence[Any], name: str, department: str | None
) -> tuple[list[Item], list[str], list[tuple[str, str]]]:
    items: list[Item] = []
    faults: list[str] = []
    warnings: list[tuple[str, str]] = []
    for place, row in enumerate(rows, 1):
        label = _label(row, place)
        try:
            if not isinstance(row, dict):
                raise BadRecord("it is no object")
            require_plain(row, "a key")
            items.append(_item(shape, row, place, label, name, department))
            warnings += _label_warnings(shape, row, label)
        except BadRecord as error:
            faults.append(f"{label}: {error.what}")
    return items, faults, warnings


def _label(row: Any, place: int) -> str:
    known = row if isinstance(row, dict) else {}
    said = known.get("question_id") or known.get("question_number")
    return f"question {said if isinstance(said, (str, int)) else place}"


def _item(shape: str, row: Record, place: int, label: str, name: str, department: str | None) -> Item:
    options = _options(row.get("choices") if shape == "list" else row.get("options"))
    kind = question_type(row.get("question_type") or row.get("ai_question_type"))
    content = _text(row, "question_text" if shape == "list" else "content")
    hard, source = _difficulty(row, 10 if shape == "test" else 5)
    subject, own = _whose(row)
    number = row.get("original_question_number") or row.get("question_number") or place
    values = {
        "question_number": _number(number, "question_number"), "question_type": kind, "content": content,
        "description": _lines(row.get("description")), "options": options,
        "correct_answer": _key(row.get("correct_answer"), options, kind),
        "subject": subject, "area": _optional(row, "area_name"), "department": own or department,
        "year": _year(row.get("year")), "difficulty": hard, "difficulty_source": source,
        "question_metadata": {key: row[key] for key in ("domain", "difficulty_level") if row.get(key)},
        "ai_integration": {key: value for key, value in row.items() if key.startswith("ai_")},
        "source_info": {**_source(row), "file": name, "question_id": str(row.get("question_id") or number)},
        "content_sha256": digest(content),
    }  # fmt: skip
    return Item(label, values, _points(row.get("points")))


def _text(row: Record, key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise BadRecord(f"{key} is missing")
    return value


def require_plain(value: Any, what: str) -> None:
    """Raise BadRecord for a value that holds a character no database takes, however deep. what: names it."""
    if isinstance(value, str):
        if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise BadRecord(f"{what} holds a character that is none")
    elif isinstance(value, dict):
        for key, inner in value.items():
            require_plain(key, what)
            require_plain(inner, key)
    elif isinstance(value, list):
        for inner in value:
            require_plain(inner, what)


def _optional(row: Record, key: str) -> str | None:
    value = row.get(key)
    if value in (None, ""):
        return None
    if not isinstance(value, str):
        raise BadRecord(f"{key} is no text")
    return value


def _whose(row: Record) -> tuple[str | None, str | None]:
    """Return subject and department: the subject of many files is a department."""
    subject, own = _optional(row, "subject"), _optional(row, "department")
    if subject and subject.endswith(_DEPARTMENT):
        return None, own or subject
    return subject, own


def _options(value: Any) -> dict[str, str] | None:
    if value in (None, {}, []):
        return None
    pairs = [(str(n), one) for n, one in enumerate(value, 1)] if isinstance(value, list) else None
    if isinstance(value, dict):
        pairs = [(str(key), one) for key, one in value.items()]
    if pairs is None or any(not isinstance(one, str) or not one.strip() for _, one in pairs):
        raise BadRecord("an option is missing or is no text")
    texts = [" ".join(one.split()) for _, one in pairs]
    twice = [text for text, count in Counter(texts).items() if count > 1]
    if twice:
        raise BadRecord(f"two options say the same ({twice[0]!r})")
    if isinstance(value, list) and len(pairs) not in (4, 5):
        raise BadRecord(f"it has {len(pairs)} choices; there have to be 4 or 5")
    return dict(sorted(pairs, key=lambda pair: _order(pair[0])))


def _order(key: str) -> tuple[int, str]:
    return (int(key), key) if key.isascii() and key.isdigit() else (1 << 30, key)


def _key(value: Any, options: Mapping[str, str] | None, kind: str) -> str | None:
    if options is None and kind in _CHOICES:
        raise BadRecord("its options are missing")
    if value in (None, ""):
        raise BadRecord("correct_answer is missing")
    key = str(value).strip()
    if options is not None and key not in options:
        raise BadRecord(f"correct_answer {key!r} is no option; there are {', '.join(options)}")
    if len(key) > _LONGEST_KEY:
        raise BadRecord(f"correct_answer is longer than {_LONGEST_KEY} characters")
    return key


def _difficulty(row: Record, scale: int) -> tuple[int, str]:
    for key, source in (("difficulty", "file"), ("difficulty_level", "file"), ("ai_difficulty", "ai")):
        if row.get(key) not in (None, ""):
            return difficulty(row[key], scale), source
    raise BadRecord("difficulty is missing")


def _label_warnings(shape: str, row: Record, label: str) -> list[tuple[str, str]]:
    """Return a warning where the number and the word of a difficulty disagree."""
    number, word = row.get("difficulty"), row.get("difficulty_level")
    if shape != "test" or number in (None, "") or not isinstance(word, str) or not word:
        return []
    if difficulty(word, 10) == difficulty(number, 10):
        return []
    return [("difficulty_label", f"{label} is {number} of 10 and called {word!r}; the number counts")]


def _number(value: Any, key: str) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 31:
        raise BadRecord(f"{key} {value!r} is no number")
    return value


def _year(value: Any) -> int | None:
    if value in (None, ""):
        return None
    year = _number(value, "year")
    if year not in _YEARS:
        raise BadRecord(f"year {year} cannot be")
    return year


def _points(value: Any) -> Decimal:
    if value is None:
        return Decimal(1)
    try:
        points = Decimal(str(value))
    except InvalidOperation:
        points = Decimal(0)
    if isinstance(value, bool) or not points.is_finite() or points <= 0:
        raise BadRecord(f"points {value!r} are not positive")
    return points


def _lines(value: Any) -> list[str] | None:
    if value in (None, "", []):
        return None
    lines = [value] if isinstance(value, str) else value
    if not isinstance(lines, list) or any(not isinstance(line, str) for line in lines):
        raise BadRecord("description is no list of texts")
    return lines


def _source(row: Record) -> dict[str, Any]:
    value = row.get("source_info")
    return dict(value) if isinstance(value, dict) else {}


def _repeated(shape: str, rows: Iterable[Any]) -> list[str]:
    key = "question_number" if shape == "exam" else "question_id"
    seen = Counter(str(row[key]) for row in rows if isinstance(row, dict) and row.get(key) is not None)
    return [f"question {said}: {key} comes {count} times" for said, count in seen.items() if count > 1]


def _bad_test(test: Record) -> list[str]:
    faults = []
    try:
        require_plain(test, "test_info")
    except BadRecord as error:
        faults.append(f"test_info: {error.what}")
    if not isinstance(test["title"], str) or not test["title"].strip():
        faults.append("test_info: it has no title")
    limit = test["time_limit"]
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        faults.append(f"test_info: time_limit {limit!r} is no number of minutes")
    levels = test["scoring_criteria"].get("level_classification") or {}
    if not isinstance(levels, dict) or not all(map(_is_level, levels.values())):
        faults.append("scoring_criteria: a level has no min_score between 0 and 100")
    return faults


def _is_level(rule: Any) -> bool:
    value = rule.get("min_score") if isinstance(rule, dict) else None
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 100


def _skew(items: Sequence[Item]) -> tuple[tuple[str, str], ...]:
    keys = Counter(item.values["correct_answer"] for item in items)
    if len(items) < SKEW_LEAST:
        return ()
    key, count = keys.most_common(1)[0]
    if count < SKEW_SHARE * len(items):
        return ()
    return ((SKEW, f"{count} of {len(items)} questions have the answer {key}"),)
