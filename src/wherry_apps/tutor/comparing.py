"""Figures before a switch: the same questions to two chat models, the same vectors to two stores.

Nothing is printed that was not measured here, but what the operator gives as the monthly bills; those are named so.
"""

from __future__ import annotations

import json
import random
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select

import wherry
from wherry import Chat, Message, Refused, StoreError, Usage, WherryError
from wherry_apps.tutor.moving import LLM, STORE, Moving
from wherry_apps.tutor.points import indexed_text
from wherry_apps.tutor.resources import Resources
from wherry_apps.tutor.switches import named
from wherry_apps.tutor.tables import Question

_RULES = '보건계열 국가시험 문항입니다. 정답 보기의 번호 하나를 고릅니다. {"answer": "번호"} 꼴의 JSON만 답합니다.'
_SCHEMA = {
    "type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"],
    "additionalProperties": False,
}  # fmt: skip
_ALONE = re.compile(r"^\W*(\w{1,10})\W*$")
_VECTORS = 50


@dataclass(frozen=True)
class Bars:
    """What the new model has to reach. parseable: least share of answers that name an option. errors: most share of
    questions without an answer. behind: how far agreement with the key may fall behind the old model's. p95_s: most
    seconds of the 95th of a hundred answers; None where it does not matter.
    """

    parseable: float = 0.9
    errors: float = 0.05
    behind: float = 0.05
    p95_s: float | None = None


@dataclass(frozen=True)
class Heard:
    """How one model did. seconds: of each answer. parsed: answers that name an option; right: those naming the key.

    cost: US dollars of all answers by Wherry's price table, None where a price is not known.
    """

    model: str
    asked: int
    seconds: tuple[float, ...]
    parsed: int
    right: int
    errors: dict[str, int]
    tokens_in: int
    tokens_out: int
    cost: float | None

    def to_dict(self, per_month: int) -> dict[str, Any]:
        """Return it as a JSON object. per_month: questions a month that the cost is worked out for."""
        answered = len(self.seconds)
        each = self.cost / answered if self.cost is not None and answered else None
        return {
            "model": self.model, "asked": self.asked, "answered": answered,
            "median_s": round(statistics.median(self.seconds), 4) if answered else None,
            "p95_s": round(float(np.percentile(self.seconds, 95)), 4) if answered else None,
            "parseable": round(self.parsed / answered, 4) if answered else None,
            "agreement": round(self.right / self.asked, 4),
            "errors": self.errors, "tokens_in": self.tokens_in, "tokens_out": self.tokens_out,
            "cost_usd": self.cost, "cost_usd_per_month": None if each is None else round(each * per_month, 4),
        }  # fmt: skip

    @property
    def p95(self) -> float:
        """Seconds of the 95th of a hundred answers."""
        return float(np.percentile(self.seconds, 95)) if self.seconds else float("inf")


class Comparing:
    """Measures, and writes down what was measured: `retire` asks for it."""

    def __init__(self, resources: Resources, moving: Moving) -> None:
        self._resources, self._moving = resources, moving

    def llm(
        self,
        old: str,
        new: str,
        *,
        count: int = 30,
        explained: int = 3,
        per_month: int = 10_000,
        bars: Bars | None = None,
        bills: Sequence[int | None] = (None, None),
        report: Path | None = None,
        seed: int = 0,
    ) -> dict[str, Any]:
        """Ask two chat models the same approved questions, in one shuffled order, and compare.

        count: questions. explained: how many are also explained by both from passages (`wherry.compare_chat`), which
        `report` writes as a page. bills: won a month of old and new as the operator knows them, printed as given.
        Raises Refused without questions, the error of a model that cannot be reached.
        """
        wanted = bars or Bars()
        rows = self._questions(count)
        chats = [self._resources.chat(spec) for spec in (old, new)]
        heard = _ask(chats, (old, new), rows, seed)
        talk = self._explained(chats, rows[:explained], per_month, report) if explained else None
        failed = _missed(heard, wanted)
        result = {
            "old": heard[0].to_dict(per_month), "new": heard[1].to_dict(per_month), "questions": len(rows),
            "per_month": per_month, "bars": asdict(wanted), "missed": failed, "passed": not failed, "seed": seed,
            "given": {"old_won_per_month": bills[0], "new_won_per_month": bills[1]}, "explanations": talk,
        }  # fmt: skip
        return result | {"comparison": self._moving.note(LLM, old, new, not failed, result)}

    def stores(self, old: str, new: str, *, k: int = 10, min_recall: float = 0.95, seed: int = 0) -> dict[str, Any]:
        """Ask two stores for the neighbours of the same vectors: recall@k against exact search, p50 and p95.

        Where their embedders differ the texts are asked, each embedded by its side's own model.
        """
        ends = [self._resources.points(one).address for one in (old, new)]
        queries = self._queries(ends)
        found = wherry.compare(ends[0], ends[1], queries, k=k, min_recall=min_recall, min_overlap=0.0, seed=seed)
        said, old, new = found.to_dict(), named(old), named(new)
        result = {
            "old": {"store": old, **said["a"]}, "new": {"store": new, **said["b"]}, "k": k, "questions": len(queries),
            "bars": said["bars"], "passed": found.passed, "measured": said["measured"],
        }  # fmt: skip
        return result | {"comparison": self._moving.note(STORE, old, new, found.passed, result)}

    def _questions(self, count: int) -> list[dict[str, Any]]:
        query = select(Question).where(
            Question.approval_status == "approved", Question.is_active, Question.options.is_not(None)
        )
        with self._resources.db.session() as session:
            rows = [
                {
                    "text": indexed_text(q.content, q.description, q.options), "options": q.options,
                    "key": q.correct_answer,
                }
                for q in session.scalars(query.order_by(Question.id).limit(count))
            ]  # fmt: skip
        if not rows:
            raise Refused("there is no approved question to ask", next="wherry tutor approve ID")
        return rows

    def _queries(self, ends: Sequence[Any]) -> list[Any]:
        opened = [wherry.open_source(end) for end in ends]
        try:
            spaces = [store.describe().space for store in opened]
            page = next(opened[0].scan(_VECTORS), None)
        finally:
            for store in opened:
                store.close()
        records = wherry.to_records(page.records) if page is not None else []
        if not records:
            raise Refused("there is nothing to ask for: the old collection is empty", next="wherry tutor index")
        same = (spaces[0].model, spaces[0].dimension) == (spaces[1].model, spaces[1].dimension)
        return [np.asarray(one.vector) if same else one.text for one in records]

    def _explained(
        self, chats: Sequence[Chat], rows: Sequence[dict[str, Any]], per_month: int, report: Path | None
    ) -> dict[str, Any] | None:
        points = self._resources.points()
        if not points.check():
            return None
        texts = [f"다음 문항의 정답과 이유를 설명하십시오.\n{row['text']}" for row in rows]
        found = wherry.compare_chat(
            chats[0], chats[1], texts, in_=points.address, embedder=points.embedder, per_month=per_month, report=report
        )
        said = found.to_dict()
        return {key: said[key] for key in ("questions", "agreement", "citations_shared", "measured", "notes")}


