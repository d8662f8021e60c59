"""Weekly plans: grounded in the person's own reports, written by a model or by rule, stored as a structure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import func, select

import wherry
from wherry_apps.body.dates import today, week_after, week_from
from wherry_apps.body.planning import against, plan_week
from wherry_apps.body.plans import Plan, Week, read_plan
from wherry_apps.body.ranking import TOP_K
from wherry_apps.body.service.context import Context, Owner, iso, owned, person
from wherry_apps.body.service.goals import active_wishes
from wherry_apps.body.service.records import newest
from wherry_apps.body.service.retrieval import Retrieval, Search
from wherry_apps.body.settings import RULES
from wherry_apps.body.tables import User, WeeklyPlan
from wherry_apps.body.wishes import KEEP, Goal, Preferences
from wherry_apps.body.writing import write_week

QUERY = "체형 분석"
_MOST_WEEK = 2**31 - 1


class Weekly:
    """The plans of a database."""

    def __init__(self, context: Context, retrieval: Retrieval) -> None:
        self._context, self._retrieval = context, retrieval

    def generate(
        self,
        owner: Owner,
        user_id: int,
        goals: Sequence[Goal] | None = None,
        wishes: Preferences | None = None,
        week_number: int | None = None,
        start: date | None = None,
        model: str | None = None,
        embedder: str | None = None,
    ) -> dict[str, Any]:
        """Write and store a week. Goals and wishes that are not given are those of the active goals.

        Raises NotFound, Refused where nothing of the person was analysed yet, BadRecord for a date or number that is
        none, or what model and database raise: nothing is stored then.
        """
        first, last = week_after(today()) if start is None else week_from(start)
        _require_week(week_number)
        goals, wishes, measurements, warnings = self._grounds(owner, user_id, goals, wishes)
        found = self._retrieval.find(owner, user_id, QUERY, TOP_K, embedder)
        if not found.reports:
            raise wherry.Refused(
                "nothing of this person was analysed yet", left="nothing", next="analyse a sheet first"
            )
        spec = model or self._context.settings.model
        if spec == "offline":
            week, notes = self._by_rule(found, measurements, goals, wishes)
            version = RULES
        else:
            week = write_week(self._context.models.chat(spec), found.reports, goals, wishes, measurements)
            notes = against(week, wishes)
            version = spec[:100]
        stored = self._store(owner, user_id, week, week_number, first, last, version)
        return stored | {"warnings": [*warnings, *notes], "grounds": _cited(found)}

    def save(
        self, owner: Owner, user_id: int, week_number: int, start: date, end: date, data: dict[str, Any], version: str
    ) -> int:
        """Store a plan that somebody else wrote, whatever parts of a plan it has; return its id. Raises NotFound."""
        _require_week(week_number)
        if end < start:
            raise wherry.BadRecord("the week ends before it begins", fields=["end_date"], left="nothing")
        with self._context.db.session() as session:
            person(session, owner, user_id)
            row = WeeklyPlan(
                user_id=user_id, week_number=week_number, start_date=start, end_date=end,
                plan_data=_structured(data, user_id, week_number, start, end, version), model_version=version[:100],
            )  # fmt: skip
            session.add(row)
            session.flush()
            return row.id

    def get(self, owner: Owner, plan_id: int) -> dict[str, Any]:
        """Return a plan. Raises NotFound."""
        with self._context.db.session() as session:
            return shown(owned(session, WeeklyPlan, plan_id, owner))

    def all(self, owner: Owner, user_id: int, limit: int = 10) -> list[dict[str, Any]]:
        """Return a person's plans, newest first."""
        with self._context.db.session() as session:
            person(session, owner, user_id)
            asked = select(WeeklyPlan).where(WeeklyPlan.user_id == user_id).order_by(*_NEWEST).limit(limit)
            return [shown(row) for row in session.scalars(asked)]

    def week(self, owner: Owner, user_id: int, week_number: int) -> dict[str, Any]:
        """Return the newest plan of a person for a week. Raises NotFound."""
        with self._context.db.session() as session:
            person(session, owner, user_id)
            asked = select(WeeklyPlan).where(WeeklyPlan.user_id == user_id, WeeklyPlan.week_number == week_number)
            row = session.scalar(asked.order_by(*_NEWEST).limit(1)) if 0 < week_number <= _MOST_WEEK else None
            if row is None:
                raise wherry.NotFound(f"there is no plan for week {week_number}", where="week", left="nothing")
            return shown(row)

    def _grounds(
        self, owner: Owner, user_id: int, goals: Sequence[Goal] | None, wishes: Preferences | None
    ) -> tuple[Sequence[Goal], Preferences, dict[str, Any] | None, list[str]]:
        warnings: list[str] = []
        with self._context.db.session() as session:
            person(session, owner, user_id)
            kept, preferred = active_wishes(session, user_id)
            record = newest(session, user_id)
        chosen = goals if goals else kept
        if not chosen:
            warnings.append(f"목표가 없어 {KEEP}(으)로 계획합니다")
            chosen = [Goal(goal_type=KEEP)]
        return chosen, wishes or preferred or Preferences(), record.measurements if record else None, warnings

    def _by_rule(
        self, found: Search, measurements: dict[str, Any] | None, goals: Sequence[Goal], wishes: Preferences
    ) -> tuple[Week, list[str]]:
        if measurements is None:
            raise wherry.Refused(
                "this person has no sheet, and the rules plan by one", left="nothing", next="add a sheet"
            )
        week, notes = plan_week(measurements, str(measurements.get("body_type2")), goals, wishes)
        cited = ", ".join(f"{one.report_id}번({one.report_date.date().isoformat()})" for one in found.reports)
        kind = measurements.get("body_type1")
        summary = f"{week.weekly_summary} 체형은 {kind}이며, 근거로 삼은 리포트는 {cited}입니다."
        return week.model_copy(update={"weekly_summary": summary}), notes

    def _store(
        self, owner: Owner, user_id: int, week: Week, number: int | None, first: date, last: date, version: str
    ) -> dict[str, Any]:
        with self._context.db.session() as session:
            person(session, owner, user_id)
            # Two plans at the same time do not get the same number.
            session.execute(select(User.id).where(User.id == user_id).with_for_update())
            highest = select(func.max(WeeklyPlan.week_number)).where(WeeklyPlan.user_id == user_id)
            number = number or (session.scalar(highest) or 0) + 1
            plan = Plan(
                **week.model_dump(), user_id=user_id, week_number=number, start_date=first, end_date=last,
                model_version=version, generated_at=datetime.now(UTC),
            )  # fmt: skip
            row = WeeklyPlan(
                user_id=user_id, week_number=number, start_date=first, end_date=last,
                plan_data=plan.model_dump(mode="json"), model_version=version,
            )  # fmt: skip
            session.add(row)
            session.flush()
            session.refresh(row)
            return shown(row)


