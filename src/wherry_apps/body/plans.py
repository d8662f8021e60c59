"""A plan of seven days as a structure: what is written, and the three shapes that are read."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from wherry_apps.body.dates import DAYS
from wherry_apps.body.plain import Plain

Amount = Annotated[float, Field(ge=0, le=20_000, allow_inf_nan=False)]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Prose = Annotated[str, StringConstraints(max_length=20_000)]


class Exercise(Plain):
    """One exercise. reps: in words (`12회`, `20분`)."""

    name: Line
    category: str = ""
    target_muscle: str = ""
    sets: Annotated[int, Field(ge=1, le=50)] = 1
    reps: str = ""
    rest_seconds: Annotated[int, Field(ge=0, le=3600)] = 60
    notes: str | None = None


class Meal(Plain):
    """One meal; calories in kcal, the others in grams."""

    meal_type: Line
    foods: Annotated[list[Line], Field(min_length=1, max_length=30)]
    calories: Amount
    protein_g: Amount
    carbs_g: Amount
    fat_g: Amount
    notes: str | None = None


class DayPlan(Plain):
    """One day. total_calories: kcal of its meals."""

    day_of_week: str
    exercises: Annotated[list[Exercise], Field(max_length=30)] = Field(default_factory=list)
    meals: Annotated[list[Meal], Field(min_length=1, max_length=10)]
    total_calories: Amount
    notes: str | None = None


class Week(Plain):
    """What a model, or the rules, write of a week: seven days, Monday to Sunday."""

    daily_plans: list[DayPlan]
    weekly_summary: Prose
    weekly_goal: Prose
    tips: Annotated[list[Line], Field(max_length=20)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _seven_days(self) -> Self:
        if tuple(day.day_of_week for day in self.daily_plans) != DAYS:
            raise ValueError(f"daily_plans must be the seven days {', '.join(DAYS)}, in this order")
        return self


class Plan(Week):
    """A plan as it is stored."""

    user_id: int
    week_number: Annotated[int, Field(ge=1)]
    start_date: date
    end_date: date
    model_version: str
    generated_at: datetime


def read_plan(data: Any) -> dict[str, Any]:
    """Return plan_data of any shape as one: `structured` tells whether the days are there, `text` holds prose.

    Shapes: structured; structured with empty lists and prose in `llm_raw_output`; `{content, raw_response}`.
    """
    if not isinstance(data, dict):
        return _prose(data if isinstance(data, str) else "")
    if "content" in data or "raw_response" in data:
        return _prose(str(data.get("content") or data.get("raw_response") or ""))
    days = data.get("daily_plans")
    if not isinstance(days, list) or not days:
        summary = data.get("weekly_summary")
        return _prose(str(data.get("llm_raw_output") or summary or ""))
    return {**data, "structured": True, "text": "", "tips": data.get("tips") or []}


def lines_of(plan: dict[str, Any]) -> list[str]:
    """Return a plan that was read as lines for people: a heading per day, a line per exercise and meal."""
    if not plan["structured"]:
        return plan["text"].splitlines()
    lines = [f"# 주간 목표: {plan.get('weekly_goal', '')}", *str(plan.get("weekly_summary", "")).splitlines()]
    for day in plan["daily_plans"]:
        lines += _day(day)
    return [*lines, "# 조언", *(f"- {tip}" for tip in plan["tips"])]


def _day(day: dict[str, Any]) -> list[str]:
    lines = [f"# {day.get('day_of_week', '')} ({day.get('total_calories', 0):g} kcal)"]
    for move in day.get("exercises") or []:
        rest = f", 휴식 {move.get('rest_seconds', 0)}초" if move.get("rest_seconds") else ""
        lines.append(f"- 운동: {move.get('name', '')} {move.get('sets', 1)}세트 × {move.get('reps', '')}{rest}")
    if not day.get("exercises"):
        lines.append("- 운동: 쉬는 날")
    for meal in day.get("meals") or []:
        amounts = f"단백질 {meal['protein_g']:g} g, 탄수화물 {meal['carbs_g']:g} g, 지방 {meal['fat_g']:g} g"
        lines.append(f"- {meal['meal_type']}: {', '.join(meal['foods'])} ({meal['calories']:g} kcal, {amounts})")
    return lines


def _prose(text: str) -> dict[str, Any]:
    return {
        "structured": False,
        "daily_plans": [],
        "weekly_summary": "",
        "weekly_goal": "",
        "tips": [],
        "text": text,
    }
