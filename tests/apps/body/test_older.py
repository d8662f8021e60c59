"""Databases of earlier programs come up in place, whole or not at all, and a second time nothing changes."""

from __future__ import annotations

import pytest

import wherry
from tests.apps.body import older
from wherry_apps.body.database import Database
from wherry_apps.body.legacy import Upgrade
from wherry_apps.body.service import Body, database
from wherry_apps.body.upgrading import migrate

COUNTED = ("users", "health_records", "analysis_reports", "user_goals")


def _brought(url: str, **wishes: bool) -> Upgrade:
    db = database(url)
    try:
        return migrate(db, **wishes)
    finally:
        db.close()


@pytest.fixture(scope="session")
def fresh_shape() -> dict[str, list]:  # type: ignore[type-arg]
    """The shape of a database that this version made, kept once it is known."""
    return {}


@pytest.mark.parametrize("variant", older.VARIANTS)
def test_every_variant_comes_up_and_keeps_its_rows(
    database_url: str,
    variant: str,
    fresh_shape: dict[str, list],  # type: ignore[type-arg]
) -> None:
    older.fill(database_url, older.VARIANTS[variant])
    dry = _brought(database_url, dry_run=True)
    before = older.shape(database_url)
    done = _brought(database_url)
    assert done.changes
    assert dry.changes == done.changes
    assert before != older.shape(database_url)
    for table, (was, now) in done.counts.items():
        assert was == now or (variant, table) == ("body types", "weekly_plans")
    again = _brought(database_url)
    assert (again.changes, again.unread) == ([], [])
    db = database(database_url)
    assert db.drift() == []
    assert db.check()["missing_indexes"] == []
    db.close()
    # Whatever it was before, it is what `upgrade head` makes of an empty database.
    whole = fresh_shape.setdefault("shape", older.shape(database_url))
    assert older.shape(database_url) == whole


@pytest.mark.parametrize("variant", ["nothing", "other names"])
def test_upgrade_head_makes_the_same(
    database_url: str,
    variant: str,
    fresh_shape: dict[str, list],  # type: ignore[type-arg]
) -> None:
    older.fill(database_url, older.VARIANTS[variant])
    db = database(database_url)
    db.upgrade()
    assert db.drift() == []
    db.close()
    assert older.shape(database_url) == fresh_shape.setdefault("shape", older.shape(database_url))
    assert _brought(database_url).changes == []


def test_times_and_ends_survive(database_url: str) -> None:
    older.fill(database_url, older.PSYCOPG2)
    _brought(database_url)
    zone = "AT TIME ZONE 'UTC'"
    assert [
        str(row[0]) for row in older.rows(database_url, f"SELECT record_date {zone} FROM health_records ORDER BY id")
    ] == [
        "2026-01-05 08:30:00",
        "2026-01-06 09:00:00",
    ]
    assert older.rows(database_url, "SELECT is_active FROM user_goals ORDER BY id") == [(1,), (0,)]
    with Body(database_url) as body:
        assert [one["goal_type"] for one in body.goals.all(None, 1, active=True)] == ["체중감량"]
        found = body.retrieval.find(None, 1, "체형 분석")
        assert (found.retrieval, found.reports[-1].text) == ("latest", "체형 분석: 상체 근육이 부족합니다")


@pytest.mark.parametrize("variant", ["one vector", "text vectors"])
def test_vectors_go_where_their_length_belongs_and_are_found(database_url: str, variant: str) -> None:
    older.fill(database_url, older.VARIANTS[variant])
    done = _brought(database_url)
    filled = older.rows(
        database_url,
        "SELECT id, embedding_1536 IS NOT NULL, embedding_1024 IS NOT NULL FROM analysis_reports ORDER BY id",
    )
    assert filled[0] == (1, True, variant == "text vectors")
    assert filled[1:] == [(2, False, False), (3, False, False)]
    if variant == "text vectors":
        assert [(one.report, one.column) for one in done.unread] == [(2, "embedding_1536"), (3, "embedding_1536")]
    with Database(database_url) as db:
        (hit,) = db.search_similar_analyses(1, [0.5] * 1536)
    assert (hit["id"], round(hit["similarity"], 3)) == (1, 1.0)


