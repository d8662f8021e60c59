"""One Evals for all tests of a session, empty before each; a guide; a server that speaks Ollama's API."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient

import wherry
from tests.apps.serving import served
from wherry.cli import main
from wherry.postgres import server
from wherry_apps.evals import app
from wherry_apps.evals.index import Index
from wherry_apps.evals.service import Evals, open_service
from wherry_apps.evals.settings import Settings
from wherry_apps.evals.tables import VECTOR_INDEX, Base

GUIDE = """# EvalVault 사용 가이드

EvalVault는 RAG 시스템의 품질을 평가하고 실행 결과를 보관합니다.

## 설치

설치는 `uv sync` 한 번으로 끝납니다. 데이터베이스 경로는 EVALVAULT_DB_PATH 로 바꿉니다.

## 평가 실행

평가는 데이터셋과 메트릭을 골라 시작합니다. 결과는 실행 번호로 보관됩니다.

## 문제 해결

점수가 낮으면 먼저 검색된 문맥이 질문에 맞는지 확인하십시오.
"""
FILLER = "이 문단은 가이드의 조각이 여러 개가 되도록 이어지는 설명을 담습니다. "


def long_guide(paragraphs: int = 12) -> str:
    """Return a guide of several pieces; each paragraph is a section of its own."""
    return "\n\n".join(f"## {n}장\n\n{n}번째 장의 내용입니다. {FILLER * 12}" for n in range(1, paragraphs + 1))


@pytest.fixture(scope="session")
def opened(shared_home: Path) -> Iterator[Evals]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHERRY_HOME", str(shared_home))
        patch.delenv("DATABASE_URL", raising=False)
        service = open_service()
    yield service
    service.close()


@pytest.fixture
def evals(pg: psycopg.Connection, opened: Evals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Evals]:
    """An empty Evals in a folder of its own, in the schema that commands and endpoints use too."""
    for name in list(os.environ):
        if name.startswith(("EVALVAULT_", "POSTGRES_", "OLLAMA_", "DB_")) or name == "DATABASE_URL":
            monkeypatch.delenv(name)
    # The Korean tokeniser takes seconds to load; the tests of guides use it.
    monkeypatch.setenv("EVALVAULT_RAG_TOKENIZER", "whitespace")
    monkeypatch.chdir(tmp_path)
    # The thread of an earlier test may hang on a model; it has to let go of the index.
    with opened.index.exclusive(patience_s=30), opened.database.begin() as connection:
        tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
        connection.exec_driver_sql(f"TRUNCATE {tables} RESTART IDENTITY")
        connection.exec_driver_sql(f"DROP INDEX IF EXISTS {VECTOR_INDEX}")
    yield opened
    opened.finder.close()


@pytest.fixture
def guide(evals: Evals, tmp_path: Path) -> Path:
    """The guide at its usual place."""
    path = tmp_path / "docs/guides/USER_GUIDE.md"
    path.parent.mkdir(parents=True)
    path.write_text(long_guide(), encoding="utf-8")
    return path


@pytest.fixture
def run_cli(evals: Evals, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Any, str]]:
    """Run `wherry evals ...` in this process; return exit code, stdout, stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["evals", *words])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.fixture
def fresh_url(pg: psycopg.Connection) -> Iterator[str]:
    """The URL of an empty database on the shared server."""
    name = f"t{uuid4().hex[:10]}"
    pg.execute(f"CREATE DATABASE {name}")
    given = psycopg.conninfo.conninfo_to_dict(server.start())
    yield f"postgresql://{given['user']}@/{name}?host={given['host']}&port={given.get('port', 5432)}"
    pg.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def client(evals: Evals) -> Iterator[TestClient]:
    with TestClient(served(app, wherry.Settings()), raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture
def keys(evals: Evals) -> Iterator[wherry.Keys]:
    with wherry.Keys() as opened:
        opened.prepare()
        yield opened


def bearing(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def with_settings(evals: Evals, **values: Any) -> Index:
    """Return the same index under other settings."""
    return Index(evals.database, Settings(**values))
