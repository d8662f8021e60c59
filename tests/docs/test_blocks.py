"""Every command and every code block of the documents runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, RUN, SHOWN, Block, blocks, pages
from tests.docs.servers import around

_WITH_CODE = [page for page in pages() if any(block.language in RUN for block in blocks(page))]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("page", _WITH_CODE, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_the_page_runs(page: Path, tmp_path: Path) -> None:
    with around(page) as variables:
        for block in blocks(page):
            if block.language in RUN and block.note != "make":
                _run(block, tmp_path, variables)


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


def _run(block: Block, folder: Path, variables: dict[str, str]) -> None:
    # No WHERRY_* from outside: the reader has none either.
    env = {name: value for name, value in os.environ.items() if not name.startswith("WHERRY_")}
    env |= variables
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c"] if block.language == "sh" else [sys.executable, "-c"]
    done = subprocess.run(
        [*command, block.body], cwd=folder, env=env, capture_output=True, text=True, timeout=200, check=False
    )
    where = f"{block.page.name}:{block.line}"
    assert done.returncode == block.exit_code, f"{where} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