_NEWEST = (WeeklyPlan.created_at.desc(), WeeklyPlan.id.desc())


def shown(row: WeeklyPlan) -> dict[str, Any]:
    """Return a plan as a JSON object; plan_data of every shape reads the same."""
    return {
        "id": row.id,
        "user_id": row.user_id,
        "week_number": row.week_number,
        "start_date": row.start_date.isoformat(),
        "end_date": row.end_date.isoformat(),
        "plan": read_plan(row.plan_data),
        "model_version": row.model_version,
        "created_at": iso(row.created_at),
    }


def _cited(found: Search) -> dict[str, Any]:
    cited = [
        {"report_id": one.report_id, "report_date": iso(one.report_date), "similarity": one.similarity}
        for one in found.reports
    ]
    return {"retrieval": found.retrieval, "notes": list(found.notes), "reports": cited}


def _require_week(number: int | None) -> None:
    if number is not None and not 1 <= number <= _MOST_WEEK:
        raise wherry.BadRecord("week_number is not 1 or more", fields=["week_number"], left="nothing")


def _structured(
    data: dict[str, Any], user_id: int, week_number: int, start: date, end: date, version: str
) -> dict[str, Any]:
    """Return a plan with every part there is: what is missing is empty, prose stays as prose."""
    read = read_plan(data)
    days = {name: data.get(name) or read[name] for name in ("daily_plans", "weekly_summary", "weekly_goal", "tips")}
    prose = {"llm_raw_output": read["text"]} if read["text"] and not data.get("weekly_summary") else {}
    return days | prose | {
        "user_id": user_id, "week_number": week_number, "start_date": start.isoformat(), "end_date": end.isoformat(),
        "model_version": version, "generated_at": datetime.now(UTC).isoformat(),
    }  # fmt: skip
