"""A week by rule: how much, what is left after everything that speaks against it, and seven days of that.

kcal = basal rate x 1.375, from four training days on x 1.55; 400 less to lose weight, 400 more to gain muscle, never
below the basal rate. Training days are spread over the week, and what is weaker comes first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import wherry
from wherry_apps.body import catalogue as known
from wherry_apps.body.catalogue import FOODS, MOVES, Food, Move
from wherry_apps.body.dates import DAYS
from wherry_apps.body.plans import DayPlan, Exercise, Meal, Week
from wherry_apps.body.rules import number
from wherry_apps.body.sheets import fat_free_mass
from wherry_apps.body.wishes import GAIN, KEEP, LOSE, Goal, Preferences

VERSION = "rules-1"
_MODERATE, _ACTIVE, _ACTIVE_FROM, _STEP = 1.375, 1.55, 4, 400
# Protein, carbohydrate, fat: shares of the energy.
_SHARES = {LOSE: (0.35, 0.40, 0.25), GAIN: (0.30, 0.45, 0.25)}
_USUAL_SHARE = (0.25, 0.50, 0.25)
_KCAL = (4, 4, 9)
_PRIORITIES = ("high", "medium", "low")
_MEALS: dict[int, tuple[tuple[str, float], ...]] = {
    2: (("아침", 0.5), ("저녁", 0.5)),
    3: (("아침", 0.3), ("점심", 0.4), ("저녁", 0.3)),
    4: (("아침", 0.25), ("점심", 0.35), ("간식", 0.1), ("저녁", 0.3)),
    5: (("아침", 0.25), ("오전 간식", 0.1), ("점심", 0.3), ("오후 간식", 0.1), ("저녁", 0.25)),
    6: (("아침", 0.2), ("오전 간식", 0.1), ("점심", 0.3), ("오후 간식", 0.1), ("저녁", 0.2), ("저녁 간식", 0.1)),
}
# Intensity -> sets, repetitions, seconds of rest.
_WORK = {"low": (2, "15회", 60), "medium": (3, "12회", 60), "high": (4, "8회", 90)}
_MINUTES_A_MOVE, _LEAST_MOVES, _MOST_MOVES = 10, 2, 8


@dataclass(frozen=True)
class Energy:
    """What a day holds. kcal: of energy; the others in grams."""

    kcal: int
    protein_g: float
    carbs_g: float
    fat_g: float


def energy_of(measurements: Mapping[str, Any], goal: str, training_days: int) -> Energy:
    """Return what a day holds. Raises BadRecord when the sheet does not tell the basal rate."""
    basal = basal_rate(measurements)
    step = {LOSE: -_STEP, GAIN: _STEP}.get(goal, 0)
    kcal = max(basal, basal * (_ACTIVE if training_days >= _ACTIVE_FROM else _MODERATE) + step)
    grams = [kcal * share / per for share, per in zip(_SHARES.get(goal, _USUAL_SHARE), _KCAL, strict=True)]
    # Never below the basal rate, not even by rounding.
    return Energy(-int(-kcal // 1), *(round(gram, 1) for gram in grams))


def basal_rate(measurements: Mapping[str, Any]) -> float:
    """Return kcal a day at rest: as printed, else 370 + 21.6 per kilogram without fat. Raises BadRecord."""
    printed, mass = number(measurements, "기초대사량"), fat_free_mass(measurements)
    if printed:
        return printed
    if mass is None:
        raise wherry.BadRecord(
            "the sheet does not tell the basal metabolic rate", fields=["기초대사량"], left="nothing"
        )
    return 370 + 21.6 * mass


def main_goal(goals: Sequence[Goal]) -> str:
    """Return what the week is for: the first of the most urgent goals."""
    urgent = sorted(goals, key=lambda goal: _PRIORITIES.index(goal.priority))
    return urgent[0].goal_type if urgent else KEEP


def training_days(frequency: int) -> list[int]:
    """Return which days of the week are for training, 0 for Monday: spread out."""
    return [at * len(DAYS) // frequency for at in range(frequency)]


def allowed_foods(wishes: Preferences) -> tuple[list[Food], list[str]]:
    """Return the foods that restrictions and dislikes leave, liked cuisines first, and what a reader must know."""
    barred: set[str] = set()
    words, unknown = list(wishes.disliked_foods), []
    for restriction in wishes.dietary_restrictions:
        held = [holds for word, holds in known.RESTRICTIONS.items() if word in restriction]
        barred.update(*held)
        words.append(restriction)
        if not held and not any(_names(restriction, food) for food in FOODS):
            unknown.append(f"식이 제한 '{restriction}'은(는) 목록에 없어 걸러내지 못했습니다")
    for word in wishes.disliked_foods:
        barred.update(*(holds for key, holds in known.RESTRICTIONS.items() if word == key or word in holds))
    left = [f for f in FOODS if not f.holds & barred and not any(_names(word, f) for word in words)]
    return sorted(left, key=lambda food: food.cuisine not in wishes.preferred_cuisine), unknown


def allowed_moves(wishes: Preferences) -> tuple[list[Move], list[str]]:
    """Return the moves that injuries and conditions leave, liked kinds first, and what a reader must know."""
    hurt = {part for part in known.PARTS for injury in wishes.injuries if part in injury}
    unknown = [
        f"부상 '{injury}'은(는) 목록에 없어 걸러내지 못했습니다: 시작하기 전에 전문가와 상의하십시오"
        for injury in wishes.injuries
        if not any(part in injury for part in known.PARTS)
    ]
    gentle = any(
        word in condition for word in known.GENTLE for condition in (*wishes.health_conditions, *wishes.injuries)
    )
    if gentle or wishes.exercise_intensity == "low":
        hurt.add(known.HARD)
    left = [move for move in MOVES if not move.strains & hurt]
    return sorted(left, key=lambda move: not _liked(move, wishes)), unknown


def plan_week(
    measurements: Mapping[str, Any], body_type2: str, goals: Sequence[Goal], wishes: Preferences
) -> tuple[Week, list[str]]:
    """Return a week and what a reader must know. Raises Refused when nothing is left to eat."""
    goal, (foods, notes), (moves, more) = main_goal(goals), allowed_foods(wishes), allowed_moves(wishes)
    if not foods:
        raise wherry.Refused(
            "no food of the list is left after restrictions and dislikes", left="nothing", next="take some of them back"
        )
    energy = energy_of(measurements, goal, wishes.exercise_frequency)
    training = training_days(wishes.exercise_frequency)
    days = [
        _day(day, training.index(day) if day in training else None, energy, foods, moves, body_type2, wishes)
        for day in range(len(DAYS))
    ]
    summary = f"{goal}을(를) 위한 한 주: 운동 {len(training)}일, 하루 {energy.kcal} kcal."
    tips = ["통증이 있으면 멈추고 쉽니다.", "물을 자주 마십니다.", "같은 시각에 같은 조건으로 다시 잽니다."]
    if wishes.medications or wishes.health_conditions:
        tips.append("복용하는 약과 질환이 있으므로 시작하기 전에 의사와 상의하십시오.")
    week = Week(daily_plans=days, weekly_summary=summary, weekly_goal=goal, tips=tips)
    return week, [*notes, *more]


def against(week: Week, wishes: Preferences) -> list[str]:
    """Return what in a week, whoever wrote it, the wishes speak against, as far as the catalogue knows it."""
    foods, moves = ({one.name for one in found} for found in (allowed_foods(wishes)[0], allowed_moves(wishes)[0]))
    barred = {food.name for food in FOODS} - foods | set(wishes.disliked_foods) | set(wishes.dietary_restrictions)
    eaten = {food for day in week.daily_plans for meal in day.meals for food in meal.foods}
    done = {move.name for day in week.daily_plans for move in day.exercises}
    wrong = [food for food in sorted(eaten) if any(word in food for word in barred)]
    wrong += [name for name in sorted(done) if any(one.name in name for one in MOVES if one.name not in moves)]
    return [f"계획에 제한과 맞지 않는 것이 있습니다: {', '.join(wrong)}"] if wrong else []


def _day(
    day: int, session: int | None, energy: Energy, foods: Sequence[Food], moves: Sequence[Move], leaning: str,
    wishes: Preferences,
) -> DayPlan:  # fmt: skip
    exercises = [] if session is None else _session(session, moves, leaning, wishes)
    meals = _meals(day, energy, foods, wishes.meal_frequency)
    return DayPlan(
        day_of_week=DAYS[day],
        exercises=exercises,
        meals=meals,
        total_calories=sum(meal.calories for meal in meals),
        notes="쉬는 날" if session is None else None,
    )


def _session(session: int, moves: Sequence[Move], leaning: str, wishes: Preferences) -> list[Exercise]:
    """Return one day's exercises: of the weaker half first, one for the core, one for the whole body."""
    halves = [known.UPPER, known.LOWER] if leaning.startswith("하체") else [known.LOWER, known.UPPER]
    wanted = max(_LEAST_MOVES, min(_MOST_MOVES, wishes.exercise_duration // _MINUTES_A_MOVE))
    chosen: list[Move] = []
    for target, count in ((halves[session % 2], max(1, wanted - 2)), (known.CORE, 1), (known.WHOLE, 1)):
        pool = [move for move in moves if move.target == target]
        liked = [move for move in pool if _liked(move, wishes)]
        # Another beginning each time, so that the week is not one day three times.
        turned = _turned(liked, session) + _turned([move for move in pool if move not in liked], session)
        chosen += turned[:count]
    rest = [move for move in moves if move not in chosen]
    return [_exercise(move, wishes) for move in (*chosen, *rest)[:wanted]]


def _turned(moves: list[Move], by: int) -> list[Move]:
    start = by % len(moves) if moves else 0
    return moves[start:] + moves[:start]


def _liked(move: Move, wishes: Preferences) -> bool:
    return any(kind in (move.category, move.name, move.target) for kind in wishes.preferred_exercise_types)


def _exercise(move: Move, wishes: Preferences) -> Exercise:
    sets, reps, rest = _WORK[wishes.exercise_intensity]
    if move.category in (known.CARDIO, known.STRETCH):
        minutes = max(5, min(30, wishes.exercise_duration // 3))
        sets, reps, rest = 1, f"{minutes}분", 0
    return Exercise(
        name=move.name, category=move.category, target_muscle=move.target, sets=sets, reps=reps, rest_seconds=rest
    )


def _meals(day: int, energy: Energy, foods: Sequence[Food], frequency: int) -> list[Meal]:
    meals, rest = [], energy.kcal
    for at, (name, share) in enumerate(_MEALS[frequency]):
        last = at + 1 == frequency
        kcal = rest if last else round(energy.kcal * share)
        rest -= kcal
        part = kcal / energy.kcal
        meals.append(
            Meal(
                meal_type=name,
                foods=_dishes(day * frequency + at, foods, small="간식" in name),
                calories=kcal,
                protein_g=round(energy.protein_g * part, 1),
                carbs_g=round(energy.carbs_g * part, 1),
                fat_g=round(energy.fat_g * part, 1),
            )
        )
    return meals


def _dishes(turn: int, foods: Sequence[Food], small: bool) -> list[str]:
    """Return the foods of a meal: one of each role that is left, another one each time."""
    roles = (known.PROTEIN, known.FAT) if small else (known.CARB, known.PROTEIN, known.GREEN, known.FAT)
    by_role = {role: [food for food in foods if food.role == role] for role in roles}
    found = [left[(turn + at) % len(left)].name for at, left in enumerate(by_role.values()) if left]
    return found or [foods[turn % len(foods)].name]


def _names(word: str, food: Food) -> bool:
    plain = word.replace(" ", "")
    return bool(plain) and (plain in food.name.replace(" ", "") or food.name.replace(" ", "") in plain)
