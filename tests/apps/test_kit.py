"""What apps stand on: their database, their endpoints, their commands, their work in the background."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from uuid import uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

import wherry
from tests.apps.notes import app, service
from tests.apps.notes.service import Notes
from wherry.apps import installed
from wherry.cli import main
from wherry.errors import AuthFailed, TimedOut, Unreachable
from wherry.postgres import server
from wherry.service.logs import logger

PASSWORD = "hunter2-geheim"


@pytest.fixture
def notes(pg: psycopg.Connection) -> Iterator[Notes]:
    opened = Notes()
    with opened.database.begin() as connection:
        connection.execute(text("DELETE FROM notes"))
    yield opened
    opened.close()


@pytest.fixture
def client(notes: Notes) -> Iterator[TestClient]:
    with TestClient(wherry.create_app(wherry.Settings(), [app], logger(io.StringIO()))) as opened:
        yield opened


@pytest.fixture
def keys(pg: psycopg.Connection) -> Iterator[wherry.Keys]:
    with wherry.Keys() as opened:
        opened.prepare()
        yield opened


def bearing(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_tables_are_made_once_and_agree_with_the_models(notes: Notes) -> None:
    notes.database.upgrade()
    assert notes.database.revision() == "0001"
    assert notes.database.drift() == []
    found = notes.database.check()
    assert found["missing_tables"] == found["missing_indexes"] == []
    assert (found["schema"], found["indexes"]) == ("notes", ["idx_notes_embedding"])


def test_drift_names_what_the_tables_lack(notes: Notes) -> None:
    with notes.database.begin() as connection:
        connection.execute(text("ALTER TABLE notes ADD COLUMN stray int"))
    try:
        assert len(notes.database.drift()) == 1
        assert "stray" in notes.database.drift()[0]
    finally:
        with notes.database.begin() as connection:
            connection.execute(text("ALTER TABLE notes DROP COLUMN stray"))


def test_the_form_of_a_vector_index_is_for_tune_to_choose(notes: Notes) -> None:
    with notes.database.begin() as connection:
        (made,) = connection.scalars(text("SELECT indexdef FROM pg_indexes WHERE indexname = 'idx_notes_embedding'"))
        connection.execute(text("DROP INDEX idx_notes_embedding"))
        connection.execute(
            text(
                "CREATE INDEX idx_notes_embedding ON notes"
                " USING hnsw ((binary_quantize(embedding)::bit(3)) bit_hamming_ops)"
            )
        )
    try:
        assert notes.database.drift() == []
    finally:
        with notes.database.begin() as connection:
            connection.execute(text("DROP INDEX idx_notes_embedding"))
    try:
        assert "idx_notes_embedding" in notes.database.drift()[0]
    finally:
        with notes.database.begin() as connection:
            connection.execute(text(made))


def test_a_session_that_fails_leaves_nothing(notes: Notes) -> None:
    notes.add("local", "하나", "첫 번째")
    with pytest.raises(wherry.Conflict, match="notes_title_key") as caught:
        notes.add("local", "하나", "두 번째")
    assert "두 번째" not in str(caught.value)
    assert notes.titles(None) == ["하나"]


def test_search_over_the_apps_own_table_keeps_to_the_owner(notes: Notes) -> None:
    notes.add("a", "혈당", "공복혈당 100 미만은 정상입니다")
    notes.add("b", "혈압", "공복혈당 100 미만은 정상입니다")
    found = notes.find("a", "공복혈당")
    assert [hit.metadata["title"] for hit in found.hits] == ["혈당"]


def test_a_database_of_the_users_own_keeps_its_tables_in_public(pg: psycopg.Connection) -> None:
    named = f"own_{uuid4().hex[:8]}"
    pg.execute(f"CREATE DATABASE {named}")
    url = psycopg.conninfo.conninfo_to_dict(server.start())
    own = Notes(f"postgresql+psycopg2://{url['user']}@/{named}?host={url['host']}&port={url['port']}")
    try:
        own.add("local", "제목", "본문")
        assert own.database.check()["schema"] == "public"
        assert own.database.drift() == []
        assert [hit.metadata["title"] for hit in own.find("local", "본문").hits] == ["제목"]
    finally:
        own.close()
        pg.execute(f"DROP DATABASE {named} WITH (FORCE)")


def test_a_user_who_may_make_no_schema_has_tables_in_public(pg: psycopg.Connection) -> None:
    named = f"own_{uuid4().hex[:8]}"
    pg.execute(f"CREATE ROLE {named} LOGIN PASSWORD 'x'")
    pg.execute(f"CREATE DATABASE {named}")
    conninfo = psycopg.conninfo.conninfo_to_dict(server.start())
    with psycopg.connect(**{**conninfo, "dbname": named}, autocommit=True) as admin:
        admin.execute("CREATE EXTENSION vector")
        admin.execute(f"GRANT CREATE, USAGE ON SCHEMA public TO {named}")
    own = Notes(f"postgresql://{named}:x@/{named}?host={conninfo['host']}&port={conninfo['port']}")
    try:
        assert own.add("local", "제목", "본문") > 0
    finally:
        own.close()
        pg.execute(f"DROP DATABASE {named} WITH (FORCE)")
        pg.execute(f"DROP ROLE {named}")


@pytest.mark.parametrize("url", [f"postgresql://u:{PASSWORD}@127.0.0.1:9/db", f"postgres://u:{PASSWORD}@[::1]:9/db"])
def test_a_server_that_does_not_answer_is_exit_4_and_no_password_shows(url: str) -> None:
    with pytest.raises((Unreachable, AuthFailed)) as caught:
        Notes(url)
    assert caught.value.exit_code == 4
    assert PASSWORD not in f"{caught.value!s}{caught.value!r}{caught.value.to_dict()}"


def test_a_pool_in_use_names_its_variables(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SIZE": "1", "TIMEOUT": "0.1"}.items():
        monkeypatch.setenv(f"DB_POOL_{name}", value)
    monkeypatch.setenv("DB_MAX_OVERFLOW", "0")
    small = Notes()
    with small.database.session() as held:
        held.execute(text("SELECT 1"))
        with pytest.raises(TimedOut, match="pool") as caught:
            small.titles(None)
    assert "DB_POOL_SIZE" in caught.value.next
    small.close()


def test_an_unfit_pool_size_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_POOL_SIZE", "many")
    with pytest.raises(wherry.Usage, match="DB_POOL_SIZE"):
        Notes()


def test_endpoints_keep_to_the_tenant_of_the_key(client: TestClient, keys: wherry.Keys) -> None:
    a, b = bearing(keys.add("anna")), bearing(keys.add("bela"))
    made = client.post("/api/notes/notes", json={"title": "하나", "body": "본문"}, headers=a)
    assert made.status_code == 201
    place = f"/api/notes/notes/{made.json()['id']}"
    assert client.get(place, headers=a).json() == {"title": "하나"}
    theirs, nobodys = client.get(place, headers=b), client.get("/api/notes/notes/0", headers=b)
    assert theirs.status_code == 404
    assert theirs.content == nobodys.content
    assert client.get(place).status_code == 401
    again = client.post("/api/notes/notes", json={"title": "하나", "body": "본문"}, headers=a)
    assert again.status_code == 409


def test_a_bad_record_names_its_fields(client: TestClient, keys: wherry.Keys) -> None:
    answered = client.get("/api/notes/bad", headers=bearing(keys.add("anna")))
    assert answered.status_code == 422
    assert answered.json()["fields"] == ["height", "weight"]


def test_pieces_arrive_as_events_and_an_error_ends_them(client: TestClient, keys: wherry.Keys) -> None:
    headers = bearing(keys.add("anna"))

    def pieces(path: str) -> list[dict[str, object]]:
        answered = client.get(path, headers=headers)
        assert answered.headers["content-type"].startswith("text/event-stream")
        return [json.loads(line.removeprefix("data: ")) for line in answered.text.split("\n\n") if line]

    assert pieces("/api/notes/stream") == [{"answer": "하나", "done": False}, {"answer": "", "done": True}]
    assert pieces("/api/notes/stream?fail=true")[1:] == [
        {"done": True, "error": {"code": "StoreError", "message": "The store failed."}}
    ]


def test_an_app_may_take_larger_requests_than_the_core(client: TestClient, keys: wherry.Keys) -> None:
    headers = bearing(keys.add("anna"))
    assert client.post("/api/notes/notes", json={"title": "a", "body": "x" * 1_500_000}, headers=headers).is_success
    assert client.post("/api/notes/notes", content=b"x" * 2_100_000, headers=headers).status_code == 413
    assert client.post("/api/v1/routes/r/ask", content=b"x" * 1_500_000, headers=headers).status_code == 413


def test_background_work_begins_after_the_start_and_ends_with_the_service(notes: Notes) -> None:
    service.works.clear()
    with TestClient(wherry.create_app(wherry.Settings(), [app], logger(io.StringIO()))):
        deadline = time.monotonic() + 10
        while not service.works and time.monotonic() < deadline:
            time.sleep(0.01)
        assert service.works[0].counted.wait(10)
    assert service.works[0].stopped


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("notes", "tests.apps.notes:app", installed.GROUP)
    monkeypatch.setattr(installed, "entry_points", lambda group: [entry])


def test_commands_of_an_app_are_commands_of_wherry(
    notes: Notes, named: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["notes", "add", "하나", "본문", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] > 0
    assert main(["notes", "list"]) == 0
    assert capsys.readouterr().out.strip() == "하나"
    assert main(["notes", "add", "하나", "본문"]) == 3
    assert "error: another row of notes" in capsys.readouterr().err
    assert main(["--help"]) == 0
    assert "Notes that can be asked." in capsys.readouterr().out
    assert main(["notes", "nonsense"]) == 2


def test_an_app_that_cannot_be_loaded_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("broken", "tests.apps.nowhere:app", installed.GROUP)
    monkeypatch.setattr(installed, "entry_points", lambda group: [entry])
    with pytest.raises(wherry.Usage, match="broken cannot be loaded"):
        installed.find("broken")
    with pytest.raises(wherry.Usage, match="no app is called 'other'"):
        installed.find("other")


@pytest.mark.parametrize("name", ["", "Notes", "a/b", "x" * 40])
def test_names_of_apps_are_plain(name: str) -> None:
    with pytest.raises(wherry.Usage):
        wherry.App(name=name, about="")
