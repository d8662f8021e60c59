"""Columns that version 1 has no place for: what they say goes where it is looked for now, then they go."""

from __future__ import annotations

import json
from typing import Any

import wherry
from wherry_apps.body.legacy.catalog import Look, quoted

_SUPPLIED = "body_type_supplied"
_PLAN_TEXTS = ("weekly_plan", "plan", "content")


def fold(look: Look) -> dict[str, int]:
    """Fold every such column; return how many rows were added to which table."""
    _fold_types_of_records(look)
    _fold_types_of_reports(look)
    look.update(
        "goals that have ended are not active",
        "UPDATE user_goals SET is_active = 0 WHERE ended_at IS NOT NULL AND is_active IS DISTINCT FROM 0",
    )
    return {"weekly_plans": _fold_plans_of_goals(look)}


def fill_people(look: Look, rename_duplicates: bool) -> None:
    """Make names and mail addresses unique and present. Raises Refused where names stand twice."""
    missing = "'user-' || id"
    for column, made in (("username", missing), ("email", f"{missing} || '@unknown.invalid'")):
        look.update(f"users.{column} was null", f"UPDATE users SET {column} = {made} WHERE {column} IS NULL")
    owner = "owner, " if "owner" in look.columns("users") else ""
    for column in ("username", "email"):
        twice = look.rows(
            f"SELECT {column}, array_agg(id ORDER BY id) FROM users GROUP BY {owner}{column} HAVING count(*) > 1 "
            "ORDER BY 2"
        )
        if twice and not rename_duplicates:
            rows = "; ".join(", ".join(map(str, ids)) for _, ids in twice)
            raise wherry.Refused(
                f"the same {column} stands in several rows of users ({rows})",
                left="nothing was changed",
                next="run: wherry body migrate --rename-duplicates, or rename them yourself",
            )
        for value, ids in twice:
            _rename(look, column, value, ids)


def fold_plan_texts(look: Look) -> None:
    """Turn a text column of `weekly_plans` into plan_data."""
    held = look.columns("weekly_plans")
    for name in (name for name in _PLAN_TEXTS if name in held):
        if "plan_data" not in held:
            look.run("ALTER TABLE weekly_plans ADD COLUMN plan_data jsonb")
            held = look.columns("weekly_plans")
        rows = look.rows(f"SELECT id, {name}::text FROM weekly_plans WHERE plan_data IS NULL")
        for number, written in rows:
            plan = json.dumps(plan_of(written or ""), ensure_ascii=False)
            look.run("UPDATE weekly_plans SET plan_data = CAST(:p AS jsonb) WHERE id = :id", p=plan, id=number)
        look.change(f"weekly_plans.{name} went into plan_data", f"ALTER TABLE weekly_plans DROP COLUMN {name}")


def plan_of(written: str) -> dict[str, Any]:
    """Return a plan written as text in the shape plans are read in: its own object, else empty lists and the text."""
    try:
        found = json.loads(written)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    return {"daily_plans": [], "tips": [], "weekly_summary": "", "weekly_goal": "", "llm_raw_output": written}


def _rename(look: Look, column: str, value: str, ids: list[int]) -> None:
    name, at, domain = value.partition("@")
    for number, user in enumerate(ids[1:], 2):
        while True:
            made = f"{name}-{number}{at}{domain}"
            if not look.one(f"SELECT EXISTS (SELECT 1 FROM users WHERE {column} = :made)", made=made):
                break
            number += 1
        look.change(
            f"user {user}: {column} became another one", f"UPDATE users SET {column} = :made WHERE id = :id",
            made=made, id=user,
        )  # fmt: skip


def _types_in(look: Look, table: str) -> list[str]:
    return [name for name in look.columns(table) if name.startswith("body_type")]


def _object(names: list[str]) -> str:
    pairs = ", ".join(f"'{name}', {quoted(name)}::text" for name in names)
    return f"jsonb_strip_nulls(jsonb_build_object({pairs}))"


def _fold_types_of_records(look: Look) -> None:
    names = _types_in(look, "health_records")
    if not names:
        return
    look.run(
        f"UPDATE health_records SET measurements = measurements || jsonb_build_object('{_SUPPLIED}', {_object(names)}) "
        f"WHERE jsonb_typeof(measurements) = 'object' AND {_object(names)} <> '{{}}'::jsonb"
    )
    _drop(look, "health_records", names, "measurements")


def _fold_types_of_reports(look: Look) -> None:
    names = _types_in(look, "analysis_reports")
    if not names:
        return
    supplied = f"(SELECT DISTINCT ON (record_id) record_id, {_object(names)} AS types FROM analysis_reports "
    supplied += "WHERE record_id IS NOT NULL ORDER BY record_id, report_date DESC)"
    look.run(
        f"UPDATE health_records h SET measurements = h.measurements || jsonb_build_object('{_SUPPLIED}', s.types) "
        f"FROM {supplied} AS s WHERE s.record_id = h.id AND s.types <> '{{}}'::jsonb "
        f"AND jsonb_typeof(h.measurements) = 'object' AND NOT h.measurements ? '{_SUPPLIED}'"
    )
    # Of a report without a sheet nothing else would know them.
    look.run(
        "UPDATE analysis_reports SET embedding_info = coalesce(embedding_info, '{}'::jsonb) "
        f"|| jsonb_build_object('{_SUPPLIED}', {_object(names)}) "
        f"WHERE record_id IS NULL AND {_object(names)} <> '{{}}'::jsonb"
    )
    _drop(look, "analysis_reports", names, "the measurements of its sheet")


def _fold_plans_of_goals(look: Look) -> int:
    """Make a plan of each text in `user_goals.weekly_plan`."""
    if "weekly_plan" not in look.columns("user_goals"):
        return 0
    rows = look.rows(
        "SELECT user_id, (coalesce(started_at, created_at, now()) AT TIME ZONE 'UTC')::date, weekly_plan::text "
        "FROM user_goals WHERE nullif(btrim(weekly_plan::text), '') IS NOT NULL AND user_id IS NOT NULL ORDER BY id"
    )
    for user, start, written in rows:
        look.run(
            "INSERT INTO weekly_plans (user_id, week_number, start_date, end_date, plan_data) "
            "SELECT :user, coalesce(max(week_number), 0) + 1, :start, CAST(:start AS date) + 6, CAST(:plan AS jsonb) "
            "FROM weekly_plans WHERE user_id = :user",
            user=user, start=start, plan=json.dumps(plan_of(written), ensure_ascii=False),
        )  # fmt: skip
    _drop(look, "user_goals", ["weekly_plan"], f"weekly_plans ({len(rows)} plans)")
    return len(rows)


def _drop(look: Look, table: str, names: list[str], where: str) -> None:
    for name in names:
        look.change(f"{table}.{name} went into {where}", f"ALTER TABLE {table} DROP COLUMN {quoted(name)}")
