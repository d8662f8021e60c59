-- The tables as of revision 0001; frozen, whatever the models become.

CREATE TYPE interview_status AS ENUM ('pending', 'in_progress', 'completed', 'failed');

CREATE TABLE applicants (
    id SERIAL NOT NULL,
    owner VARCHAR(100) DEFAULT 'local' NOT NULL,
    name VARCHAR(100) NOT NULL,
    email VARCHAR(200),
    age INTEGER,
    education TEXT,
    gender VARCHAR(20),
    skills JSONB DEFAULT '[]'::jsonb NOT NULL,
    domain_experience JSONB DEFAULT '[]'::jsonb NOT NULL,
    special_experience JSONB DEFAULT '[]'::jsonb NOT NULL,
    total_experience_years INTEGER DEFAULT 0 NOT NULL,
    resume_parsed_data JSONB DEFAULT '{}'::jsonb NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT uq_applicants_owner_email UNIQUE (owner, email)
);

CREATE INDEX ix_applicants_owner ON applicants (owner);

CREATE TABLE companies (
    id SERIAL NOT NULL,
    owner VARCHAR(100) DEFAULT 'local' NOT NULL,
    name VARCHAR(200) NOT NULL,
    values_text TEXT,
    culture_desc TEXT,
    core_values JSONB DEFAULT '[]'::jsonb NOT NULL,
    category_weights JSONB DEFAULT '{}'::jsonb NOT NULL,
    priority_weights JSONB DEFAULT '{}'::jsonb NOT NULL,
    blind_mode BOOLEAN DEFAULT false NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id)
);

CREATE INDEX ix_companies_name ON companies (name);

CREATE INDEX ix_companies_owner ON companies (owner);

