"""The tables of version 1, frozen: what every older database becomes. Later versions are revisions of their own."""

from __future__ import annotations

from dataclasses import dataclass, field

JSONB, STAMP, INTEGER, TEXT, DATE = "jsonb", "timestamp with time zone", "integer", "text", "date"
NOW = "now()"


@dataclass(frozen=True)
class Column:
    """A column. type: as PostgreSQL writes it. default: SQL, "" for none. needed: not null."""

    type: str
    default: str = ""
    needed: bool = False


@dataclass(frozen=True)
class Table:
    """A table. formerly: names it had. checks: name -> condition. unique: name -> columns.

    renamed: column -> name it had. belongs: column -> table whose row it belongs to, deleted with it.
    """

    columns: dict[str, Column]
    formerly: tuple[str, ...] = ()
    renamed: dict[str, str] = field(default_factory=dict)
    belongs: dict[str, str] = field(default_factory=dict)
    unique: dict[str, tuple[str, ...]] = field(default_factory=dict)
    checks: dict[str, str] = field(default_factory=dict)


_USER = {"user_id": Column(INTEGER, needed=True)}
_MADE = {"created_at": Column(STAMP, NOW, needed=True)}
_OWNED = {"user_id": "users"}
TABLES: dict[str, Table] = {
    "users": Table(
        {
            "owner": Column("character varying(100)", "'local'", needed=True),
            "username": Column("character varying(255)", needed=True),
            "email": Column("character varying(255)", needed=True),
            **_MADE,
        },
        unique={"users_owner_username": ("owner", "username"), "users_owner_email": ("owner", "email")},
    ),
    "health_records": Table(
        {
            **_USER,
            "record_date": Column(STAMP, NOW, needed=True),
            "source": Column("character varying(100)", "'manual'", needed=True),
            "measurements": Column(JSONB, needed=True),
            **_MADE,
        },
        renamed={"record_date": "measured_at"},
        belongs=_OWNED,
    ),
    "analysis_reports": Table(
        {
            **_USER,
            "record_id": Column(INTEGER),
            "llm_output": Column(TEXT, needed=True),
            "model_version": Column("character varying(100)"),
            "analysis_type": Column("character varying(50)", "'status_analysis'", needed=True),
            "report_date": Column(STAMP, NOW, needed=True),
            "embedding_1536": Column("vector(1536)"),
            "embedding_1024": Column("vector(1024)"),
            "embedding_info": Column(JSONB, "'{}'::jsonb", needed=True),
        },
        formerly=("inbody_analysis_reports",),
        renamed={"report_date": "generated_at"},
        belongs={**_OWNED, "record_id": "health_records"},
    ),
    "user_goals": Table(
        {
            **_USER,
            "goal_type": Column("character varying(255)"),
            "goal_description": Column(TEXT),
            "goal_data": Column(JSONB),
            "preferences": Column(JSONB),
            "health_specifics": Column(JSONB),
            "started_at": Column(STAMP, NOW),
            "ended_at": Column(STAMP),
            "is_active": Column(INTEGER, "1", needed=True),
            **_MADE,
        },
        formerly=("user_details",),
        belongs=_OWNED,
        checks={"user_goals_is_active": "is_active IN (0, 1)"},
    ),
    "weekly_plans": Table(
        {
            **_USER,
            "week_number": Column(INTEGER, needed=True),
            "start_date": Column(DATE, needed=True),
            "end_date": Column(DATE, needed=True),
            "plan_data": Column(JSONB, needed=True),
            "model_version": Column("character varying(100)"),
            **_MADE,
        },
        belongs=_OWNED,
        checks={"weekly_plans_week_number": "week_number >= 1"},
    ),
    "body_chats": Table(
        {
            **_USER,
            "subject": Column("character varying(20)", needed=True),
            "subject_id": Column(INTEGER, needed=True),
            "role": Column("character varying(20)", needed=True),
            "content": Column(TEXT, needed=True),
            **_MADE,
        },
        belongs=_OWNED,
    ),
}
_HNSW = "USING hnsw ({0} vector_cosine_ops) WITH (m = 16, ef_construction = 64)"
INDEXES: dict[str, tuple[str, str]] = {
    "idx_health_records_user_date": ("health_records", "(user_id, record_date DESC)"),
    "idx_health_records_measurements": ("health_records", "USING gin (measurements)"),
    "idx_analysis_reports_user_date": ("analysis_reports", "(user_id, report_date DESC)"),
    "idx_analysis_reports_record": ("analysis_reports", "(record_id)"),
    "idx_analysis_reports_embedding_1536_hnsw": ("analysis_reports", _HNSW.format("embedding_1536")),
    "idx_analysis_reports_embedding_1024_hnsw": ("analysis_reports", _HNSW.format("embedding_1024")),
    "idx_user_goals_user": ("user_goals", "(user_id)"),
    "idx_weekly_plans_user": ("weekly_plans", "(user_id)"),
    "idx_weekly_plans_user_week": ("weekly_plans", "(user_id, week_number)"),
    "idx_body_chats_subject": ("body_chats", "(subject, subject_id, id)"),
}
