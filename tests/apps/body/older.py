"""Databases of earlier programs, as SQL, for the tests of bringing them up."""

from __future__ import annotations

import json
from collections.abc import Iterable

import psycopg

from tests.apps.body.sheets_kit import FLAT

_SHEET = json.dumps(FLAT, ensure_ascii=False).replace("'", "''")
PEOPLE = """
CREATE TABLE users (id SERIAL PRIMARY KEY, username VARCHAR(100) UNIQUE NOT NULL, email VARCHAR(255) UNIQUE NOT NULL,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
INSERT INTO users (username, email) VALUES ('kim', 'kim@example.org'), ('lee', 'lee@example.org');
"""
RECORDS = f"""
CREATE TABLE health_records (id SERIAL PRIMARY KEY, user_id INTEGER REFERENCES users(id) ON DELETE CASCADE,
  measured_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, source VARCHAR(100) DEFAULT 'manual', measurements JSONB NOT NULL,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
INSERT INTO health_records (user_id, measured_at, measurements)
  VALUES (1, '2026-01-05 08:30:00', '{_SHEET}'), (2, '2026-01-06 09:00:00', '{_SHEET}');
CREATE INDEX idx_records_user ON health_records (user_id);
"""
REPORTS = """
CREATE TABLE analysis_reports (id SERIAL PRIMARY KEY, user_id INTEGER REFERENCES users(id) ON DELETE CASCADE,
  record_id INTEGER REFERENCES health_records(id), llm_output TEXT NOT NULL, model_version VARCHAR(100),
  generated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
INSERT INTO analysis_reports (user_id, record_id, llm_output, model_version, generated_at) VALUES
  (1, 1, '체형 분석: 상체 근육이 부족합니다', 'gpt-4o-mini', '2026-01-05 09:00:00'),
  (2, 2, '체형 분석: 하체가 발달했습니다', 'gpt-4o-mini', '2026-01-06 09:30:00'),
  (1, NULL, '결과지 없는 리포트', NULL, NULL);
"""
GOALS = """
CREATE TABLE user_goals (id SERIAL PRIMARY KEY, user_id INTEGER REFERENCES users(id) ON DELETE CASCADE,
  goal_type VARCHAR(255), started_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, ended_at TIMESTAMP,
  created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
INSERT INTO user_goals (user_id, goal_type, ended_at) VALUES (1, '체중감량', NULL), (1, '근육증가', '2025-12-31');
"""
PSYCOPG2 = PEOPLE + RECORDS + REPORTS + GOALS
_WIDE = "[" + ",".join(["0.5"] * 1536) + "]"
_SHORT = "[" + ",".join(["0.25"] * 1024) + "]"
# One column for all vectors, and the index that was made for it.
ONE_VECTOR = (
    PSYCOPG2
    + f"""
CREATE EXTENSION IF NOT EXISTS vector;
ALTER TABLE analysis_reports ADD COLUMN embedding vector(1536);
UPDATE analysis_reports SET embedding = '{_WIDE}' WHERE id = 1;
CREATE INDEX idx_analysis_reports_embedding_hnsw ON analysis_reports USING hnsw (embedding vector_cosine_ops)
  WITH (m = 16, ef_construction = 64);
"""
)
TEXT_VECTORS = (
    PSYCOPG2
    + f"""
ALTER TABLE analysis_reports ADD COLUMN embedding_1536 TEXT, ADD COLUMN embedding TEXT;
UPDATE analysis_reports SET embedding_1536 = '{_WIDE}', embedding = '{_SHORT}' WHERE id = 1;
UPDATE analysis_reports SET embedding_1536 = 'not a vector' WHERE id = 2;
UPDATE analysis_reports SET embedding_1536 = '[1, 2, 3]' WHERE id = 3;
"""
)
BODY_TYPES = (
    PSYCOPG2
    + """
ALTER TABLE health_records ADD COLUMN body_type1 VARCHAR(50), ADD COLUMN body_type2 VARCHAR(50);
UPDATE health_records SET body_type1 = '근육부족형', body_type2 = '표준형' WHERE id = 1;
ALTER TABLE user_goals ADD COLUMN weekly_plan TEXT, ADD COLUMN goal_data JSONB, ADD COLUMN is_active INTEGER DEFAULT 1;
UPDATE user_goals SET weekly_plan = '월요일에는 걷습니다' WHERE id = 1;
"""
)
OTHER_NAMES = (
    PSYCOPG2.replace("analysis_reports", "inbody_analysis_reports").replace("user_goals", "user_details")
    + """
ALTER TABLE user_details ADD COLUMN goal_description TEXT, ADD COLUMN preferences TEXT,
  ADD COLUMN health_specifics TEXT, ADD COLUMN is_active BOOLEAN DEFAULT true;
UPDATE user_details SET preferences = '{"exercise_frequency": 4}', health_specifics = '무릎이 아픔' WHERE id = 1;
CREATE TABLE weekly_plans (id SERIAL PRIMARY KEY, user_id INTEGER REFERENCES users(id), week_number INTEGER NOT NULL,
  start_date DATE NOT NULL, end_date DATE NOT NULL, weekly_plan TEXT, model_version VARCHAR(100), created_at TIMESTAMP);
INSERT INTO weekly_plans (user_id, week_number, start_date, end_date, weekly_plan)
  VALUES (1, 1, '2026-01-05', '2026-01-11', '걷기 30분');
"""
)
VARIANTS = {
    "nothing": "",
    "psycopg2": PSYCOPG2,
    "one vector": ONE_VECTOR,
    "text vectors": TEXT_VECTORS,
    "body types": BODY_TYPES,
    "other names": OTHER_NAMES,
}


def fill(url: str, *scripts: str) -> None:
    """Run scripts in a database."""
    with psycopg.connect(url, autocommit=True) as connection:
        for script in scripts:
            connection.execute(script.encode())


def rows(url: str, statement: str) -> list[tuple]:  # type: ignore[type-arg]
    """Return the rows of a query."""
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()


def shape(url: str, leave: Iterable[str] = ()) -> list[tuple]:  # type: ignore[type-arg]
    """Return the whole shape of the tables: columns, defaults, constraints, indexes; in order, names included."""
    columns = rows(
        url,
        "SELECT table_name, column_name, udt_name, character_maximum_length, is_nullable, "
        "regexp_replace(column_default, '''.*_id_seq''', 'sequence') FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name NOT LIKE 'alembic%' ORDER BY 1, 2",
    )
    constraints = rows(
        url,
        "SELECT conrelid::regclass::text, contype::text, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace AND contype <> 'n' "
        "AND conrelid::regclass::text NOT LIKE 'alembic%' "
        "ORDER BY 1, 2, 3",
    )
    indexes = rows(
        url,
        "SELECT tablename, regexp_replace(indexdef, 'INDEX \\S+pkey ', 'INDEX pkey ') FROM pg_indexes "
        "WHERE schemaname = 'public' AND tablename NOT LIKE 'alembic%' ORDER BY 1, 2",
    )
    return [*columns, *constraints, *indexes]
