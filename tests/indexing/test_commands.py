"""`wherry index` as people and scripts use it: files on disk, no key, exit codes, one JSON object."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.cli.commands import COMMAND, Said
from wherry.cli import main

Wherry = Callable[..., Said]
STATISTICS = {
    "scanned", "new", "modified", "metadata_only", "renamed", "deleted", "unchanged", "failed", "chunks_embedded",
    "chunks_reused", "tokens", "cost", "seconds", "run",
}  # fmt: skip


@pytest.fixture
def wherry(pg: psycopg.Connection, capsys: pytest.CaptureFixture[str]) -> Wherry:
    """The command, run inside this process."""

    def run(*args: str) -> Said:
        capsys.readouterr()
        code = main(args)
        return Said(code, *capsys.readouterr())

    return run


@pytest.fixture
def docs(tmp_path: Path, name: str) -> Path:
    """A folder of guides, whose texts no other test paid for."""
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(4):
        text = f"# 안내 {number}\n\n공복 혈당 {number}은 금식한 뒤에 잽니다. {name}\n"
        (folder / f"안내-{number}.md").write_text(text)
    return folder


def test_a_second_run_does_nothing(wherry: Wherry, docs: Path, name: str) -> None:
    first = wherry("index", str(docs), "--into", f"pgvector:#{name}", "--json")
    assert (first.code, first.json["new"], first.json["chunks_embedded"]) == (0, 4, 4)
    assert first.json.keys() >= STATISTICS
    second = wherry("index", str(docs), "--into", f"pgvector:#{name}", "--json")
    assert (second.code, second.json["unchanged"], second.json["run"]) == (0, 4, "")
    shown = wherry("index", "--into", f"pgvector:#{name}", str(docs))
    assert "Nothing to do: 4 documents" in shown.out


def test_every_act_of_an_index(wherry: Wherry, docs: Path, name: str, pg: psycopg.Connection) -> None:
    into = f"pgvector:#{name}"
    planned = wherry("index", "plan", str(docs), "--into", into, "--json")
    assert (planned.json["new"], planned.json["to_embed"], planned.json["cost"]) == (4, 4, 0.0)
    assert pg.execute("SELECT to_regclass(%s)", [name]).fetchone() == (None,)
    wherry("index", str(docs), "--into", into)
    assert wherry("index", "status", into, "--json").json["coverage"] == 1.0
    assert "4 in 4 chunks" in wherry("index", "status", into).out
    assert wherry("index", "verify", into, "--deep").out.startswith("sound")
    pg.execute(f"DELETE FROM {name} WHERE text LIKE '%혈당 2%'")
    damaged = wherry("index", "verify", into)
    assert (damaged.code, "missing: 안내-2.md, 1 chunks" in damaged.out) == (1, True)
    assert wherry("index", "status", into).code == 1
    mended = wherry("index", "repair", into, "--json")
    assert (mended.code, mended.json["modified"], mended.json["chunks_embedded"]) == (0, 1, 0)
    assert mended.json["repaired"]["marked"] == 1
    assert wherry("index", "verify", into).code == 0
    rebuilt = wherry("index", "rebuild", into, "--embedder", "hash:64", "--json")
    assert (rebuilt.json["serving"], rebuilt.json["embedder"]) == (2, "hash:64")
    assert wherry("index", str(docs), "--into", into, "--json").json["run"] == ""
    assert wherry("index", "rollback", into, "--json").json["serving"] == 1
    assert wherry("index", "prune", into, "--json").json["dropped"] == 1


def test_a_document_that_cannot_be_read_is_exit_5_and_retry_takes_it_up(wherry: Wherry, docs: Path, name: str) -> None:
    into = f"pgvector:#{name}"
    (docs / "kaputt.pdf").write_bytes(b"%PDF-1.7 and then nothing")
    said = wherry("index", str(docs), "--into", into)
    assert said.code == 5
    assert "failed: kaputt.pdf (BadRecord)" in said.out
    assert "next: wherry index retry" in said.out
    assert wherry("index", "retry", into).code == 5
    (docs / "kaputt.pdf").unlink()
    assert wherry("index", "retry", into, "--json").code == 0


def test_what_is_refused_says_what_to_do(wherry: Wherry, docs: Path, name: str) -> None:
    into = f"pgvector:#{name}"
    assert wherry("index", str(docs)).code == 2
    assert wherry("index", "status", into).code == 4
    assert wherry("index", str(docs / "nirgends"), "--into", into).code == 2
    wherry("index", str(docs), "--into", into)
    refused = wherry("index", str(docs), "--into", into, "--embedder", "hash:8", "--json")
    assert (refused.code, refused.json["error"]) == (3, "SpaceMismatch")
    assert f"wherry index rebuild 'pgvector:#{name}' --embedder hash:8" in refused.json["next"]


def test_help_names_every_act(wherry: Wherry) -> None:
    said = wherry("index", "--help")
    for act in ("plan", "status", "verify", "repair", "retry", "rebuild", "rollback", "prune", "watch"):
        assert act in said.out
        shown = wherry("index", act, "--help").out
        assert f"wherry index {act}" in shown.split("Example:")[1]


def test_watch_indexes_what_comes_and_ends_when_it_is_told(docs: Path, name: str, pg: psycopg.Connection) -> None:
    words = [*COMMAND, "index", "watch", str(docs), "--into", f"pgvector:#{name}", "--every", "0.1", "--json"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    try:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["new"] == 4
        (docs / "neu.md").write_text("# 새 글\n\n나중에 온 글입니다.\n")
        assert json.loads(process.stdout.readline())["new"] == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 130
    finally:
        process.kill()
        process.wait()
