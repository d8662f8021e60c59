"""Tables as three older programs left them."""

from __future__ import annotations

import numpy as np

_VECTOR = str((np.eye(1, 1024, dtype=np.float32)[0] * np.float32(0.1)).tolist())

# The guide's own: no companies, no applicants, four columns of scores, an enumeration in lower case, no foreign keys.
SEED = f"""
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TYPE interviewstatus AS ENUM ('pending', 'in_progress', 'completed', 'failed');
CREATE TABLE jobs (id serial PRIMARY KEY, company_id integer, title varchar(500) NOT NULL, description text,
    created_at timestamp DEFAULT now(), updated_at timestamp DEFAULT now());
CREATE TABLE job_chunks (id serial PRIMARY KEY, job_id integer REFERENCES jobs, chunk_text text NOT NULL,
    embedding vector(1024), chunk_index integer, created_at timestamp DEFAULT now());
CREATE INDEX idx_job_chunks_embedding_hnsw ON job_chunks USING hnsw (embedding vector_cosine_ops);
CREATE TABLE questions (id serial PRIMARY KEY, job_id integer, question_type varchar(50), question_text text,
    expected_keywords jsonb, evaluation_criteria jsonb, difficulty_level integer, created_at timestamp DEFAULT now());
CREATE TABLE interview_sessions (id serial PRIMARY KEY, applicant_id integer, job_id integer REFERENCES jobs,
    status interviewstatus DEFAULT 'pending', current_question_index integer DEFAULT 0, started_at timestamp,
    completed_at timestamp, created_at timestamp DEFAULT now());
CREATE TABLE interview_results (id serial PRIMARY KEY, interview_id integer REFERENCES interview_sessions,
    question_id integer, question_text text, stt_full_text text, logic_score float, relevance_score float,
    technical_score float, communication_score float, overall_score float, keywords jsonb, strengths jsonb,
    weaknesses jsonb, ai_feedback text, metadata jsonb, created_at timestamp DEFAULT now(),
    updated_at timestamp DEFAULT now());
INSERT INTO jobs (company_id, title, description) VALUES
    (1, 'Backend', '배차'), (1, 'Data', '지표'), (7, 'Design', NULL);
INSERT INTO job_chunks (job_id, chunk_text, embedding, chunk_index) VALUES
    (1, '배차 운영', '{_VECTOR}', 0), (1, '둘', NULL, 3), (2, '지표', '{_VECTOR}', 0);
INSERT INTO questions (job_id, question_type, question_text, difficulty_level) VALUES (1, 'technical', 'Python?', 4);
INSERT INTO interview_sessions (applicant_id, job_id, status, completed_at) VALUES
    (123, 1, 'completed', '2026-01-02 03:04:05'), (123, 2, 'in_progress', NULL);
INSERT INTO interview_results (interview_id, question_id, question_text, stt_full_text, logic_score, relevance_score,
    technical_score, communication_score, overall_score, keywords, strengths, metadata) VALUES
    (1, 1, 'Tell me', '5 years', 85.5, 90, 88, 82, 86.375, '{{"technical": ["Python"]}}', '["strong"]', '{{"a": 1}}');
"""

# A later one: scores in JSON, metadata under the name of the ORM, sessions of several jobs, statuses in capitals.
LATER = f"""
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TYPE interviewstatus AS ENUM ('PENDING', 'IN_PROGRESS', 'COMPLETED', 'FAILED');
CREATE TABLE companies (id serial PRIMARY KEY, name varchar(200) NOT NULL, blind_mode boolean);
CREATE TABLE applicants (id serial PRIMARY KEY, name varchar(100), email varchar(200), skills jsonb);
CREATE TABLE jobs (id serial PRIMARY KEY, company_id integer, title text, description text, required_skills jsonb,
    competency_weights jsonb, created_at timestamptz DEFAULT now());
CREATE TABLE job_chunks (id serial PRIMARY KEY, job_id integer, chunk_text text, embedding vector(1024),
    chunk_index integer);
CREATE TABLE interview_sessions (id serial PRIMARY KEY, applicant_id integer, job_ids json,
    status interviewstatus DEFAULT 'PENDING', current_question_index integer, evaluation_completed boolean,
    started_at timestamp);
CREATE TABLE interview_results (id serial PRIMARY KEY, interview_id integer, question_id integer,
    stt_full_text text NOT NULL, scores jsonb, overall_score float, keywords jsonb, interview_metadata jsonb);
INSERT INTO companies (name, blind_mode) VALUES ('나루', NULL), ('다온', true);
INSERT INTO applicants (name, email, skills) VALUES ('김하늘', 'a@example.com', '["Redis"]');
INSERT INTO jobs (company_id, title, required_skills) VALUES (1, 'A', '["Go"]'), (2, 'B', NULL), (2, 'C', NULL);
INSERT INTO job_chunks (job_id, chunk_text, embedding, chunk_index) VALUES (1, '하나', '{_VECTOR}', 0);
INSERT INTO interview_sessions (applicant_id, job_ids, status) VALUES
    (1, '[2, 3]', 'IN_PROGRESS'), (1, '[1]', 'COMPLETED');
INSERT INTO interview_results (interview_id, stt_full_text, scores, overall_score, keywords, interview_metadata) VALUES
    (2, '말', '{{"depth": 80, "clarity": 60}}', 70, '{{"matched": ["Go"], "missing": []}}', '{{"b": 2}}');
"""

# A third: sessions that name only a company, a question nobody could ask, rows that belong to nothing.
BROKEN = """
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE companies (id serial PRIMARY KEY, name varchar(200), motto text);
CREATE TABLE jobs (id serial PRIMARY KEY, company_id integer REFERENCES companies, title varchar(500));
CREATE TABLE job_chunks (id serial PRIMARY KEY, job_id integer, chunk_text text, embedding vector(3),
    chunk_index integer);
CREATE TABLE questions (id serial PRIMARY KEY, job_id integer, question_text text, difficulty_level integer);
CREATE TABLE interview_sessions (id serial PRIMARY KEY, applicant_id integer, company_id integer, status varchar(20));
CREATE TABLE interview_results (id serial PRIMARY KEY, interview_id integer, question_id integer, stt_full_text text,
    logic_score float, overall_score float);
INSERT INTO companies (name, motto) VALUES ('나루', '함께'), ('다온', NULL);
INSERT INTO jobs (company_id, title) VALUES (1, 'A');
INSERT INTO job_chunks (job_id, chunk_text, embedding, chunk_index) VALUES
    (1, '하나', '[1,2,3]', 0), (1, '둘', NULL, 0), (99, '고아', NULL, 0);
INSERT INTO questions (job_id, question_text, difficulty_level) VALUES (1, '?', 9), (50, '??', 2);
INSERT INTO interview_sessions (applicant_id, company_id, status) VALUES (1, 1, 'Completed'), (1, 2, 'paused');
INSERT INTO interview_results (interview_id, question_id, stt_full_text, logic_score, overall_score) VALUES
    (1, 1, '말', 250, 70), (77, 1, '고아', 50, 50), (1, 66, NULL, 40, NULL);
"""
