"""`wherry tutor demo`: the whole story on a small question bank. No key, no network; tables and files of its own.

A professor imports and approves; a student takes a test and studies; an operator leads the vectors from PostgreSQL to
Qdrant's engine and back, and learns what the figures are asked for.
"""

from __future__ import annotations

import json as jsons
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import text

from wherry import BadRecord, NotVerified, put_result
from wherry_apps.tutor import documents
from wherry_apps.tutor.comparing import Comparing
from wherry_apps.tutor.hardware import hardware
from wherry_apps.tutor.importing import read_file, read_paper
from wherry_apps.tutor.service import Tutor, database, open_service
from wherry_apps.tutor.switches import FOLDER, folder, vector_schema

DATA = Path(__file__).parent / "data"
SCHEMA, STUDENT, PROFESSOR = "tutor_demo", "민지", "김교수"
_OURS = (
    "WHERRY_TUTOR_LLM", "WHERRY_TUTOR_STORE", "WHERRY_TUTOR_EMBEDDER", "QDRANT_HOST", "QDRANT_COLLECTION_NAME",
    "EMBEDDING_BATCH_SIZE", "DATABASE_URL",
)  # fmt: skip
_PAID = "openai:gpt-4o-mini"
# What the student gets wrong: every other question of one area.
_WEAK = "신경계통"
# Which muscle bends the knee.
_EXPLAINED = 6


def play(json: bool) -> int:
    """Play the story and print it; what it made is removed at the end."""
    started = time.perf_counter()
    told: dict[str, Any] = {}
    lines: list[str] = []
    with _apart(), _opened() as tutor:
        for step in (_machine, _bank, _search, _test, _study, _move, _retire, _back):
            lines += [*step(tutor, told), ""]
    told["seconds"] = round(time.perf_counter() - started, 1)
    lines.append(f"{told['seconds']} s, offline. Your own files: wherry tutor import FILE ...")
    return put_result(told, lines, json)


def _machine(tutor: Tutor, told: dict[str, Any]) -> Iterator[str]:
    found = told["hardware"] = hardware()
    fitting = [one["model"] for one in found["models"] if one["fits"]]
    yield f"1. This machine: tier {found['tier']}; fits: {', '.join(fitting) or 'none of the three models'}."


def _bank(tutor: Tutor, told: dict[str, Any]) -> Iterator[str]:
    bad = jsons.loads((DATA / "exam-2030.json").read_text(encoding="utf-8"))
    bad["questions"][3]["correct_answer"] = "7"
    try:
        tutor.import_paper(read_paper(bad, "typo.json"))
    except BadRecord as error:
        told["refused"] = error.what
        yield f"2. A file with a typing error is refused whole: {error.what}"
    exam = tutor.import_paper(read_file(DATA / "exam-2030.json"))
    test = told["test"] = tutor.import_paper(read_file(DATA / "diagnosis.json"))
    found = told["approved"] = tutor.approve(tutor.bank.pending(), PROFESSOR)
    tutor.diagnosis.activate(test["test"])
    yield f"   {exam['added']} past questions and a test of {test['added']} are imported, approved and indexed: "
    yield f"   {len(found['approved'])} points, the right answers in none of them."


def _search(tutor: Tutor, told: dict[str, Any]) -> Iterator[str]:
    found = told["search"] = tutor.searching.search("무릎 관절", department="물리치료학과", k=3)
    yield f'3. search "무릎 관절" (similarity at least {found["threshold"]:g}):'
    for hit in found["hits"]:
        yield f"   {hit['similarity']:.2f}  {hit['text'].splitlines()[0]}"


