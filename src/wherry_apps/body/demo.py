"""The whole story with invented persons: sheets, types, reports, search, a week, questions, an older database.

Its tables are in schemas of their own, made anew each time, so that nobody's data is touched. No key, no network.
"""

from __future__ import annotations

import json as jsons
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import wherry
from wherry_apps.body.invented import BY_READER, IN_ENGLISH, MINSU, OLDER, SEOYEON, many
from wherry_apps.body.plans import lines_of
from wherry_apps.body.service import Body
from wherry_apps.body.settings import OFFLINE_EMBEDDER, Settings
from wherry_apps.body.upgrading import migrate
from wherry_apps.body.wishes import Goal, Preferences

SCHEMA, OLDER_SCHEMA = "body_demo", "body_demo_older"
_SHEETS = 300
Say = Callable[[str], None]


def demo(json: bool) -> int:
    """Play the story; print it as it goes, or one object at the end."""
    lines: list[str] = []
    told = play(lines.append if json else _print)
    return wherry.put_result(told, [f"\nDone in {told['seconds']} s. The tables are in the schema {SCHEMA}."], json)


def play(say: Say) -> dict[str, Any]:
    """Play the story and return what was found. Raises Integrity when a step does not end as it should."""
    started = time.perf_counter()
    with Body(settings=Settings(embedders=(OFFLINE_EMBEDDER,)), schema=SCHEMA) as body:
        _clear(body)
        body.db.upgrade()
        told = {**_shapes(body, say), **_months(body, say), **_week(body, say), **_import(body, say)}
    told |= _older(say)
    return {"seconds": round(time.perf_counter() - started, 1), **told}


def _print(text: str) -> None:
    wherry.put_result({}, [text], json=False)


def _clear(body: Body) -> None:
    with body.db.begin() as connection:
        for schema in (SCHEMA, OLDER_SCHEMA):
            connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


def _shapes(body: Body, say: Say) -> dict[str, Any]:
    say("1. One measurement, three ways to write it: the same types come out")
    user = body.people.add("local", "minsu", "minsu@example.org")["id"]
    found = []
    for name, sheet in (("flat", MINSU), ("read from a photo", BY_READER), ("in English", IN_ENGLISH)):
        read = body.records.read(sheet).measurements
        found.append((read["body_type1"], read["body_type2"]))
        say(f"   {name}: {', '.join(found[-1])}")
    _require(len(set(found)) == 1, f"the types differ: {found}")
    say("\n2. A sheet that cannot be right is refused field by field, and nothing is stored")
    try:
        body.records.read({**MINSU, "체지방률": None, "나이": 340})
    except wherry.BadRecord as error:
        say(f"   {', '.join(error.fields)}: refused")
        fields = error.fields
    _require(body.records.all(None, user) == [], "a refused sheet was stored")
    return {"types": list(found[0]), "refused": fields}


def _months(body: Body, say: Say) -> dict[str, Any]:
    say("\n3. Four months of one person: reports by rule, found again by meaning and by how new they are")
    user = body.people.add("local", "seoyeon", "seoyeon@example.org")["id"]
    now = datetime.now(UTC)
    for at, sheet in enumerate(SEOYEON):
        body.reports.analyse_sheet(
            None, user, body.records.read(sheet), "demo", record_date=now - timedelta(days=30 * (len(SEOYEON) - 1 - at))
        )
    with body.db.begin() as connection:
        # As if each had been written on the day of its sheet.
        connection.exec_driver_sql(
            "UPDATE analysis_reports r SET report_date = h.record_date FROM health_records h WHERE h.id = r.record_id"
        )
    before = body.retrieval.find(None, user, "상체 근육 부족")
    say(f"   before anything is embedded: {before.retrieval} ({before.notes[0]})")
    stored = body.embedding.fill().stored
    after = body.retrieval.find(None, user, "상체 근육 부족")
    say(f"   {stored[OFFLINE_EMBEDDER]} vectors stored; now by {after.retrieval}:")
    for one in after.reports:
        say(f"   ID: {one.report_id}, Similarity: {one.similarity:.3f}, score {one.score:.3f}")
    _require((before.retrieval, after.retrieval) == ("latest", "vector"), "the search did not go by vectors")
    return {"user_id": user, "reports": [one.report_id for one in after.reports], "vectors": stored}


def _week(body: Body, say: Say) -> dict[str, Any]:
    say("\n4. A week for her: three training days, a hurt knee, no dairy")
    user = 2
    wishes = Preferences(injuries=["왼쪽 무릎 통증"], dietary_restrictions=["유제품"], preferred_cuisine=["한식"])
    plan = body.plans.generate(None, user, [Goal(goal_type="체중감량", deadline="3개월")], wishes)
    lines = lines_of(plan["plan"])
    for line in lines[1:9]:
        say(f"   {line}")
    say(f"   ... plan {plan['id']}, {plan['start_date']} to {plan['end_date']}")
    _require(not any("스쿼트" in line or "치즈" in line for line in lines), "the plan holds what it must not hold")
    say("\n5. Questions about it, answered from its own text; a number alone is the menu")
    report = body.reports.all(None, user)[0]["id"]
    for subject, number, message in (("report", report, "내장지방은 어떤가요?"), ("plan", plan["id"], "1")):
        answer = body.talks.say(None, "report" if subject == "report" else "plan", number, message)["answer"]
        say(f"   {message} -> {answer.splitlines()[-1] if subject == 'report' else answer.splitlines()[0]}")
    return {"plan_id": plan["id"]}


def _import(body: Body, say: Say) -> dict[str, Any]:
    say(f"\n6. {_SHEETS} sheets of a gym, one of them damaged")
    user = body.people.add("local", "gym", "gym@example.org")["id"]
    started = time.perf_counter()
    lines = [jsons.dumps(sheet, ensure_ascii=False) for sheet in many(_SHEETS - 1)]
    done = body.importing.lines(None, [*lines, '{"성별": "남성"}'], user, "gym", (OFFLINE_EMBEDDER,))
    seconds = time.perf_counter() - started
    say(f"   {done.records} stored with report and vector in {seconds:.1f} s; line {done.failures[0]['line']} refused")
    _require((done.records, done.failed) == (_SHEETS - 1, 1), "the import did not end as it should")
    return {"imported": done.records}


def _older(say: Say) -> dict[str, Any]:
    say("\n7. A database of an earlier program comes up in place")
    with Body(schema=OLDER_SCHEMA) as body:
        with body.db.begin() as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA {OLDER_SCHEMA}")
            connection.exec_driver_sql(OLDER)
        done = migrate(body.db)
        for table, (before, after) in done.counts.items():
            say(f"   {table}: {before} rows before, {after} after")
        for one in done.unread:
            say(f"   the vector of report {one.report} {one.why}: left null")
        again = migrate(body.db)
        _require(done.changes != [] and again.changes == [], "a second run changed something")
        left = len(body.db.drift())
        say(f"   {len(done.changes)} changes; a second run: {len(again.changes)}; left to change: {left}")
        record = body.records.get(None, 1)
        say(f"   its first sheet, of {record['record_date'][:10]}, is still there")
    return {"changes": len(done.changes), "unread": len(done.unread)}


def _require(right: bool, what: str) -> None:
    if not right:
        raise wherry.Integrity(what, next="this is a bug: report it")