CREATE TABLE migration_reports (
    id SERIAL NOT NULL,
    report JSONB DEFAULT '{}'::jsonb NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE set_aside (
    id SERIAL NOT NULL,
    table_name VARCHAR(100) NOT NULL,
    row_id VARCHAR(100),
    whole_row BOOLEAN DEFAULT false NOT NULL,
    reason TEXT NOT NULL,
    content JSONB DEFAULT '{}'::jsonb NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE jobs (
    id SERIAL NOT NULL,
    owner VARCHAR(100) DEFAULT 'local' NOT NULL,
    company_id INTEGER NOT NULL,
    title VARCHAR(500) NOT NULL,
    description TEXT,
    required_skills JSONB DEFAULT '[]'::jsonb NOT NULL,
    preferred_skills JSONB DEFAULT '[]'::jsonb NOT NULL,
    domain_requirements JSONB DEFAULT '[]'::jsonb NOT NULL,
    dynamic_evaluation_criteria JSONB DEFAULT '[]'::jsonb NOT NULL,
    competency_weights JSONB DEFAULT '{}'::jsonb NOT NULL,
    weights_source VARCHAR(50),
    main_responsibilities JSONB DEFAULT '[]'::jsonb NOT NULL,
    position_type VARCHAR(100),
    seniority_level VARCHAR(50),
    analysis_source VARCHAR(200),
    source_file VARCHAR(500),
    source_sha256 VARCHAR(64),
    index_status VARCHAR(10) DEFAULT 'none' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT ck_jobs_index_status CHECK (index_status IN ('none', 'partial', 'complete', 'failed')),
    FOREIGN KEY(company_id) REFERENCES companies (id) ON DELETE CASCADE
);

CREATE INDEX ix_jobs_company_id ON jobs (company_id);

CREATE INDEX ix_jobs_owner ON jobs (owner);

CREATE INDEX ix_jobs_source_sha256 ON jobs (company_id, source_sha256);

CREATE TABLE personas (
    id SERIAL NOT NULL,
    company_id INTEGER NOT NULL,
    persona_name VARCHAR(200) NOT NULL,
    archetype VARCHAR(20) DEFAULT 'analytical' NOT NULL,
    focus_keywords JSONB DEFAULT '[]'::jsonb NOT NULL,
    focus_areas JSONB DEFAULT '[]'::jsonb NOT NULL,
    system_prompt TEXT,
    welcome_message TEXT,
    PRIMARY KEY (id),
    CONSTRAINT ck_personas_archetype CHECK (archetype IN ('analytical', 'supportive', 'stress_tester')),
    FOREIGN KEY(company_id) REFERENCES companies (id) ON DELETE CASCADE
);

CREATE INDEX ix_personas_company_id ON personas (company_id);

CREATE TABLE interview_sessions (
    id SERIAL NOT NULL,
    owner VARCHAR(100) DEFAULT 'local' NOT NULL,
    applicant_id INTEGER NOT NULL,
    job_id INTEGER,
    company_id INTEGER,
    status interview_status DEFAULT 'pending' NOT NULL,
    question_ids JSONB DEFAULT '[]'::jsonb NOT NULL,
    current_question_index INTEGER DEFAULT 0 NOT NULL,
    current_persona_index INTEGER DEFAULT 0 NOT NULL,
    competency_weights JSONB DEFAULT '{}'::jsonb NOT NULL,
    category_weights JSONB DEFAULT '{}'::jsonb NOT NULL,
    evaluation_completed BOOLEAN DEFAULT false NOT NULL,
    source_sha256 VARCHAR(64),
    started_at TIMESTAMP WITH TIME ZONE,
    completed_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(applicant_id) REFERENCES applicants (id) ON DELETE CASCADE,
    FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE,
    FOREIGN KEY(company_id) REFERENCES companies (id) ON DELETE CASCADE
);

CREATE INDEX ix_interview_sessions_applicant_id ON interview_sessions (applicant_id);

CREATE INDEX ix_interview_sessions_company_id ON interview_sessions (company_id);

CREATE INDEX ix_interview_sessions_job_id ON interview_sessions (job_id);

CREATE INDEX ix_interview_sessions_owner ON interview_sessions (owner);

CREATE INDEX ix_interview_sessions_source_sha256 ON interview_sessions (source_sha256);

CREATE TABLE job_chunks (
    id SERIAL NOT NULL,
    job_id INTEGER NOT NULL,
    chunk_text TEXT NOT NULL,
    embedding VECTOR(1024),
    chunk_index INTEGER NOT NULL,
    start_char INTEGER,
    end_char INTEGER,
    embedder JSONB,
    embed_error TEXT,
    embed_attempts INTEGER DEFAULT 0 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT uq_job_chunks_job_id_chunk_index UNIQUE (job_id, chunk_index),
    FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);

CREATE INDEX idx_job_chunks_embedding_hnsw ON job_chunks USING hnsw (embedding vector_cosine_ops) WITH (m = 16, ef_construction = 64);

CREATE TABLE questions (
    id SERIAL NOT NULL,
    owner VARCHAR(100) DEFAULT 'local' NOT NULL,
    job_id INTEGER,
    persona_id INTEGER,
    question_type VARCHAR(50) NOT NULL,
    question_text TEXT NOT NULL,
    expected_keywords JSONB DEFAULT '[]'::jsonb NOT NULL,
    evaluation_criteria JSONB DEFAULT '[]'::jsonb NOT NULL,
    evaluation_dimensions JSONB DEFAULT '[]'::jsonb NOT NULL,
    dimension_weights JSONB DEFAULT '{}'::jsonb NOT NULL,
    target_competencies JSONB DEFAULT '[]'::jsonb NOT NULL,
    follow_up_if_weak TEXT,
    difficulty_level INTEGER DEFAULT 3 NOT NULL,
    is_common BOOLEAN DEFAULT false NOT NULL,
    made_by VARCHAR(200),
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT ck_questions_difficulty_level CHECK (difficulty_level BETWEEN 1 AND 5),
    FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE,
    FOREIGN KEY(persona_id) REFERENCES personas (id) ON DELETE SET NULL
);

CREATE INDEX ix_questions_job_id ON questions (job_id);

CREATE INDEX ix_questions_owner ON questions (owner);

CREATE TABLE interview_results (
    id SERIAL NOT NULL,
    interview_id INTEGER NOT NULL,
    question_id INTEGER,
    question_text TEXT,
    question_type VARCHAR(50),
    is_common BOOLEAN DEFAULT false NOT NULL,
    job_id INTEGER,
    stt_full_text TEXT NOT NULL,
    logic_score FLOAT,
    relevance_score FLOAT,
    technical_score FLOAT,
    communication_score FLOAT,
    overall_score FLOAT,
    scores JSONB DEFAULT '{}'::jsonb NOT NULL,
    keywords JSONB DEFAULT '{}'::jsonb NOT NULL,
    strengths JSONB DEFAULT '[]'::jsonb NOT NULL,
    weaknesses JSONB DEFAULT '[]'::jsonb NOT NULL,
    ai_feedback TEXT,
    metadata JSONB DEFAULT '{}'::jsonb NOT NULL,
    scored_by VARCHAR(200),
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT ck_interview_results_logic_score CHECK (logic_score BETWEEN 0 AND 100),
    CONSTRAINT ck_interview_results_relevance_score CHECK (relevance_score BETWEEN 0 AND 100),
    CONSTRAINT ck_interview_results_technical_score CHECK (technical_score BETWEEN 0 AND 100),
    CONSTRAINT ck_interview_results_communication_score CHECK (communication_score BETWEEN 0 AND 100),
    CONSTRAINT ck_interview_results_overall_score CHECK (overall_score BETWEEN 0 AND 100),
    FOREIGN KEY(interview_id) REFERENCES interview_sessions (id) ON DELETE CASCADE,
    FOREIGN KEY(question_id) REFERENCES questions (id) ON DELETE CASCADE,
    FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);

CREATE INDEX ix_interview_results_interview_id_question_id ON interview_results (interview_id, question_id);

CREATE INDEX ix_interview_results_job_id ON interview_results (job_id);

CREATE INDEX ix_interview_results_overall_score ON interview_results (overall_score);

CREATE INDEX ix_interview_results_question_id ON interview_results (question_id);

CREATE TABLE interview_session_jobs (
    session_id INTEGER NOT NULL,
    job_id INTEGER NOT NULL,
    position INTEGER DEFAULT 0 NOT NULL,
    PRIMARY KEY (session_id, job_id),
    FOREIGN KEY(session_id) REFERENCES interview_sessions (id) ON DELETE CASCADE,
    FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);

CREATE INDEX ix_interview_session_jobs_job_id ON interview_session_jobs (job_id);

CREATE TABLE session_transcripts (
    id SERIAL NOT NULL,
    session_id INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    speaker VARCHAR(50) NOT NULL,
    text TEXT NOT NULL,
    meta JSONB DEFAULT '{}'::jsonb NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT uq_session_transcripts_session_id_turn UNIQUE (session_id, turn),
    FOREIGN KEY(session_id) REFERENCES interview_sessions (id) ON DELETE CASCADE
);
