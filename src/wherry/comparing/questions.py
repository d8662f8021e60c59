"""The questions that both sides are asked: texts, vectors, or a log of what was asked and answered before.

what.txt        one question a line
what.jsonl      a line each: "a text", [0.1, 0.2, ...], or an object with `query` (or `question`, `text`), `vector`
                and, where an answer was recorded, `hits` (id, similarity) or the `retrieval_nodes` of LlamaCloud
what.json       a list of the same, or an object with that list as `queries` or `questions`
what.npy        a vector a row
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wherry.errors import Usage
from wherry.stores.base import Hit

_TEXT = ("query", "question", "text", "q")
_VECTOR = ("vector", "embedding")
_HITS = ("hits", "retrieval_nodes", "results")
_REPLY = ("reply", "response", "answer")
_LISTS = ("queries", "questions", "test_cases")
_ID, _SCORE = ("id", "id_", "node_id"), ("similarity", "score")

Questions = str | Path | Sequence[Any] | np.ndarray


@dataclass(frozen=True)
class Recorded:
    """An answer that was written down when it was given. seconds: what it took, None where nobody wrote it down."""

    hits: tuple[Hit, ...]
    seconds: float | None = None


@dataclass(frozen=True, eq=False)
class Question:
    """What both sides are asked. vector: float32 of shape (dimension,), where no text has to be embedded."""

    name: str
    text: str | None = None
    vector: np.ndarray | None = None
    recorded: Recorded | None = None

    @property
    def shown(self) -> str:
        """The question as a person reads it."""
        return self.text if self.text is not None else f"vector {self.name}"


def read_questions(source: Questions) -> tuple[Question, ...]:
    """Return the questions of a file, of a list, or of an array of shape (n, dimension).

    Raises Usage, naming the place and the question that cannot be read, never its body.
    """
    where = str(source) if isinstance(source, (str, Path)) else "queries"
    entries = _of_file(Path(source)) if isinstance(source, (str, Path)) else list(source)
    found = tuple(_question(entry, number, where) for number, entry in enumerate(entries, 1))
    if not found:
        raise Usage("there are no questions", where=where, next="write one question a line")
    return found


def _of_file(path: Path) -> list[Any]:
    try:
        if path.suffix.lower() == ".npy":
            return list(_table(np.load(path, allow_pickle=False), str(path)))
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, ValueError, EOFError) as error:
        raise Usage(
            f"the questions cannot be read: {type(error).__name__}",
            where=str(path),
            next="name a UTF-8 text file with a question a line, a JSON or JSONL file, or an .npy array",
        ) from None
    if path.suffix.lower() in (".json", ".jsonl"):
        return _of_json(text, str(path))
    return [line.strip() for line in text.splitlines() if line.strip()]


def _table(array: np.ndarray, where: str) -> np.ndarray:
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise Usage(f"an array of questions has a vector a row, this one has {array.ndim} axes", where=where)
    return array


def _of_json(text: str, where: str) -> list[Any]:
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        return [_line(line, number, where) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if isinstance(whole, dict):
        listed = next((whole[name] for name in _LISTS if isinstance(whole.get(name), list)), None)
        return [whole] if listed is None else listed
    # One line of JSONL that is a vector is a list too.
    return [whole] if not isinstance(whole, list) or _is_vector(whole) else whole


def _line(line: str, number: int, where: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise Usage(f"line {number} is no JSON", where=where) from None


def _question(entry: Any, number: int, where: str) -> Question:
    name = f"{number}"
    if isinstance(entry, str):
        return Question(name, _asked(entry, number, where))
    if isinstance(entry, Mapping):
        return _of_object(entry, number, where)
    if isinstance(entry, np.ndarray) or _is_vector(entry):
        return Question(name, vector=_numbers(entry, number, where))
    raise Usage(f"question {number} is neither a text nor a vector nor an object", where=where)


def _of_object(entry: Mapping[str, Any], number: int, where: str) -> Question:
    text, vector = _first(entry, _TEXT), _first(entry, _VECTOR)
    if not isinstance(text, str) and vector is None:
        raise Usage(
            f"question {number} has neither a text nor a vector",
            where=where,
            next=f"write what was asked as `{_TEXT[0]}` beside it",
        )
    given = entry.get("id")
    return Question(
        str(given) if isinstance(given, (str, int)) else f"{number}",
        _asked(text, number, where) if isinstance(text, str) else None,
        None if vector is None else _numbers(vector, number, where),
        _recorded(entry, number, where),
    )


def _asked(text: str, number: int, where: str) -> str:
    if not text.strip():
        raise Usage(f"question {number} is empty", where=where)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Usage(f"question {number} holds half of a surrogate pair, which is no character", where=where) from None
    return text


def _numbers(values: Any, number: int, where: str) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):
            vector = np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError, OverflowError):
        vector = np.empty(0, dtype=np.float32)
    if vector.ndim != 1 or not vector.size or not np.isfinite(vector).all():
        raise Usage(f"the vector of question {number} is no list of finite numbers", where=where)
    return vector


def _recorded(entry: Mapping[str, Any], number: int, where: str) -> Recorded | None:
    reply = _first(entry, _REPLY)
    held: Mapping[str, Any] = {**entry, **reply} if isinstance(reply, Mapping) else entry
    listed = _first(held, _HITS)
    if not isinstance(listed, list):
        return None
    hits = tuple(_hit(found, number, place, where) for place, found in enumerate(listed, 1))
    seconds = held.get("seconds")
    timed = isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 <= seconds < float("inf")
    return Recorded(hits, float(seconds) if timed and seconds is not None else None)


def _hit(found: Any, number: int, place: int, where: str) -> Hit:
    node = found.get("node", found) if isinstance(found, Mapping) else None
    name = _first(node, _ID) if isinstance(node, Mapping) else None
    score = _first(found, _SCORE) if isinstance(found, Mapping) else None
    if not isinstance(name, str) or isinstance(score, bool) or not isinstance(score, (int, float)):
        raise Usage(f"hit {place} of question {number} needs an `id` and a `similarity` or `score`", where=where)
    text = node.get("text") if isinstance(node, Mapping) else None
    return Hit(name, float(score), 1.0 - float(score), text if isinstance(text, str) else None)


def _first(entry: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((entry[name] for name in names if entry.get(name) is not None), None)


def _is_vector(entry: Any) -> bool:
    return (
        isinstance(entry, (list, tuple))
        and bool(entry)
        and all(isinstance(value, (int, float, np.number)) and not isinstance(value, bool) for value in entry)
    )