def test_types_and_plans_in_columns_of_their_own_go_where_they_are_looked_for(database_url: str) -> None:
    older.fill(database_url, older.BODY_TYPES)
    _brought(database_url)
    with Body(database_url) as body:
        record = body.records.get(None, 1)
        assert record["measurements"]["body_type_supplied"] == {"body_type1": "근육부족형", "body_type2": "표준형"}
        (plan,) = body.plans.all(None, 1)
        assert (plan["plan"]["structured"], plan["plan"]["text"]) == (False, "월요일에는 걷습니다")


def test_tables_of_other_names(database_url: str) -> None:
    older.fill(database_url, older.OTHER_NAMES)
    _brought(database_url)
    with Body(database_url) as body:
        ended, goal = body.goals.all(None, 1)
        assert (goal["preferences"], goal["health_specifics"]) == ({"exercise_frequency": 4}, "무릎이 아픔")
        assert (goal["is_active"], ended["is_active"]) == (1, 0)
        assert body.plans.all(None, 1)[0]["plan"]["text"] == "걷기 30분"
        assert len(body.reports.all(None, 1)) == 2


def test_names_that_stand_twice_are_refused_unless_renaming_is_asked_for(database_url: str) -> None:
    twice = older.PSYCOPG2.replace("VARCHAR(100) UNIQUE NOT NULL, email", "VARCHAR(100) NOT NULL, email")
    older.fill(database_url, twice, "INSERT INTO users (username, email) VALUES ('kim', 'k2@example.org')")
    before = older.shape(database_url)
    with pytest.raises(wherry.Refused, match="1, 3") as caught:
        _brought(database_url)
    assert caught.value.exit_code == 3
    assert older.shape(database_url) == before
    _brought(database_url, rename_duplicates=True)
    assert older.rows(database_url, "SELECT username FROM users ORDER BY id") == [("kim",), ("lee",), ("kim-2",)]


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("ALTER TABLE health_records ALTER measurements TYPE text;"
         " UPDATE health_records SET measurements = '{broken' WHERE id = 2", "health_records.measurements"),
        ("UPDATE analysis_reports SET user_id = NULL WHERE id = 2", "analysis_reports.user_id"),
        ("ALTER TABLE user_goals ALTER ended_at TYPE text; UPDATE user_goals SET ended_at = 'bald' WHERE id = 1",
         "user_goals.ended_at"),
    ],
)  # fmt: skip
def test_a_row_that_fits_nowhere_is_listed_and_nothing_changes(database_url: str, damage: str, named: str) -> None:
    older.fill(database_url, older.PSYCOPG2, damage)
    before = older.shape(database_url)
    with pytest.raises(wherry.BadRecord) as caught:
        _brought(database_url)
    assert caught.value.exit_code == 5
    assert caught.value.fields == [named]
    assert "hunter2" not in f"{caught.value}{caught.value.to_dict()}"
    assert older.shape(database_url) == before


def test_both_names_of_a_table_are_refused(database_url: str) -> None:
    older.fill(database_url, older.PSYCOPG2, "CREATE TABLE user_details (id serial PRIMARY KEY)")
    with pytest.raises(wherry.Refused, match="user_details and user_goals"):
        _brought(database_url)


def test_both_names_of_a_column_keep_when_it_was_measured(database_url: str) -> None:
    older.fill(database_url, older.PSYCOPG2, "ALTER TABLE health_records ADD record_date timestamp DEFAULT now()")
    _brought(database_url)
    assert str(
        older.rows(database_url, "SELECT record_date AT TIME ZONE 'UTC' FROM health_records ORDER BY id")[0][0]
    ) == ("2026-01-05 08:30:00")
    assert _brought(database_url).changes == []


def test_a_database_that_was_brought_up_goes_on(database_url: str) -> None:
    older.fill(database_url, older.OTHER_NAMES)
    _brought(database_url)
    with Body(database_url) as body:
        body.require_tables()
        made = body.people.add("local", "park", "park@example.org")
        assert made["id"] == 3
        assert body.embedding.fill(["hash:1024"]).stored == {"hash:1024": 3}
        assert body.retrieval.find(None, 1, "상체 근육").retrieval == "vector"
        assert body.plans.generate(None, 1)["week_number"] == 2


def test_init_does_not_touch_an_earlier_programs_tables(database_url: str) -> None:
    from wherry.cli import main

    older.fill(database_url, older.PSYCOPG2)
    before = older.shape(database_url)
    assert main(["body", "init", "--db-url", database_url]) == 3
    assert older.shape(database_url) == before
