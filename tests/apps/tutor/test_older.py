"""Tables of earlier versions, brought to today's in place; what is older keeps its rows and vectors."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import text

from wherry import AppDatabase, NotFound, Refused, StoreError
from wherry_apps.tutor import older
from wherry_apps.tutor.service import Tutor, database, open_service

CHOICES = "ARRAY['굽힘','회전','벌림','모음','휘돌림']"
FLAT = f"""
CREATE TABLE questions (id serial PRIMARY KEY, question_number int, question_type text, content text,
 choices text[], correct_answer text, subject_name text, area_name text, difficulty text, year int,
 approval_status text, is_active bool, embedding vector(1536));
CREATE INDEX questions_department ON questions (subject_name);
INSERT INTO questions (question_number, question_type, content, choices, correct_answer, subject_name, area_name,
 difficulty, year, approval_status, is_active, embedding)
 SELECT n, 'MULTIPLE_CHOICE', '무릎 문항 ' || n, {CHOICES}, (n % 5 + 1)::text, '물리치료학과', '관절계통',
  (ARRAY['EASY','MEDIUM','HARD','VERY_HARD'])[n % 4 + 1], 2030, 'approved', true,
  array_fill(n / 10.0, ARRAY[1536])::vector FROM generate_series(1, 6) n;
INSERT INTO questions (content, choices, correct_answer, difficulty, approval_status)
 VALUES ('정답이 없는 문항', {CHOICES}, NULL, 'EASY', 'pending'),
  ('난이도가 이상한 문항', {CHOICES}, '1', 'IMPOSSIBLE', 'pending'),
  ('상태가 이상한 문항', {CHOICES}, '1', 'EASY', 'maybe');
"""
NESTED = """
CREATE TABLE questions (id int PRIMARY KEY, question_number int, question_type text, content text, options jsonb,
 correct_answer text, classification jsonb, status_info jsonb, embedding vector(768));
INSERT INTO questions VALUES
 (10, 1, '객관식', '첫 문항', '{"1": "가", "2": "나", "3": "다", "4": "라"}', '②',
  '{"subject": "해부학", "area": "관절", "difficulty": "HARD", "year": 2029}',
  '{"approval_status": "APPROVED", "approved_by": "kim", "approved_at": "2030-01-02T03:04:05+00:00",
   "is_active": false}', array_fill(0.5, ARRAY[768])::vector),
 (20, 2, '주관식', '둘째 문항', NULL, '정강뼈', '{"difficulty": 3}', '{"approval_status": "pending"}', NULL),
 (30, 3, '이상한형', '셋째 문항', '{"1": "가", "2": "나"}', '1', '{"difficulty": 3}', '{}', NULL);
"""
MIXED = f"""
CREATE TABLE questions (id uuid PRIMARY KEY, type text, title text, content text, choices text[],
 correct_answer text, subject text, difficulty int, embedding vector(384));
INSERT INTO questions VALUES
 ('{uuid4()}', 'question', NULL, '문항', {CHOICES}, '회전', '운동학', 3, array_fill(0.1, ARRAY[384])::vector),
 ('{uuid4()}', 'rag_document', '무릎 자료', '무릎관절은 경첩관절이다.', NULL, NULL, '운동학', NULL,
  array_fill(0.2, ARRAY[384])::vector),
 ('{uuid4()}', 'rag_document', '빈 자료', '  ', NULL, NULL, NULL, NULL, NULL);