def _test(tutor: Tutor, told: dict[str, Any]) -> Iterator[str]:
    sheet = tutor.diagnosis.start(told["test"]["test"], STUDENT)
    answers = {}
    for question in sheet["questions"]:
        key = tutor.bank.get(question["id"])["correct_answer"]
        wrong = question["area"] == _WEAK and question["position"] % 3
        answers[question["id"]] = str(int(key) % 5 + 1) if wrong else key
    found = told["graded"] = tutor.diagnosis.submit(sheet["session"], answers, STUDENT)
    yield (
        f"4. {STUDENT}: {found['percentage']:g} %, {found['level']}, learning level {found['learning_level']:.2f}, "
        f"weak: {', '.join(found['weak'])}"
    )
    told["recommended"] = tutor.searching.recommended(STUDENT, k=3)["recommended"]
    for one in told["recommended"]:
        yield f"   next: {one['content']} ({one['reason']})"


def _study(tutor: Tutor, told: dict[str, Any]) -> Iterator[str]:
    tutor.add_document("무릎관절 재활 요약", documents.read(DATA / "knee.md"), department="물리치료학과")
    found = told["explained"] = tutor.explain(_EXPLAINED, STUDENT)
    yield "5. Explained from the study document, without a model:"
    yield from (f"   {line}" for line in found["explanation"].splitlines())
    draft = told["drafted"] = tutor.drafting.draft("십자인대와 정강뼈", PROFESSOR, "물리치료학과")
    yield f"   A drafted question, {draft['approval_status']}: {draft['content']}"


def _move(tutor: Tutor, told: dict[str, Any]) -> Iterator[str]:
    made = told["checkpoint"] = tutor.moving.checkpoint("week-2", "before the move")
    found = tutor.moving.move("pgvector", "qdrant")
    told["moved"] = found.to_dict()
    yield f"6. Checkpoint {made['name']}: {made['points']} points. Then pgvector -> Qdrant's engine:"
    yield (
        f"   {found.written} written, checked {found.verified}, {'equal' if found.equal else 'NOT equal'}, "
        f"overlap@10 {found.overlap}"
    )
    bench = told["benchmark"] = Comparing(tutor.resources, tutor.moving).stores("pgvector", "qdrant")
    recall = bench["new"]["recall"]["mean"]
    yield f"   recall@10 of the new store {recall:.3f}, measured on {bench['questions']} questions"


def _retire(tutor: Tutor, told: dict[str, Any]) -> Iterator[str]:
    tutor.moving.switch(store="qdrant")
    told["retired"] = tutor.moving.retire("pgvector")
    yield "7. The figures are there, so pgvector may be retired; its data stays."
    try:
        tutor.moving.retire(_PAID)
    except NotVerified as error:
        told["not_retired"] = error.what
        yield f"   {_PAID} may not: {error.what}."
        yield f"   With a key and Ollama: {error.next.replace('offline', 'ollama:llama3.1:8b')}"


def _back(tutor: Tutor, told: dict[str, Any]) -> Iterator[str]:
    found = told["rolled_back"] = tutor.moving.rollback("week-2")
    yield f"8. And back at {found['checkpoint']}: {found['points']} points, {found['verified']}, store pgvector."


@contextmanager
def _opened() -> Iterator[Tutor]:
    """Open a Tutor with tables of its own, and remove them again."""
    _clear()
    tutor = open_service(schema=SCHEMA)
    try:
        yield tutor
    finally:
        tutor.close()
        _clear()


def _clear() -> None:
    db = database(schema=SCHEMA)
    try:
        with db.begin() as connection:
            for schema in (SCHEMA, vector_schema(db)):
                connection.execute(text(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE'))
    finally:
        db.close()


@contextmanager
def _apart() -> Iterator[None]:
    """Let local stores and archives go into a folder of the demo, and the user's switches mean nothing meanwhile."""
    before = {name: os.environ.pop(name) for name in (*_OURS, FOLDER) if name in os.environ}
    place = folder() / "demo"
    shutil.rmtree(place, ignore_errors=True)
    os.environ[FOLDER] = str(place)
    try:
        yield
    finally:
        del os.environ[FOLDER]
        os.environ.update(before)
        shutil.rmtree(place, ignore_errors=True)
