"""Every command and every code block of the documents runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.docs.blocks import ROOT, RUN, SHOWN, Block, blocks, pages
from tests.docs.servers import around
from tests.docs.warm import Warm
from wherry.postgres import server

# Read first, so it is run as it is read: each command in a process of its own, with nothing kept warm.
_AS_READ = ROOT / "README.md"
# What the embedded server writes when it starts.
_STARTED = "postmaster.opts"
_WITH_CODE = [page for page in pages() if any(block.language in RUN for block in blocks(page))]


@pytest.fixture(scope="module")
def warm() -> Iterator[Path]:
    """The folder of programs that need no start of an interpreter."""
    with tempfile.TemporaryDirectory(prefix="wherry-warm-") as folder, Warm(Path(folder)) as process:
        yield process.programs


@pytest.fixture
def folder() -> Iterator[Path]:
    """The reader's folder. A short path: drivers name the server's socket by it, which may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="page-", ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    """The data of an embedded server as a first command makes it, made once; without waiting for a disk."""
    with tempfile.TemporaryDirectory(prefix="wherry-data-") as home, pytest.MonkeyPatch.context() as patch:
        Path(home).chmod(0o755)
        patch.setenv("WHERRY_HOME", home)
        with psycopg.connect(server.start(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")
        server.stop()
        (server.data_folder() / _STARTED).unlink()
        yield server.data_folder()


@pytest.fixture
def kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """A function that keeps the page's embedded server running once a command has started it, until the page ends."""
    monkeypatch.setenv("WHERRY_HOME", str(folder / ".wherry"))

    def keep() -> None:
        if (server.data_folder() / _STARTED).exists() and not server.is_running():
            server.start()

    yield keep
    server.stop()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("page", _WITH_CODE, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_the_page_runs(
    page: Path, folder: Path, warm: Path, cluster: Path, kept: Callable[[], None]
) -> None:
    as_read = page == _AS_READ
    if not as_read:
        server.data_folder().parent.mkdir()
        # The data belong to the user that the server runs as.
        subprocess.run(["cp", "-a", cluster, server.data_folder()], check=True)
    with around(page) as variables:
        for block in blocks(page):
            if block.language in RUN and block.note != "make":
                _run(block, folder, variables, None if as_read else warm)
                if not as_read:
                    kept()


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_says_what_it_is(page: Path) -> None:
    for block in blocks(page):
        assert block.language in RUN | SHOWN, f"{page.name}:{block.line}: a block in {block.language!r}"


def test_the_make_targets_the_documents_name_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in pages():
        for target in re.findall(r"`make (\w+)`|^make (\w+)", page.read_text(encoding="utf-8"), re.M):
            assert re.search(rf"^{''.join(target)}:", makefile, re.M), f"{page.name} names make {''.join(target)}"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_the_documents_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), f"{page.name} links to {link}"


def _run(block: Block, folder: Path, variables: dict[str, str], warm: Path | None) -> None:
    # No WHERRY_* from outside: the reader has none either.
    env = {name: value for name, value in os.environ.items() if not name.startswith("WHERRY_")}
    env |= variables
    env["PATH"] = os.pathsep.join([*([str(warm)] if warm else []), str(Path(sys.executable).parent), env["PATH"]])
    python = str(warm / "python") if warm else sys.executable
    command = ["bash", "-euo", "pipefail", "-c"] if block.language == "sh" else [python, "-c"]
    done = subprocess.run(
        [*command, block.body], cwd=folder, env=env, capture_output=True, text=True, timeout=200, check=False
    )
    where = f"{block.page.name}:{block.line}"
    assert done.returncode == block.exit_code, f"{where} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
