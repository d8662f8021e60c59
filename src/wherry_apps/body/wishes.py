"""What a person wants and can: goals and preferences, from a file, a request, or JSON that arrives inside a text."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, StringConstraints, ValidationError

import wherry
from wherry_apps.body.plain import Plain

Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]
Words = Annotated[list[Word], Field(max_length=50)]
KEEP = "건강유지"
LOSE, GAIN = "체중감량", "근육증가"
T = TypeVar("T", bound=BaseModel)


class Goal(Plain):
    """One goal. deadline: in words (`3개월`). target_weight, target_muscle: kg; target_body_fat: percent."""

    goal_type: Word
    target_weight: Annotated[float, Field(ge=20, le=300, allow_inf_nan=False)] | None = None
    target_body_fat: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = None
    target_muscle: Annotated[float, Field(gt=0, le=300, allow_inf_nan=False)] | None = None
    deadline: Annotated[str, StringConstraints(max_length=100)] | None = None
    priority: Literal["high", "medium", "low"] = "medium"


class Preferences(Plain):
    """How a person wants to train and eat. exercise_duration: minutes a day; exercise_frequency: days a week."""

    preferred_exercise_types: Words = Field(default_factory=list)
    exercise_frequency: Annotated[int, Field(ge=1, le=7)] = 3
    exercise_duration: Annotated[int, Field(ge=5, le=300)] = 60
    exercise_intensity: Literal["low", "medium", "high"] = "medium"
    dietary_restrictions: Words = Field(default_factory=list)
    preferred_cuisine: Words = Field(default_factory=list)
    disliked_foods: Words = Field(default_factory=list)
    meal_frequency: Annotated[int, Field(ge=2, le=6)] = 3
    health_conditions: Words = Field(default_factory=list)
    injuries: Words = Field(default_factory=list)
    medications: Words = Field(default_factory=list)


def read_goals(value: Any) -> list[Goal]:
    """Return goals from a list, one object, `{"goals": [...]}` or any of these as text. Raises BadRecord."""
    found = unwrapped(value, "goals")
    if isinstance(found, dict) and set(found) == {"goals"}:
        found = unwrapped(found["goals"], "goals")
    if found is None:
        return []
    several = found if isinstance(found, list) else [found]
    if len(several) > 20:
        raise _refused({"goals": "holds more than 20 goals"})
    return [_read(Goal, unwrapped(one, "goals"), f"goals.{at}.") for at, one in enumerate(several)]


def read_preferences(value: Any) -> Preferences:
    """Return preferences from an object, or one as text; the usual ones for None. Raises BadRecord."""
    found = unwrapped(value, "preferences")
    return Preferences() if found is None else _read(Preferences, found, "preferences.")


def unwrapped(value: Any, name: str) -> Any:
    """Return the object inside a text, what is no text as it is. Raises BadRecord for a text that is no JSON."""
    for _ in range(2):
        if not isinstance(value, str):
            break
        if not value.strip():
            return None
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise _refused({name: "is no JSON"}) from None
    return value


def faults(error: ValidationError, before: str = "") -> dict[str, str]:
    """Return what is wrong field by field, without the values."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return {before + ".".join(map(str, one["loc"])): one["msg"] for one in found}


def _read(model: type[T], value: Any, before: str) -> T:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _refused(faults(error, before)) from None


def _refused(wrong: dict[str, str]) -> wherry.BadRecord:
    listed = "; ".join(f"{name.rstrip('.')}: {why}" for name, why in wrong.items())
    return wherry.BadRecord(
        f"these fields cannot be taken: {listed}",
        fields=[name.rstrip(".") for name in wrong],
        left="nothing",
        next="correct them, then run the same again",
    )
