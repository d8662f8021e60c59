"""sentence-transformers, where it is installed: a tiny model made here, nothing downloaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sentence_transformers")

from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Pooling, Transformer
from transformers import BertConfig, BertModel, BertTokenizerFast

from tests.models.kit import texts
from wherry.errors import BadRecord
from wherry.models.registry import open_embedder

WINDOW = 64


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights in a folder, as one would be downloaded."""
    folder = tmp_path_factory.mktemp("model")
    letters = sorted(set("".join(texts(12)) + "abcdefghijklmnopqrstuvwxyz0123456789혈당글."))
    pieces = [letter for letter in letters if letter != " "]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces, *(f"##{piece}" for piece in pieces)]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=WINDOW,
    )
    BertModel(config).save_pretrained(folder / "bert")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    transformer = Transformer(str(folder / "bert"), max_seq_length=WINDOW)
    SentenceTransformer(modules=[transformer, Pooling(32)]).save(str(folder / "st"))
    return folder / "st"


def test_documents_are_embedded_as_the_library_does(model: Path) -> None:
    embedder = open_embedder(f"st:{model}?device=cpu")
    found = embedder.embed(texts(10))
    bare = SentenceTransformer(str(model), device="cpu").encode(texts(10), normalize_embeddings=True)
    np.testing.assert_allclose(found, bare, atol=1e-5)
    card = embedder.space()
    assert (card.provider, card.dimension, card.normalised) == ("st", 32, True)
    assert (card.model_digest or "").startswith("xxh3:")
    assert embedder.account.cost == 0
    embedder.close()


def test_a_text_longer_than_the_model_reads_is_refused(model: Path) -> None:
    embedder = open_embedder(f"st:{model}?device=cpu")
    found = embedder.embed_each(["혈당", "혈당 " * 100, "글"])
    assert embedder.probe().too_long == "refused"
    assert isinstance(found[1], BadRecord)
    assert isinstance(found[0], np.ndarray)
    cut = open_embedder(f"st:{model}?device=cpu&truncate=true")
    assert cut.embed(["혈당 " * 100]).shape == (1, 32)
    assert cut.space().conflicts(embedder.space())


def test_fewer_components_are_of_unit_length_again(model: Path) -> None:
    embedder = open_embedder(f"st:{model}?device=cpu&dim=8")
    np.testing.assert_allclose(np.linalg.norm(embedder.embed(texts(3)), axis=1), 1, atol=1e-6)
    assert embedder.embed_query("혈당").shape == (8,)
