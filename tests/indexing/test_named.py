"""Indexes that wherry.toml names, from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.indexing.test_commands import Wherry, docs, wherry  # noqa: F401


def test_a_name_suffices(wherry: Wherry, docs: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    folder = docs.parent
    (folder / "wherry.toml").write_text(
        f'[index.guides]\npaths = ["docs/"]\ninto = "pgvector:#{name}"\nembedder = "hash:32"\nexclude = ["*-3*"]\n'
    )
    monkeypatch.chdir(folder)
    first = wherry("index", "guides", "--json")
    assert (first.code, first.json["new"], first.json["embedder"]) == (0, 3, "hash:32")
    assert wherry("index", "guides", "--json").json["run"] == ""
    assert wherry("index", "status", "guides", "--json").json["documents"] == 3
    assert wherry("index", "plan", "guides", "--json").json["unchanged"] == 3
    assert wherry("index", "rebuild", "guides", "--embedder", "hash:48", "--json").json["serving"] == 2
    (docs / "안내-1.md").write_text("# 새 안내\n\n다시 쓴 글입니다.\n")
    monkeypatch.chdir("/")
    again = wherry("index", "retry", f"pgvector:#{name}", "--json")
    assert (again.code, again.json["modified"]) == (0, 1), "the file that named the index is remembered"


def test_a_word_that_is_no_name_needs_an_address(wherry: Wherry, docs: Path) -> None:  # noqa: F811
    said = wherry("index", str(docs))
    assert (said.code, "wherry.toml" in said.err) == (2, True)
