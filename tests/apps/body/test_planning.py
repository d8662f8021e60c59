"""A week by rule: how much, when, and nothing that speaks against it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wherry
from tests.apps.body.sheets_kit import FLAT
from wherry_apps.body.catalogue import FOODS, MOVES
from wherry_apps.body.dates import DAYS, today, week_after, week_from
from wherry_apps.body.planning import allowed_foods, allowed_moves, energy_of, main_goal, plan_week, training_days
from wherry_apps.body.plans import Week
from wherry_apps.body.wishes import KEEP, Goal, Preferences, read_goals, read_preferences

BASAL = 1752


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)))
def test_a_week_begins_on_the_monday_strictly_after(day: date) -> None:
    start, end = week_after(day)
    assert start.weekday() == 0
    assert timedelta(0) < start - day <= timedelta(7)
    assert end - start == timedelta(6)


def test_a_week_by_another_day_is_refused_and_the_zone_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(wherry.BadRecord, match="화요일"):
        week_from(date(2026, 3, 3))
    assert abs((today("Pacific/Kiritimati") - today("Pacific/Niue")).days) in (1, 2)
    monkeypatch.setenv("BODY_TIMEZONE", "Nowhere/At_all")
    with pytest.raises(wherry.Usage):
        today()


@pytest.mark.parametrize(
    ("goal", "days", "kcal", "share"),
    [
        ("체중감량", 3, BASAL * 1.375 - 400, (0.35, 0.40, 0.25)),
        ("근육증가", 4, BASAL * 1.55 + 400, (0.30, 0.45, 0.25)),
        ("건강유지", 3, BASAL * 1.375, (0.25, 0.50, 0.25)),
        ("체력향상", 5, BASAL * 1.55, (0.25, 0.50, 0.25)),
    ],
)
def test_energy(goal: str, days: int, kcal: float, share: tuple[float, float, float]) -> None:
    found = energy_of(FLAT, goal, days)
    assert found.kcal == pytest.approx(kcal, abs=1)
    grams = (found.protein_g * 4, found.carbs_g * 4, found.fat_g * 9)
    assert [gram / kcal for gram in grams] == pytest.approx(share, abs=0.001)


def test_energy_is_never_below_the_basal_rate() -> None:
    assert energy_of({**FLAT, "기초대사량": 900.5}, "체중감량", 1).kcal >= 900.5
    without = {key: value for key, value in FLAT.items() if key not in ("기초대사량", "체지방")}
    assert energy_of(without, KEEP, 3).kcal == pytest.approx((370 + 21.6 * 78.2 * 0.818) * 1.375, abs=1)


@pytest.mark.parametrize(
    ("frequency", "days"), [(1, [0]), (2, [0, 3]), (3, [0, 2, 4]), (4, [0, 1, 3, 5]), (7, list(range(7)))]
)
def test_training_days_are_spread(frequency: int, days: list[int]) -> None:
    assert training_days(frequency) == days


def test_the_most_urgent_goal_counts() -> None:
    goals = [Goal(goal_type="체중감량", priority="low"), Goal(goal_type="근육증가", priority="high")]
    assert main_goal(goals) == "근육증가"
    assert main_goal([]) == KEEP


@pytest.mark.parametrize(
    ("wishes", "gone"),
    [
        ({"dietary_restrictions": ["비건"]}, {"닭가슴살", "달걀", "치즈", "연어", "배추김치"}),
        ({"dietary_restrictions": ["유제품 알레르기"]}, {"치즈", "그릭 요거트"}),
        ({"dietary_restrictions": ["글루텐 프리"]}, {"오트밀", "통밀빵"}),
        ({"disliked_foods": ["토마토", "콩"]}, {"토마토", "두부", "검은콩"}),
        ({"disliked_foods": ["닭가슴살"]}, {"닭가슴살"}),
    ],
)
def test_what_may_not_be_eaten_is_not_planned(wishes: dict[str, Any], gone: set[str]) -> None:
    foods, notes = allowed_foods(Preferences(**wishes))
    assert not gone & {food.name for food in foods}
    assert notes == []


@pytest.mark.parametrize(
    ("wishes", "gone"),
    [
        ({"injuries": ["오른쪽 무릎 통증"]}, {"스쿼트", "런지", "달리기"}),
        ({"injuries": ["허리 디스크"]}, {"데드리프트", "버피"}),
        ({"health_conditions": ["고혈압"]}, {"달리기", "버피", "데드리프트"}),
    ],
)
def test_what_hurts_is_not_planned(wishes: dict[str, Any], gone: set[str]) -> None:
    moves, notes = allowed_moves(Preferences(**wishes))
    assert not gone & {move.name for move in moves}
    assert notes == []


def test_what_nobody_knows_is_said() -> None:
    wishes = Preferences(injuries=["견갑골 이상"], dietary_restrictions=["저포드맵"])
    _, notes = plan_week(FLAT, "표준형", [], wishes)
    assert len(notes) == 2


_WORDS = st.lists(
    st.sampled_from(["무릎", "허리", "비건", "콩", "견과", "고혈압", "어깨", "두부", "웨이트"]), max_size=3
)


@given(
    st.builds(
        Preferences,
        exercise_frequency=st.integers(1, 7),
        exercise_duration=st.integers(5, 300),
        exercise_intensity=st.sampled_from(["low", "medium", "high"]),
        meal_frequency=st.integers(2, 6),
        dietary_restrictions=_WORDS,
        disliked_foods=_WORDS,
        injuries=_WORDS,
        preferred_exercise_types=_WORDS,
        health_conditions=_WORDS,
    ),
    st.sampled_from(["표준형", "하체발달형", "상체비만형", "알 수 없음"]),
)
def test_every_week_has_seven_days_and_keeps_to_the_wishes(wishes: Preferences, leaning: str) -> None:
    foods, moves = ({one.name for one in found} for found in (allowed_foods(wishes)[0], allowed_moves(wishes)[0]))
    week, _ = plan_week(FLAT, leaning, [Goal(goal_type="체중감량")], wishes)
    assert Week.model_validate(week.model_dump()) == week
    assert [day.day_of_week for day in week.daily_plans] == list(DAYS)
    assert sum(bool(day.exercises) for day in week.daily_plans) == wishes.exercise_frequency
    for day in week.daily_plans:
        assert len(day.meals) == wishes.meal_frequency
        assert day.total_calories == sum(meal.calories for meal in day.meals) >= BASAL
        assert {food for meal in day.meals for food in meal.foods} <= foods
        assert {move.name for move in day.exercises} <= moves


def test_the_catalogue_is_whole() -> None:
    assert len({food.name for food in FOODS}) == len(FOODS)
    assert len({move.name for move in MOVES}) == len(MOVES)


def test_goals_and_preferences_may_arrive_inside_a_text() -> None:
    assert read_goals('[{"goal_type": "체중감량", "target_weight": 70, "deadline": "3개월", "priority": "high"}]')[
        0
    ].deadline
    assert read_goals({"goals": '[{"goal_type": "x"}]'}) == [Goal(goal_type="x")]
    assert read_goals('"[{\\"goal_type\\": \\"x\\"}]"') == [Goal(goal_type="x")]
    assert read_preferences('{"meal_frequency": 4}').meal_frequency == 4
    assert read_preferences(None) == Preferences()


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ([{"goal_type": ""}], ["goals.0.goal_type"]),
        (
            [{"goal_type": "x", "priority": "urgent", "target_weight": "viel"}],
            ["goals.0.target_weight", "goals.0.priority"],
        ),
        ("{", ["goals"]),
        ([3], ["goals.0"]),
    ],
)
def test_goals_that_are_none_are_named(value: Any, fields: list[str]) -> None:
    with pytest.raises(wherry.BadRecord) as caught:
        read_goals(value)
    assert caught.value.fields == fields
