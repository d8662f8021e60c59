"""The model of a question is the one that made the collection: its server, its dimension, its prompts."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

import wherry
from wherry.answering.search import Searcher
from wherry.testing.ollama_server import OllamaServer
from wherry.testing.openai_server import OpenAIServer


@pytest.fixture
def guides(tmp_path: Path) -> Path:
    folder = tmp_path / "guides"
    folder.mkdir()
    (folder / "혈당.md").write_text("# 혈당\n\n공복 혈당 100 미만은 정상으로 봅니다.\n", encoding="utf-8")
    (folder / "준비.md").write_text("# 검진 준비\n\n검진 전날 밤부터 금식합니다.\n", encoding="utf-8")
    return folder


def test_an_index_remembers_the_server_and_the_dimension(
    pg: psycopg.Connection, guides: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-test")
    with OpenAIServer(key="sk-of-the-test") as server:
        spec = f"openai:text-embedding-3-small?base_url={server.url}/v1&dim=32"
        wherry.index(str(guides), f"pgvector:#{name}", embedder=spec)
        asked = len(server.asked)
        found = wherry.search("금식은 언제부터?", in_=f"pgvector:#{name}", mode="vector", k=1)
        assert "금식" in (found[0].text or "")
        assert len(server.asked) > asked
        assert server.asked[-1].body["dimensions"] == 32


def test_a_copy_is_asked_with_as_many_components_as_its_card_says(
    pg: psycopg.Connection, guides: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-test")
    copy = f"chroma:{tmp_path / 'db'}#guides"
    with OpenAIServer(key="sk-of-the-test") as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        wherry.index(str(guides), f"pgvector:#{name}", embedder="openai:text-embedding-3-small?dim=32")
        wherry.sync(f"pgvector:#{name}", copy)
        assert "금식" in (wherry.search("금식은 언제부터?", in_=copy, mode="vector", k=1)[0].text or "")


def test_a_card_brings_its_prompt_and_no_server(
    pg: psycopg.Connection, guides: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file from somebody else must not decide whom questions are sent to."""
    copy = str(tmp_path / "copy.parquet")
    with OllamaServer("nomic-embed-text") as server, OllamaServer("nomic-embed-text") as usual:
        monkeypatch.setenv("OLLAMA_HOST", usual.url)
        spec = f"ollama:nomic-embed-text?base_url={server.url}&query_prompt=search_query:%20"
        wherry.index(str(guides), f"pgvector:#{name}", embedder=spec)
        wherry.sync(f"pgvector:#{name}", copy)
        before = len(server.asked)
        store = wherry.open_source(copy)
        searcher = Searcher(store)
        assert searcher.search("금식은 언제부터?", 1, "vector")[0].id
        assert len(server.asked) == before
        assert usual.asked[-1].body["input"] == ["search_query: 금식은 언제부터?"]
        searcher.close()
        store.close()


def test_where_a_program_s_own_model_made_an_index_the_card_has_to_do(
    pg: psycopg.Connection, guides: Path, name: str
) -> None:
    class Own:
        spec = "house:special"

        def __init__(self) -> None:
            self._inner = wherry.open_embedder("hash:64")

        def __getattr__(self, wanted: str) -> object:
            return getattr(self._inner, wanted)

    wherry.index(str(guides), f"pgvector:#{name}", embedder=Own())  # type: ignore[arg-type]
    assert wherry.search("금식", in_=f"pgvector:#{name}", mode="vector", k=1)[0].id
