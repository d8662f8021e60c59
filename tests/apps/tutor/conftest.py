"""One Tutor for all tests of a session, empty before each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient

import wherry
from tests.apps.serving import served
from tests.apps.tutor.papers import diag_file, exam
from wherry.cli import main
from wherry_apps.tutor import app
from wherry_apps.tutor.importing import read_paper
from wherry_apps.tutor.service import Tutor, open_service
from wherry_apps.tutor.tables import Base

_SETTINGS = (
    "WHERRY_TUTOR_LLM", "WHERRY_TUTOR_STORE", "WHERRY_TUTOR_EMBEDDER", "QDRANT_HOST", "QDRANT_PORT",
    "QDRANT_API_KEY", "QDRANT_COLLECTION_NAME", "EMBEDDING_BATCH_SIZE", "DATABASE_URL", "OLLAMA_HOST",
)  # fmt: skip
_UNHURRIED = wherry.Settings(per_minute=100_000, burst=100_000)


@pytest.fixture(scope="session")
def opened(shared_home: Path) -> Iterator[Tutor]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHERRY_HOME", str(shared_home))
        tutor = open_service(check=False)
    yield tutor
    tutor.close()


@pytest.fixture
def tutor(pg: psycopg.Connection, opened: Tutor, wherry_home: Path, monkeypatch: pytest.MonkeyPatch) -> Tutor:
    """An empty Tutor on the shared server, in the schema that commands and endpoints use too."""
    for name in _SETTINGS:
        monkeypatch.delenv(name, raising=False)
    with opened.db.begin() as connection:
        tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
        connection.exec_driver_sql(f"TRUNCATE {tables} RESTART IDENTITY CASCADE")
        connection.exec_driver_sql("DROP TABLE IF EXISTS tutor_vectors.questions")
    shutil.rmtree(wherry_home / "tutor", ignore_errors=True)
    return opened


@pytest.fixture
def approved(tutor: Tutor) -> Tutor:
    """A Tutor with 40 approved and indexed questions, and an open test of 30 more."""
    tutor.import_paper(read_paper(exam(40), "2030.json"))
    made = tutor.import_paper(read_paper(diag_file(), "diag.json"))
    found = tutor.approve(tutor.bank.pending(), "prof")
    assert found["indexed"]
    tutor.diagnosis.activate(made["test"])
    return tutor


Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def run(tutor: Tutor, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return what runs `wherry tutor ... --json` and gives exit code and object."""

    def ran(*args: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = main(["tutor", *args, "--json"])
        said = capsys.readouterr()
        text = said.out.strip() or said.err.strip()
        return code, json.loads(text)

    return ran


@pytest.fixture
def keys(tutor: Tutor) -> Iterator[wherry.Keys]:
    with wherry.Keys() as made:
        made.prepare()
        yield made


@pytest.fixture
def client(tutor: Tutor) -> Iterator[TestClient]:
    with TestClient(served(app, _UNHURRIED), raise_server_exceptions=False) as started:
        yield started


Bearing = dict[str, str]


@pytest.fixture
def kim(keys: wherry.Keys) -> Bearing:
    return {"Authorization": f"Bearer {keys.add('kim')}"}


@pytest.fixture
def lee(keys: wherry.Keys) -> Bearing:
    return {"Authorization": f"Bearer {keys.add('lee')}"}


@pytest.fixture
def prof(keys: wherry.Keys) -> Bearing:
    return {"Authorization": f"Bearer {keys.add('prof', operator=True)}"}