"""


@pytest.fixture
def db(pg: psycopg.Connection, tutor: Tutor) -> Iterator[AppDatabase]:
    """A database of an earlier version, in a schema of its own."""
    found = database(schema=f"older_{uuid4().hex[:8]}")
    with found.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {found.schema}"))
    yield found
    with found.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {found.schema} CASCADE"))
    found.close()


def make(db: AppDatabase, statements: str) -> None:
    with db.begin() as connection:
        for statement in filter(str.strip, statements.split(";\n")):
            connection.exec_driver_sql(statement.replace("%", "%%"))


def fingerprint(db: AppDatabase, table: str) -> str:
    with db.begin() as connection:
        query = f"SELECT md5(string_agg(q::text, '|' ORDER BY id)) FROM {table} q"
        return str(connection.execute(text(query)).scalar())


def test_a_flat_table(db: AppDatabase) -> None:
    make(db, FLAT)
    before = fingerprint(db, "questions")
    found = older.migrate(db)
    assert found is not None
    assert (found.total, found.questions, found.documents, found.moved) == (9, 6, 0, 6)
    assert found.total == found.questions + found.documents + len(found.unmappable)
    reasons = {one["id"]: one["reason"] for one in found.unmappable}
    assert sorted(reasons) == ["7", "8", "9"]
    assert "correct_answer" in reasons["7"]
    assert "no difficulty" in reasons["8"]
    assert "approval_status" in reasons["9"]
    assert found.exit_code == 5
    assert fingerprint(db, "questions_before") == before
    assert db.drift() == []


def test_what_was_mapped_is_what_was_there(db: AppDatabase) -> None:
    make(db, FLAT)
    older.migrate(db)
    with open_service(schema=db.schema, check=False) as tutor:
        one = tutor.bank.get(3)
        assert (one["content"], one["department"], one["subject"], one["area"]) == (
            "무릎 문항 3", "물리치료학과", None, "관절계통",
        )  # fmt: skip
        assert (one["difficulty"], one["question_type"], one["correct_answer"]) == (5, "multiple_choice", "4")
        assert one["options"]["5"] == "휘돌림"
        assert one["approval_status"] == "approved"
        assert tutor.index().embedded == 6
        # Numbers given from now on are new ones.
        from tests.apps.tutor.papers import exam
        from wherry_apps.tutor.importing import read_paper

        assert tutor.import_paper(read_paper(exam(1), "neu.json"))["questions"] == [7]


def test_running_it_again_is_a_no_op(db: AppDatabase) -> None:
    make(db, FLAT)
    first = older.migrate(db)
    held = fingerprint(db, "questions")
    again = older.migrate(db)
    assert first is not None
    assert again is not None
    assert (again.moved, again.questions, again.unmappable) == (0, first.questions, first.unmappable)
    assert fingerprint(db, "questions") == held


def test_a_table_of_objects(db: AppDatabase) -> None:
    make(db, NESTED)
    found = older.migrate(db)
    assert found is not None
    assert (found.total, found.questions, [one["id"] for one in found.unmappable]) == (3, 2, ["30"])
    with open_service(schema=db.schema, check=False) as tutor:
        first, second = tutor.bank.get(10), tutor.bank.get(20)
    assert (first["correct_answer"], first["subject"], first["area"], first["year"]) == ("2", "해부학", "관절", 2029)
    assert (first["approval_status"], first["approved_by"], first["is_active"]) == ("approved", "kim", False)
    assert first["approved_at"].startswith("2030-01-02T03:04:05")
    assert (second["question_type"], second["options"], second["correct_answer"]) == ("short_answer", None, "정강뼈")


def test_documents_become_study_documents(db: AppDatabase) -> None:
    make(db, MIXED)
    for moved in (2, 0):
        found = older.migrate(db)
        assert found is not None
        assert (found.total, found.questions, found.documents, found.moved) == (3, 1, 1, moved)
        assert "no text" in found.unmappable[0]["reason"]
    with open_service(schema=db.schema, check=False) as tutor:
        assert [one["title"] for one in tutor.documents.list()] == ["무릎 자료"]
        [one] = tutor.bank.list()["questions"]
        assert (one["correct_answer"], one["subject"]) == ("2", "운동학")


def test_vectors_of_another_size_are_made_anew_and_the_old_ones_stay(db: AppDatabase, tutor: Tutor) -> None:
    make(db, FLAT)
    older.migrate(db)
    before = fingerprint(db, "questions_before")
    source = f"pgvector:#{db.schema}.questions_before?id=id&vector=embedding&text=content"
    found = tutor.moving.move(source, "memory:#neu", embedder="hash:384")
    assert (found.copied, found.dimension, found.written, found.zero) == (False, 384, 6, 0)
    assert sorted(found.failed) == ["7", "8", "9"]
    assert fingerprint(db, "questions_before") == before


def test_an_older_table_stops_the_service_and_says_what_to_run(db: AppDatabase) -> None:
    make(db, FLAT)
    with pytest.raises(Refused, match="earlier version") as caught:
        open_service(schema=db.schema)
    assert caught.value.next == "wherry tutor migrate"
    with db.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM questions")).scalar() == 9


def test_a_table_that_lies_elsewhere_is_read_where_it_is(db: AppDatabase, tutor: Tutor) -> None:
    make(db, FLAT)
    before = fingerprint(db, "questions")
    found = older.migrate(tutor.db, f"{db.schema}.questions")
    assert found is not None
    assert (found.questions, found.moved) == (6, 6)
    assert fingerprint(db, "questions") == before
    assert older.migrate(tutor.db, f"{db.schema}.questions").moved == 0  # type: ignore[union-attr]


def test_a_move_interrupted_between_the_steps_goes_on(db: AppDatabase) -> None:
    make(db, FLAT)
    with db.begin() as connection:
        older._put_aside(connection, db.schema)
    found = older.migrate(db)
    assert found is not None
    assert found.moved == 6


def test_nothing_to_do_and_nothing_there(db: AppDatabase) -> None:
    assert older.migrate(db) is None
    assert older.migrate(db) is None
    with pytest.raises(NotFound):
        older.migrate(db, "public.nosuch")


@pytest.mark.parametrize("name", ["questions; DROP TABLE questions", 'questions" --', "x'y"])
def test_a_hostile_table_name_is_only_a_name(tutor: Tutor, name: str) -> None:
    with pytest.raises((NotFound, StoreError)):
        older.migrate(tutor.db, name)
    assert tutor.bank.list()["total"] == 0


def test_the_own_table_comes_first(db: AppDatabase, tutor: Tutor) -> None:
    make(db, FLAT)
    with pytest.raises(Refused, match="earlier version"):
        older.migrate(db, "tutor.questions")


def test_the_same_question_twice_is_listed(db: AppDatabase) -> None:
    make(db, FLAT)
    make(
        db,
        "INSERT INTO questions SELECT 99, question_number, question_type, content, choices, correct_answer,"
        " subject_name, area_name, difficulty, year, approval_status, is_active, embedding FROM questions WHERE id = 1",
    )
    found = older.migrate(db)
    assert found is not None
    assert {"id": "99", "reason": "it says the same as question 1"} in found.unmappable
