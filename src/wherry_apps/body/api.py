"""The endpoints of Body, under /api/body. A row of another owner is not there, in every list, search and prompt."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query

from wherry import OPERATES, READS, WRITES, Caller
from wherry_apps.body import app
from wherry_apps.body.asked import (
    MOST_ID,
    Analyse,
    Ask,
    Generate,
    GoalChange,
    Id,
    NewGoal,
    NewRecord,
    NewUser,
    Owned,
    Said,
    Sheet,
)  # fmt: skip
from wherry_apps.body.rules import body_types
from wherry_apps.body.service import Body

router = APIRouter(tags=["body"])
Reading = Annotated[Caller, Depends(READS)]
Writing = Annotated[Caller, Depends(WRITES)]
Operating = Annotated[Caller, Depends(OPERATES)]
Service = Annotated[Body, Depends(app.opened)]
Number = Annotated[int, Path(ge=1, le=MOST_ID)]
Person = Annotated[Id, Query(description="The person.")]
Limit = Annotated[int, Query(ge=1, le=100)]


def _whose(caller: Caller) -> str | None:
    """Return the owner whose rows a caller sees; an operator sees all."""
    return None if caller.operator else caller.tenant


@router.post("/users", status_code=201)
def add_user(asked: NewUser, body: Service, caller: Writing) -> dict[str, Any]:
    """Make a person who is the caller's."""
    return body.people.add(caller.tenant, asked.username, asked.email)


@router.get("/users")
def list_users(
    body: Service, caller: Reading, limit: Limit = 100, after: Annotated[int, Query(ge=0, le=MOST_ID)] = 0
) -> dict[str, Any]:
    """Return the caller's persons by id, those after one."""
    return {"users": body.people.all(_whose(caller), limit, after)}


@router.get("/users/{user_id}")
def get_user(user_id: Number, body: Service, caller: Reading) -> dict[str, Any]:
    """Return a person."""
    return body.people.get(_whose(caller), user_id)


@router.delete("/users/{user_id}", status_code=204)
def delete_user(user_id: Number, body: Service, caller: Writing) -> None:
    """Delete a person with every sheet, report, vector, goal, plan and chat."""
    body.delete_person(_whose(caller), user_id)


@router.put("/users/{user_id}/owner")
def give_user(user_id: Number, asked: Owned, body: Service, caller: Operating) -> dict[str, Any]:
    """Make a person another tenant's; for operators."""
    return body.people.give(user_id, asked.owner)


@router.post("/health-records", status_code=201)
def add_record(asked: NewRecord, body: Service, caller: Writing) -> dict[str, Any]:
    """Store a sheet, of any shape; what is wrong with it is listed field by field."""
    sheet = body.records.read(asked.measurements)
    return body.records.add(_whose(caller), asked.user_id, sheet, asked.source, asked.record_date)


@router.post("/health-records/validate")
def validate_record(asked: Sheet, body: Service, caller: Reading) -> dict[str, Any]:
    """Say what a sheet means; store nothing."""
    sheet = body.records.read(asked.measurements)
    return sheet.to_dict() | {"types": body_types(sheet.measurements, body.settings.limits).to_dict()}


@router.get("/health-records")
def list_records(user_id: Person, body: Service, caller: Reading, limit: Limit = 20) -> dict[str, Any]:
    """Return a person's sheets, newest first."""
    return {"records": body.records.all(_whose(caller), user_id, limit)}


@router.get("/health-records/user/{user_id}/latest")
def latest_record(user_id: Number, body: Service, caller: Reading) -> dict[str, Any]:
    """Return a person's newest sheet."""
    return body.records.latest(_whose(caller), user_id)


@router.get("/health-records/{record_id}")
def get_record(record_id: Number, body: Service, caller: Reading) -> dict[str, Any]:
    """Return a sheet."""
    return body.records.get(_whose(caller), record_id)


@router.patch("/health-records/{record_id}")
def correct_record(record_id: Number, asked: Sheet, body: Service, caller: Writing) -> dict[str, Any]:
    """Write some fields of a sheet anew; its first original stays."""
    return body.records.correct(_whose(caller), record_id, asked.measurements)


@router.delete("/health-records/{record_id}", status_code=204)
def delete_record(record_id: Number, body: Service, caller: Writing) -> None:
    """Delete a sheet with its reports."""
    body.delete_record(_whose(caller), record_id)


@router.post("/analysis/search")
def search_reports(asked: Ask, body: Service, caller: Reading) -> dict[str, Any]:
    """Return a person's own reports that fit a question: near and new, else the latest, and it says which."""
    return body.retrieval.find(_whose(caller), asked.user_id, asked.query, asked.top_k).to_dict()


