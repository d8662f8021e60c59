"""One embedded database for all of Interview's tests; each test is an owner of its own, which keeps them apart."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient

import wherry
from wherry.postgres import server
from wherry.service.logs import logger
from wherry_apps.interview import app
from wherry_apps.interview.service import records
from wherry_apps.interview.service.opened import Interview

POST = """[백엔드 엔지니어] 물류 플랫폼

주요 업무
- 배차 API 운영
- 실시간 위치 데이터 파이프라인 개발

자격 요건
- Kotlin, Redis 실무 경험 3년 이상
- 장애 대응 경험

우대 사항
- Kafka 운영 경험이 있으신 분
- 분산 캐시 설계 경험
"""
ANSWER = (
    "작년에 물류 회사에서 배차 시스템을 맡았을 때 지연이 잦았습니다. 원인은 캐시 미스였기 때문에 "
    "제가 Redis를 도입했고, 그 결과 지연을 30% 줄였습니다. 이후에는 지표를 모아 팀과 함께 매주 살펴보았습니다."
)


@pytest.fixture
def on(pg: psycopg.Connection) -> Iterator[Interview]:
    """The service, offline."""
    opened = Interview(embedder="hash:1024", chat="offline")
    yield opened
    opened.close()


@pytest.fixture
def owner() -> str:
    """The owner of what one test makes."""
    return f"o{uuid4().hex[:10]}"


@dataclass
class Shop:
    """A company with an applicant, whose they are."""

    on: Interview
    owner: str
    company_id: int
    applicant_id: int

    def upload(self, text: str = POST, title: str = "Backend", **how: Any) -> Any:
        """Take in a post."""
        from wherry_apps.interview.service import jobs

        return jobs.upload(self.on, self.owner, self.company_id, title, text.encode(), "post.txt", **how)

    def make(self, kind: str, **content: Any) -> dict[str, Any]:
        """Store a record."""
        return records.create(self.on, self.owner, kind, content, self.owner)

    def started(self, *questions: dict[str, Any], job_id: int | None = None) -> dict[str, Any]:
        """Start an interview with questions of its own."""
        from wherry_apps.interview.forms import SessionForm
        from wherry_apps.interview.service import sessions

        job = job_id if job_id is not None else self.make("jobs", company_id=self.company_id, title="T")["id"]
        for one in questions:
            self.make("questions", **{"job_id": job, "question_type": "technical", "question_text": "질문", **one})
        form = SessionForm(applicant_id=self.applicant_id, job_id=job)
        return sessions.start(self.on, self.owner, form)


def shop_of(on: Interview, owner: str, **company: Any) -> Shop:
    """Make a company with an applicant."""
    made = records.create(on, owner, "companies", {"name": "나루 물류", **company}, owner)
    person = {"name": "김하늘", "age": 31, "education": "한강대학교", "gender": "여성", "email": f"{owner}@example.com"}
    return Shop(on, owner, made["id"], records.create(on, owner, "applicants", person, owner)["id"])


@pytest.fixture
def shop(on: Interview, owner: str) -> Shop:
    return shop_of(on, owner)


@pytest.fixture(scope="module")
def home(shared_home: Path) -> Iterator[Path]:
    """The shared state folder, for what lives as long as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHERRY_HOME", str(shared_home))
        yield shared_home


@pytest.fixture(scope="module")
def keys(home: Path) -> Iterator[wherry.Keys]:
    with wherry.Keys() as opened:
        opened.prepare()
        yield opened


@pytest.fixture(scope="module")
def serving() -> Any:
    """The application with Interview mounted."""
    limits = wherry.Settings(per_minute=100_000, burst=10_000)
    return wherry.create_app(limits, [app], logger(io.StringIO()))


@pytest.fixture(scope="module")
def client(home: Path, serving: Any) -> Iterator[TestClient]:
    """A client of the service."""
    with TestClient(serving, raise_server_exceptions=False) as opened:
        yield opened


def bearing(key: str) -> dict[str, str]:
    """Return the headers that carry a key."""
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def database_url(pg: psycopg.Connection) -> Iterator[str]:
    """The URL of an empty database of the shared server."""
    name = f"interview_{uuid4().hex[:10]}"
    pg.execute(f"CREATE DATABASE {name}".encode())
    found = psycopg.conninfo.conninfo_to_dict(server.start())
    yield f"postgresql://{found.get('user')}:hunter2@/{name}?host={found['host']}"
    pg.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