def _ask(chats: Sequence[Chat], names: Sequence[str], rows: Sequence[dict[str, Any]], seed: int) -> list[Heard]:
    # The first question warms both up and tells a model that is not there, before anything is counted.
    for chat in chats:
        chat.reply(_messages(rows[0]), max_tokens=60, schema=_SCHEMA)
    order = [(which, number) for which in (0, 1) for number in range(len(rows))]
    random.Random(seed).shuffle(order)
    found: list[list[Any]] = [[], []]
    errors: list[dict[str, int]] = [{}, {}]
    for which, number in order:
        started = time.perf_counter()
        try:
            reply = chats[which].reply(_messages(rows[number]), max_tokens=60, schema=_SCHEMA)
        except (StoreError, WherryError) as error:
            name = type(error).__name__
            errors[which][name] = errors[which].get(name, 0) + 1
            continue
        found[which].append((time.perf_counter() - started, reply, rows[number]))
    return [_heard(name, len(rows), *pair) for name, pair in zip(names, zip(found, errors, strict=True), strict=True)]


def _heard(
    name: str, asked: int, answers: Sequence[tuple[float, Any, dict[str, Any]]], errors: dict[str, int]
) -> Heard:
    said = [(_chosen(reply.text, row["options"]), row["key"]) for _, reply, row in answers]
    costs = [reply.usage.cost for _, reply, _ in answers]
    return Heard(
        name, asked, tuple(seconds for seconds, _, _ in answers),
        sum(key is not None for key, _ in said), sum(key == right for key, right in said), errors,
        sum(reply.usage.tokens_in for _, reply, _ in answers), sum(reply.usage.tokens_out for _, reply, _ in answers),
        None if not costs or None in costs else float(sum(costs)),
    )  # fmt: skip


def _messages(row: dict[str, Any]) -> list[Message]:
    return [Message("system", _RULES), Message("user", row["text"])]


def _chosen(text: str, options: dict[str, str]) -> str | None:
    """Return the key that an answer names, None where it names none."""
    said: Any = text.strip()
    try:
        value = json.loads(said)
        said = value.get("answer") if isinstance(value, dict) else value
    except ValueError:
        alone = _ALONE.match(said)
        said = alone[1] if alone else None
    key = str(said).strip() if said is not None else ""
    return key if key in options else None


def _missed(heard: Sequence[Heard], bars: Bars) -> list[str]:
    old, new = heard
    answered = len(new.seconds)
    share = 1 - answered / new.asked
    found = []
    if new.parsed < bars.parseable * answered or not answered:
        found.append(f"parseable {new.parsed} of {answered}, {bars.parseable:g} of them wanted")
    if share > bars.errors:
        found.append(f"errors {share:.2f}, at most {bars.errors:g} wanted")
    if new.right / new.asked < old.right / old.asked - bars.behind:
        found.append(f"agreement {new.right / new.asked:.2f}, the old model has {old.right / old.asked:.2f}")
    if bars.p95_s is not None and new.p95 > bars.p95_s:
        found.append(f"p95 {new.p95:.2f} s, at most {bars.p95_s:g} wanted")
    return found


def require_two(old: str, new: str) -> None:
    """Raise Usage for a comparison of something with itself."""
    if old == new:
        raise Usage(
            "that is a comparison of something with itself", next="name two different ones with --old and --new"
        )
