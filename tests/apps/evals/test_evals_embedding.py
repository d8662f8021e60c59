"""Which model is chosen, how it is asked, and what its answers must be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from wherry import BadAnswer, BadRecord, StoreError, Unreachable, Usage
from wherry.testing.model_server import Fault, Lie
from wherry.testing.ollama_server import OllamaServer
from wherry_apps.evals.embedding import Choice, RunEmbedder, chosen
from wherry_apps.evals.settings import Settings


@pytest.fixture
def ollama() -> Iterator[OllamaServer]:
    with OllamaServer("qwen3-embedding:8b", dimension=64) as server:
        yield server


def embedder(ollama: OllamaServer, dim: int | None = 32, batch: int = 32) -> tuple[RunEmbedder, list[float]]:
    waited: list[float] = []
    choice = Choice("ollama", "qwen3-embedding:8b", dim, ollama.url)
    return RunEmbedder(choice, batch, wait=waited.append), waited


@pytest.mark.parametrize(
    ("profile", "name", "dim"),
    [
        ("ollama", "qwen3-embedding:8b", 1024), ("dev", "qwen3-embedding:0.6b", 256),
        ("prod", "qwen3-embedding:8b", 1024), ("offline", "1024", None),
    ],
)  # fmt: skip
def test_every_profile_names_a_model(profile: str, name: str, dim: int | None) -> None:
    found = chosen(None, None, Settings(EVALVAULT_RAG_EMBEDDING_PROFILE=profile))
    assert (found.name, found.dim) == (name, dim)


@pytest.mark.parametrize(
    ("model", "dim", "wanted"),
    [
        ("qwen3-embedding:8b", None, Choice("ollama", "qwen3-embedding:8b", 1024)),
        ("qwen3-embedding:8b", 512, Choice("ollama", "qwen3-embedding:8b", 512)),
        ("nomic-embed-text", None, Choice("ollama", "nomic-embed-text", None)),
        ("bge-m3:latest", None, Choice("ollama", "bge-m3:latest", None)),
        ("hf.co/x/y", None, Choice("ollama", "hf.co/x/y", None)),
        ("hash:1024", 256, Choice("hash", "1024", 256)),
        ("ollama:qwen3-embedding:8b?dim=256", None, Choice("ollama", "qwen3-embedding:8b", 256)),
    ],
)
def test_a_name_is_one_of_ollama_or_a_spec_of_the_core(model: str, dim: int | None, wanted: Choice) -> None:
    assert chosen(model, dim, Settings()) == wanted


def test_the_settings_name_the_model_of_the_profile_ollama() -> None:
    settings = Settings(EVALVAULT_RAG_EMBEDDING_PROFILE="ollama", OLLAMA_EMBEDDING_MODEL="bge-m3")
    assert chosen(None, 512, settings) == Choice("ollama", "bge-m3", 512)


@pytest.mark.parametrize(("model", "dim"), [("qwen3-embedding:8b", 8192), ("qwen3-embedding:8b", 4096), ("hash:8", 9)])
def test_a_dimension_that_cannot_be_is_refused_before_anybody_is_asked(model: str, dim: int) -> None:
    with pytest.raises(Usage):
        chosen(model, dim, Settings())
    if dim == 4096:
        assert chosen(model, dim, Settings(EVALVAULT_RAG_PGVECTOR_INDEX="none")).dim == 4096


def test_vectors_are_cut_and_have_length_one(ollama: OllamaServer) -> None:
    asked, waited = embedder(ollama)
    vectors = asked.embed(["보증 기간", "할인율"])
    assert vectors.shape == (2, 32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert asked.record() == {"provider": "ollama", "model": "qwen3-embedding:8b", "dim": 32, "normalised": True}
    assert waited == []
    asked.close()


def test_texts_go_in_batches(ollama: OllamaServer) -> None:
    asked, _ = embedder(ollama, batch=8)
    asked.embed([f"글 {n}" for n in range(20)])
    sizes = [len(one.body["input"]) for one in ollama.asked if one.path == "/api/embed"]
    assert max(sizes) == 8
    assert sum(sizes) >= 20
    asked.close()


@pytest.mark.parametrize("status", [429, 500, 503, None])
def test_what_may_pass_is_tried_three_times(ollama: OllamaServer, status: int | None) -> None:
    asked, waited = embedder(ollama)
    asked.embed(["먼저"])
    ollama.fail(Fault(status, path="/api/embed", times=2))
    assert asked.embed(["다시"]).shape == (1, 32)
    assert waited == [1.0, 2.0]
    ollama.fail(Fault(status, path="/api/embed", times=3))
    with pytest.raises(StoreError):
        asked.embed(["또 다시"])
    assert waited == [1.0, 2.0, 1.0, 2.0]
    asked.close()


def test_what_never_passes_is_tried_once(ollama: OllamaServer) -> None:
    asked, waited = embedder(ollama)
    ollama.models.clear()
    with pytest.raises(StoreError):
        asked.embed(["글"])
    assert waited == []
    asked.close()


@pytest.mark.parametrize("lie", [Lie.FEWER, Lie.MORE, Lie.NARROWER])
def test_a_reply_of_another_count_or_width_is_asked_again_and_then_an_error(ollama: OllamaServer, lie: Lie) -> None:
    asked, waited = embedder(ollama)
    asked.embed(["먼저 하나", "먼저 둘"])
    ollama.lie(lie, 1)
    assert asked.embed(["다시 하나", "다시 둘"]).shape == (2, 32)
    assert waited == [1.0]
    ollama.lie(lie, 3)
    with pytest.raises(BadAnswer):
        asked.embed(["또 하나", "또 둘"])
    asked.close()


def test_a_text_that_cannot_be_embedded_is_bad_alone(ollama: OllamaServer) -> None:
    asked, _ = embedder(ollama)
    good, bad = asked.embed_each(["글", "  "])
    assert isinstance(good, np.ndarray)
    assert isinstance(bad, BadRecord)
    asked.close()


def test_a_server_that_is_not_there_is_unreachable() -> None:
    waited: list[float] = []
    asked = RunEmbedder(Choice("ollama", "m", 8, "http://127.0.0.1:1"), wait=waited.append)
    with pytest.raises(Unreachable):
        asked.embed(["글"])
    assert waited == [1.0, 2.0]
    asked.close()
