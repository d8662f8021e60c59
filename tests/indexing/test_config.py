"""wherry.toml: what it says, and what it says wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from wherry.errors import Usage
from wherry.indexing import config
from wherry.indexing.config import is_named, named_index, named_indexes

GOOD = """
[index.guides]
paths = ["docs/", "/절대/경로"]
into = "pgvector:#guides"
embedder = "ollama:qwen3-embedding:8b?dim=1024"
chunker = "markdown?size=1200"
include = ["*.md"]
exclude = ["초안"]
max_bytes = 1000000
columns = {text = "본문", metadata = ["등급"]}

[index."상품 안내"]
into = "pgvector:#products"
[index."상품 안내".sql]
url = "sqlite:///shop.db"
query = "SELECT id, name, description FROM products"
text = "description"
metadata = "name"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(config.VARIABLE, raising=False)
    return tmp_path


def write(folder: Path, text: str) -> None:
    """Write the settings file."""
    (folder / "wherry.toml").write_text(text, encoding="utf-8")


def test_an_index_is_what_its_table_says(folder: Path) -> None:
    write(folder, GOOD)
    found = named_index("guides")
    assert found.name == "guides"
    assert found.paths == (str(folder / "docs"), "/절대/경로")
    assert (found.into, found.embedder) == ("pgvector:#guides", "ollama:qwen3-embedding:8b?dim=1024")
    assert (found.chunker, found.include, found.exclude) == ("markdown?size=1200", ("*.md",), ("초안",))
    assert found.columns is not None
    assert found.columns.text == "본문"
    assert list(named_indexes()) == ["guides", "상품 안내"]


def test_a_query_is_a_source_named_like_the_index(folder: Path) -> None:
    write(folder, GOOD)
    found = named_index("상품 안내")
    assert found.sql is not None
    assert found.sql.metadata == ("name",)
    assert found.source().name == "상품 안내"


def test_paths_are_meant_from_the_file_and_open_as_one_source(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "설정/docs").mkdir(parents=True)
    (folder / "설정/docs/혈압.md").write_text("# 혈압")
    (folder / "설정/docs/초안.md").write_text("# 초안")
    write(folder / "설정", '[index.guides]\npaths = "docs"\ninto = "memory:#x"\nexclude = "초안.*"\n')
    monkeypatch.setenv(config.VARIABLE, "설정/wherry.toml")
    source = named_index("guides").source()
    assert source.name == "guides"
    assert [item.id for item in source.documents()] == ["혈압.md"]


def test_variables_come_from_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, '[index.a]\npaths = ["${DOCS}/x"]\ninto = "${SHOP}#a"\n')
    monkeypatch.setenv("SHOP", "postgresql://me:s3cret@host/db")
    monkeypatch.setenv("DOCS", "문서")
    found = named_index("a")
    assert found.into == "postgresql://me:s3cret@host/db#a"
    assert found.paths == (str(folder / "문서/x"),)
    assert "s3cret" not in repr(found)
    monkeypatch.delenv("SHOP")
    with pytest.raises(Usage, match=r"index\.a\.into: the environment variable SHOP is not set"):
        named_index("a")


@pytest.mark.parametrize(
    ("text", "what", "advice"),
    [
        ('[index.a]\npathz = ["x"]\ninto = "m"', "unknown key pathz in [index.a]", "keys: into, paths"),
        ('[index.a]\npaths = ["x"]\ninto = "m"\nname = "b"', "unknown key name", "brackets"),
        ('[index.a]\npaths = ["x"]', "index.a.into is missing", ""),
        ('[index.a]\ninto = "m"', "either paths or an sql query", ""),
        ('[index.a]\ninto = "m"\npaths = []', "either paths or an sql query", ""),
        ('[index.a]\npaths = [3]\ninto = "m"', "index.a.paths.0: Input should be a valid string", ""),
        ('[index.a]\npaths = ["x"]\ninto = 3', "index.a.into: Input should be a valid string", ""),
        ('[index.a]\npaths = ["x"]\ninto = "m"\nmax_bytes = 0', "index.a.max_bytes", ""),
        (
            '[index.a]\ninto = "m"\ninclude = ["*"]\nsql = {url = "sqlite://", query = "SELECT 1"}',
            "belong to paths",
            "",
        ),
        (
            '[index.a]\ninto = "m"\nsql = {url = "s", query = "q", foo = 1}',
            "unknown key foo in [index.a.sql]",
            "keys: url",
        ),
        ('[index.a]\ninto = "m"\nsql = {url = "s", query = "q", id = ""}', "index.a.sql.id", ""),
        (
            '[index.a]\npaths = ["x"]\ninto = "m"\ncolumns = {foo = 1}',
            "unknown key foo in [index.a.columns]",
            "keys: id",
        ),
        ('[index.a]\npaths = ["x"\n', "is no TOML", "correct"),
        ("[index]\na = 3", "index.a: Input should be a valid dictionary", ""),
        ("[indexes.a]\n", "unknown key indexes", "[index.NAME]"),
    ],
)
def test_what_is_wrong_is_named_with_its_key_and_file(folder: Path, text: str, what: str, advice: str) -> None:
    write(folder, text)
    with pytest.raises(Usage) as caught:
        named_index("a")
    assert what in str(caught.value)
    assert caught.value.where == str(folder / "wherry.toml")
    assert advice in caught.value.next


def test_a_value_that_is_wrong_is_not_repeated(folder: Path) -> None:
    write(folder, '[index.a]\npaths = ["x"]\ninto = ["postgresql://me:s3cret@host/db"]')
    with pytest.raises(Usage) as caught:
        named_index("a")
    assert "s3cret" not in f"{caught.value} {caught.value.to_dict()}"


def test_another_index_may_be_wrong(folder: Path) -> None:
    write(folder, '[index.a]\npaths = ["x"]\ninto = "m"\n[index.b]\nfoo = 1\n')
    assert named_index("a").name == "a"
    with pytest.raises(Usage, match=r"unknown key foo in \[index\.b\]"):
        named_indexes()


def test_a_name_that_is_not_there_is_answered_with_those_that_are(folder: Path) -> None:
    with pytest.raises(Usage, match="no settings file") as caught:
        named_index("guides")
    assert "[index.guides]" in caught.value.next
    write(folder, GOOD)
    with pytest.raises(Usage, match="no index is called 'guidez'") as caught:
        named_index("guidez")
    assert caught.value.next == "did you mean guides?"
    with pytest.raises(Usage) as caught:
        named_index("전혀 다른")
    assert "guides, 상품 안내" in caught.value.next
    write(folder, "")
    with pytest.raises(Usage) as caught:
        named_index("혈압")
    assert "[index.혈압]" in caught.value.next


def test_a_word_is_a_name_only_where_the_file_says_so(folder: Path) -> None:
    assert not is_named("guides")
    write(folder, GOOD)
    assert is_named("guides")
    assert not is_named("docs/")
    write(folder, "[[")
    with pytest.raises(Usage):
        is_named("guides")


def test_a_file_with_a_byte_order_mark_is_read(folder: Path) -> None:
    (folder / "wherry.toml").write_text(GOOD, encoding="utf-8-sig")
    assert named_index("guides", folder / "wherry.toml").name == "guides"
    (folder / "wherry.toml").write_bytes(GOOD.encode("cp949"))
    with pytest.raises(Usage, match="no TOML"):
        named_index("guides")
