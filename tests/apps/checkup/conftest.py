"""One database for every test of checkup, and one library that was moved and switched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import wherry
from tests.apps.checkup import kit
from wherry.postgres import server
from wherry_apps.checkup.places import Places, places
from wherry_apps.checkup.service import Checkup
from wherry_apps.checkup.tables import database as opened

VARIABLES = (
    "USE_LOCAL_VECTOR_DB", "LOCAL_VECTOR_DB_PATH", "LOCAL_VECTOR_DB_COLLECTION", "CHECKUP_ROOT", "CHECKUP_EMBEDDER",
    "CHECKUP_CHAT", "CHECKUP_BANDS", "DATABASE_URL", "OPENAI_API_KEY", "GOOGLE_GEMINI_API_KEY", "LLAMAINDEX_API_KEY",
)  # fmt: skip


@pytest.fixture(autouse=True)
def clean(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the machine is set up for; a client of the endpoints has a root of its own."""
    for name in VARIABLES:
        if name != "CHECKUP_ROOT" or "client" not in request.fixturenames:
            monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def base(shared_home: Path) -> Iterator[Path]:
    """The state folder for what is made once."""
    with pytest.MonkeyPatch.context() as patch:
        for name in VARIABLES:
            patch.delenv(name, raising=False)
        patch.setenv("WHERRY_HOME", str(shared_home))
        server.start()
        yield shared_home


@pytest.fixture(scope="session")
def database(base: Path) -> Iterator[wherry.AppDatabase]:
    """The database of the app."""
    made = opened()
    yield made
    made.close()


@pytest.fixture(scope="session")
def moved(database: wherry.AppDatabase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a service whose library was moved and switched; nobody changes it."""
    folder = tmp_path_factory.mktemp("moved")
    kit.switched(database, folder / "welno", kit.l1(folder), folder / "q.txt")
    return folder / "welno"


@pytest.fixture
def where(moved: Path) -> Places:
    """The places of the moved library."""
    return places(moved)


@pytest.fixture
def service(where: Places) -> Iterator[Checkup]:
    """The service over the moved library."""
    with Checkup(where) as made:
        yield made
