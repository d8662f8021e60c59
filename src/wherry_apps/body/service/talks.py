"""Questions about a report or a plan, answered from its own text; what was said is stored and outlives a restart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from wherry_apps.body.composing import HEADINGS, sections
from wherry_apps.body.dates import DAYS
from wherry_apps.body.plans import lines_of, read_plan
from wherry_apps.body.quoting import quote
from wherry_apps.body.service.context import Context, Owner, iso, owned, require_text
from wherry_apps.body.tables import AnalysisReport, BodyChat, WeeklyPlan
from wherry_apps.body.writing import Role, answer

Subject = Literal["report", "plan"]
_WHAT = {"report": "인바디 분석 리포트", "plan": "주간 계획"}
_MOST_MESSAGE, _MOST_TURNS = 4_000, 40


@dataclass(frozen=True)
class _About:
    """What is talked about. menu: what one number alone asks for, in the order of the numbers."""

    user_id: int
    text: str
    menu: dict[str, str]


class Talks:
    """The conversations of a database."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def say(
        self, owner: Owner, subject: Subject, subject_id: int, message: str, model: str | None = None
    ) -> dict[str, Any]:
        """Answer a message and keep both. Raises NotFound, BadRecord, or what the model raises, and keeps nothing."""
        said = require_text(message, "message", _MOST_MESSAGE)
        with self._context.db.session() as session:
            about = _about(session, owner, subject, subject_id)
            history = [(cast(Role, turn.role), turn.content) for turn in _turns(session, subject, subject_id)]
        chosen = _chosen(said, about.menu)
        spec = model or self._context.settings.model
        if chosen is not None:
            text = chosen
        elif spec == "offline":
            text = quote(about.text, said)
        else:
            text = answer(self._context.models.chat(spec), _WHAT[subject], about.text, history, said)
        with self._context.db.session() as session:
            _about(session, owner, subject, subject_id)
            for role, content in (("user", said), ("assistant", text)):
                session.add(
                    BodyChat(user_id=about.user_id, subject=subject, subject_id=subject_id, role=role, content=content)
                )
                session.flush()
        return {"answer": text, "model": "menu" if chosen is not None else spec, "menu": menu_of(about.menu)}

    def history(self, owner: Owner, subject: Subject, subject_id: int) -> dict[str, Any]:
        """Return what was said so far, oldest first, and the menu. Raises NotFound."""
        with self._context.db.session() as session:
            about = _about(session, owner, subject, subject_id)
            turns = [
                {"role": turn.role, "content": turn.content, "created_at": iso(turn.created_at)}
                for turn in _turns(session, subject, subject_id)
            ]
        return {"turns": turns, "menu": menu_of(about.menu)}

    def forget(self, subject: Subject, subject_ids: Sequence[int]) -> None:
        """Delete what was said about some reports or plans."""
        chosen = delete(BodyChat).where(BodyChat.subject == subject, BodyChat.subject_id.in_(subject_ids))
        with self._context.db.session() as session:
            session.execute(chosen)


def menu_of(menu: dict[str, str]) -> list[str]:
    """Return a menu as lines: `1. 종합 평가`."""
    return [f"{at}. {name}" for at, name in enumerate(menu, 1)]


def _chosen(message: str, menu: dict[str, str]) -> str | None:
    """Return what a number alone asks for; None for every other message."""
    texts = list(menu.values())
    known = {str(at): text for at, text in enumerate(texts, 1)}
    return known.get(message)


def _about(session: Session, owner: Owner, subject: Subject, subject_id: int) -> _About:
    if subject == "report":
        report = owned(session, AnalysisReport, subject_id, owner)
        found = sections(report.llm_output)
        menu = {name: f"## {name}\n{found[name]}" for name in HEADINGS if found.get(name)}
        return _About(report.user_id, report.llm_output, menu)
    plan = owned(session, WeeklyPlan, subject_id, owner)
    lines = lines_of(read_plan(plan.plan_data))
    return _About(plan.user_id, "\n".join(lines), _days(lines))


def _days(lines: list[str]) -> dict[str, str]:
    """Return the lines of each day of a plan."""
    found: dict[str, list[str]] = {}
    current = ""
    for line in lines:
        if line.startswith("# "):
            current = next((day for day in DAYS if line[2:].startswith(day)), "")
        if current:
            found.setdefault(current, []).append(line)
    return {day: "\n".join(kept) for day, kept in found.items()}


def _turns(session: Session, subject: Subject, subject_id: int) -> list[BodyChat]:
    asked = select(BodyChat).where(BodyChat.subject == subject, BodyChat.subject_id == subject_id)
    latest = list(session.scalars(asked.order_by(BodyChat.id.desc()).limit(_MOST_TURNS)))
    return latest[::-1]
