"""Bars t1 and t2: 30 answers graded; 100,000 question vectors moved to Qdrant's engine, deep-verified."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import wherry
from bench.measure import Bar, timed
from wherry_apps.tutor.importing import read_paper
from wherry_apps.tutor.service import Tutor, open_service
from wherry_apps.tutor.switches import address_of

ROWS, DIMENSION = 100_000, 384
_SESSIONS, _LIMIT_MS, _LIMIT_S = 40, 50, 60
_PARTS = 20_000
_OPTIONS = "\n".join(f"{n}. {word}" for n, word in enumerate(("굽힘", "폄", "벌림", "모음", "돌림"), 1))


def run(folder: Path, rows: int, rounds: int) -> list[Bar]:
    """Measure both; the move once a round into an empty folder."""
    with open_service(schema="tutor_bench", check=False) as tutor:
        graded = _graded(tutor)
        moved = _moved(tutor, folder, min(rounds, 3))
    per_second = f"{ROWS:,} x {DIMENSION}, deep, {ROWS / float(np.median(moved)):,.0f}/s"
    return [
        Bar("t1", "tutor: 30 answers graded and stored", _LIMIT_MS, False, graded, f"{_SESSIONS} sessions", "ms"),
        Bar("t2", "tutor: pgvector -> Qdrant's engine, deep-verified", _LIMIT_S, False, moved, per_second, "s"),
    ]


def _graded(tutor: Tutor) -> tuple[float, ...]:
    """Return the milliseconds of each submit of a test of 30 questions."""
    rows = [
        {
            "question_id": f"B{n}", "content": f"문항 {n}", "options": {str(k): f"보기 {k}" for k in range(1, 6)},
            "correct_answer": str(n % 5 + 1), "subject": f"과목 {n % 3}", "area_name": f"영역 {n % 6}",
            "difficulty": n % 10 + 1, "points": 3.3 + n % 3,
        }
        for n in range(1, 31)
    ]  # fmt: skip
    paper = {"test_info": {"title": "bench", "total_questions": 30}, "questions": rows}
    made = tutor.import_paper(read_paper(paper, "bench.json"))
    tutor.approve(made["questions"], "bench")
    tutor.diagnosis.activate(made["test"])
    taken = []
    for number in range(_SESSIONS):
        sheet = tutor.diagnosis.start(made["test"], f"student-{number}")
        answers = {question["id"]: "2" for question in sheet["questions"]}
        seconds = timed(lambda s=sheet, a=answers: tutor.diagnosis.submit(s["session"], a, s["user"]))
        taken.append(seconds * 1000)
    return tuple(taken)


def _moved(tutor: Tutor, folder: Path, rounds: int) -> tuple[float, ...]:
    """Return the seconds of each move of a collection of its own."""
    space = wherry.Space(dimension=DIMENSION, metric=wherry.Metric.COSINE, provider="hash", model=f"hash:{DIMENSION}")
    source = address_of("pgvector", "bench", tutor.db)
    for part in _records():
        wherry.put(part, source, space)
    taken = []
    for number in range(rounds):
        target = folder / f"tutor-{number}"
        found = []
        taken.append(
            timed(
                lambda to=target, into=found: into.append(
                    tutor.moving.move("pgvector", f"qdrant:{to}#bench", "bench", f"hash:{DIMENSION}")
                )
            )
        )
        assert found[0].equal
        assert (found[0].written, found[0].verified) == (ROWS, "deep")
        shutil.rmtree(target)
    return tuple(taken)


def _records() -> Iterator[list[wherry.Record]]:
    draw = np.random.default_rng(7)
    for start in range(0, ROWS, _PARTS):
        vectors = draw.standard_normal((_PARTS, DIMENSION)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        yield [
            wherry.Record(
                str(n), vector, f"문항 {n}: 무릎관절의 움직임으로 옳은 것은?\n{_OPTIONS}",
                {
                    "question_id": n, "type": "question", "department": "물리치료학과", "subject": f"과목 {n % 9}",
                    "difficulty": n % 5 + 1, "question_type": "multiple_choice", "year": 2020 + n % 10,
                },
            )
            for n, vector in enumerate(vectors, start + 1)
        ]  # fmt: skip
