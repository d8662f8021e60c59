"""SIGKILL at a chosen request of a sync from LlamaCloud: run again, it goes on and ends equal."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import wherry
from tests.stores.llamacloud_kit import KEY, TEXTS, address, filled, texts
from wherry.stores.registry import open_source
from wherry.testing.crash import Runner
from wherry.testing.llamacloud_server import LlamaCloudServer

pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")

DOCUMENTS, PAGE = 12, 5
# Of a whole run: the name, a list of 3 pages, 12 documents, the list again, the states, the list twice more.
REQUESTS = (1, 3, 7, 12, 16, 18, 20, 23, 26)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LlamaCloudServer]:
    monkeypatch.setenv("LLAMA_CLOUD_API_KEY", KEY)
    with LlamaCloudServer(api_key=KEY, most=PAGE) as running:
        yield running


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of the children."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def runner(home: Path) -> Iterator[Runner]:
    """A runner whose children have everything imported."""
    imports = ["tests.stores.llamacloud_kit", "wherry.stores.llamacloud.source", "wherry.stores.archive"]
    with Runner({"LLAMA_CLOUD_API_KEY": KEY, "WHERRY_HOME": str(home)}, imports) as running:
        yield running


def _kill(note: Path) -> None:
    os.kill(int(note.read_text()), signal.SIGKILL)


@pytest.mark.parametrize("nth", REQUESTS)
def test_killed_at_a_request(
    server: LlamaCloudServer, runner: Runner, home: Path, tmp_path: Path, nth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHERRY_HOME", str(home))
    filled(server, documents=DOCUMENTS)
    note, target = tmp_path / "pid", str(tmp_path / "copy.json")
    source = address(server, concurrency=1)
    server.when("", nth, lambda: _kill(note))
    ending = runner.call("tests.stores.llamacloud_kit:sync_noting_process", source, target, str(note))
    assert ending.killed, ending
    done = server.asked("/chunks")
    assert wherry.sync(source, target).equal
    assert texts(open_source(target)) == sorted(f"{n}. {t}" for n in range(DOCUMENTS) for t in TEXTS)
    # Asked for again are the document under way and the two whose answers waited to be kept.
    assert server.asked("/chunks") <= done + DOCUMENTS - max(0, done - 3)
    assert wherry.verify(source, target).equal
