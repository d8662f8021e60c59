"""What requests carry. A field that nobody knows is refused by name."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from wherry_apps.body.plain import Plain
from wherry_apps.body.ranking import TOP_K
from wherry_apps.body.service.retrieval import MOST_K
from wherry_apps.body.wishes import Goal, Preferences

MOST_ID = 2**31 - 1
Id = Annotated[int, Field(ge=1, le=MOST_ID)]
Name = Annotated[str, Field(min_length=1, max_length=100)]


class NewUser(Plain):
    """A person."""

    username: Name
    email: Annotated[str, Field(min_length=3, max_length=255)]


class Owned(Plain):
    """Whose a person is to be."""

    owner: Name


class Sheet(BaseModel):
    """A sheet of any shape, or for a correction the fields that change; whoever reads it names what is wrong."""

    model_config = ConfigDict(extra="forbid")
    measurements: dict[str, Any]


class NewRecord(Sheet):
    """A sheet of a person."""

    user_id: Id
    source: Name = "manual"
    record_date: datetime | None = None


class Analyse(Plain):
    """How a sheet is analysed."""

    enable_embedding: bool = True
    force: bool = False


class Ask(Plain):
    """A question among a person's reports."""

    user_id: Id
    query: Annotated[str, Field(min_length=1, max_length=20_000)]
    top_k: Annotated[int, Field(ge=1, le=MOST_K)] = TOP_K


class Said(Plain):
    """A message: a question, or one number of the menu."""

    message: Annotated[str, Field(min_length=1, max_length=4_000)]


class NewGoal(Goal):
    """A goal of a person."""

    user_id: Id
    goal_description: Annotated[str, Field(max_length=5_000)] | None = None
    preferences: Preferences | None = None
    health_specifics: dict[str, Any] | None = None

    def goal(self) -> Goal:
        """Return the goal alone."""
        return Goal.model_validate(self.model_dump(include=set(Goal.model_fields)))


class GoalChange(Plain):
    """What changes of a goal; a field that is not named stays, one that is null is cleared."""

    goal_type: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    goal_description: Annotated[str, Field(max_length=5_000)] | None = None
    target_weight: Annotated[float, Field(ge=20, le=300, allow_inf_nan=False)] | None = None
    target_body_fat: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = None
    target_muscle: Annotated[float, Field(gt=0, le=300, allow_inf_nan=False)] | None = None
    deadline: Annotated[str, Field(max_length=100)] | None = None
    priority: Annotated[str, Field(pattern="^(high|medium|low)$")] | None = None
    preferences: Preferences | None = None
    health_specifics: dict[str, Any] | None = None


class Generate(Plain):
    """How a week is planned. goals, preferences: those of the active goals where they are not given."""

    user_id: Id
    goals: Annotated[list[Goal], Field(max_length=20)] | None = None
    preferences: Preferences | None = None
    week_number: Id | None = None
    start_date: date | None = None