@router.post("/analysis/{record_id}")
def analyse(record_id: Number, body: Service, caller: Writing, asked: Analyse | None = None) -> dict[str, Any]:
    """Return the report of a sheet, written when there is none yet or `force` asks for another."""
    wish = asked or Analyse()
    embedders = body.settings.embedders if wish.enable_embedding else ()
    return body.reports.analyse(_whose(caller), record_id, None, embedders, wish.force)


@router.get("/analysis")
def list_reports(user_id: Person, body: Service, caller: Reading, limit: Limit = 20) -> dict[str, Any]:
    """Return a person's reports, newest first."""
    return {"reports": body.reports.all(_whose(caller), user_id, limit)}


@router.get("/analysis/{report_id}")
def get_report(report_id: Number, body: Service, caller: Reading) -> dict[str, Any]:
    """Return a report."""
    return body.reports.get(_whose(caller), report_id)


@router.post("/analysis/{report_id}/chat")
def ask_report(report_id: Number, asked: Said, body: Service, caller: Writing) -> dict[str, Any]:
    """Answer a question about a report, from the report alone."""
    return body.talks.say(_whose(caller), "report", report_id, asked.message)


@router.get("/analysis/{report_id}/chat")
def report_talk(report_id: Number, body: Service, caller: Reading) -> dict[str, Any]:
    """Return what was said about a report, and the menu."""
    return body.talks.history(_whose(caller), "report", report_id)


@router.post("/goals", status_code=201)
def add_goal(asked: NewGoal, body: Service, caller: Writing) -> dict[str, Any]:
    """Set a goal."""
    return body.goals.add(
        _whose(caller), asked.user_id, asked.goal(), asked.goal_description, asked.preferences, asked.health_specifics
    )


@router.get("/goals")
def list_goals(user_id: Person, body: Service, caller: Reading) -> dict[str, Any]:
    """Return a person's goals, newest first."""
    return {"goals": body.goals.all(_whose(caller), user_id)}


@router.get("/goals/user/{user_id}/active")
def active_goals(user_id: Number, body: Service, caller: Reading) -> dict[str, Any]:
    """Return a person's goals that go on."""
    return {"goals": body.goals.all(_whose(caller), user_id, active=True)}


@router.get("/goals/{goal_id}")
def get_goal(goal_id: Number, body: Service, caller: Reading) -> dict[str, Any]:
    """Return a goal."""
    return body.goals.get(_whose(caller), goal_id)


@router.patch("/goals/{goal_id}")
def change_goal(goal_id: Number, asked: GoalChange, body: Service, caller: Writing) -> dict[str, Any]:
    """Change what is named; an explicit null clears it."""
    return body.goals.change(_whose(caller), goal_id, asked.model_dump(exclude_unset=True))


@router.post("/goals/{goal_id}/complete")
def complete_goal(goal_id: Number, body: Service, caller: Writing) -> dict[str, Any]:
    """End a goal."""
    return body.goals.complete(_whose(caller), goal_id)


@router.delete("/goals/{goal_id}", status_code=204)
def delete_goal(goal_id: Number, body: Service, caller: Writing) -> None:
    """Delete a goal."""
    body.goals.delete(_whose(caller), goal_id)


@router.post("/weekly-plans/generate", status_code=201)
def generate_plan(asked: Generate, body: Service, caller: Writing) -> dict[str, Any]:
    """Write and store a week, grounded in the person's own reports."""
    start: date | None = asked.start_date
    return body.plans.generate(_whose(caller), asked.user_id, asked.goals, asked.preferences, asked.week_number, start)


@router.get("/weekly-plans")
def list_plans(user_id: Person, body: Service, caller: Reading, limit: Limit = 10) -> dict[str, Any]:
    """Return a person's plans, newest first."""
    return {"plans": body.plans.all(_whose(caller), user_id, limit)}


@router.get("/weekly-plans/user/{user_id}/week/{week_number}")
def plan_of_week(user_id: Number, week_number: Number, body: Service, caller: Reading) -> dict[str, Any]:
    """Return a person's newest plan for a week."""
    return body.plans.week(_whose(caller), user_id, week_number)


@router.get("/weekly-plans/{plan_id}")
def get_plan(plan_id: Number, body: Service, caller: Reading) -> dict[str, Any]:
    """Return a plan."""
    return body.plans.get(_whose(caller), plan_id)


@router.post("/weekly-plans/{plan_id}/chat")
def ask_plan(plan_id: Number, asked: Said, body: Service, caller: Writing) -> dict[str, Any]:
    """Answer a question about a plan, from the plan alone."""
    return body.talks.say(_whose(caller), "plan", plan_id, asked.message)


@router.get("/weekly-plans/{plan_id}/chat")
def plan_talk(plan_id: Number, body: Service, caller: Reading) -> dict[str, Any]:
    """Return what was said about a plan, and the menu."""
    return body.talks.history(_whose(caller), "plan", plan_id)
