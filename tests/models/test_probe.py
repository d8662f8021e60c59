"""The start-up probe: a model that would damage an index is found out before it is used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.models.kit import DIMENSION, opened, patience, texts
from wherry.errors import AuthFailed, BadAnswer, BadRecord, Rejected
from wherry.models.hashing import HashEmbedder
from wherry.models.probe import Probe, probed
from wherry.models.registry import guarded
from wherry.space import Space
from wherry.testing.model_server import Fault, Lie
from wherry.testing.openai_server import OpenAIServer


class Altered:
    """An embedder whose vectors are changed on the way: by the whole of one answer."""

    spec = "altered:model"

    def __init__(self, change: object) -> None:
        self._change = change
        self.sizes: list[int] = []

    def space(self) -> Space:
        """Return the usual card."""
        return HashEmbedder(DIMENSION).space()

    def embed(self, wanted: Sequence[str]) -> np.ndarray:
        """Embed, then change."""
        self.sizes.append(len(wanted))
        return self._change(HashEmbedder(DIMENSION).embed(wanted))  # type: ignore[operator]

    def embed_query(self, text: str) -> np.ndarray:
        """Embed."""
        return self.embed([text])[0]

    def close(self) -> None:
        """Do nothing."""


def nudged(rows: np.ndarray, by: float) -> np.ndarray:
    """Turn vectors a little when they come in company."""
    noise = np.random.default_rng(len(rows)).normal(size=(1, rows.shape[1]))
    return rows if len(rows) == 1 else (rows + by * noise / np.linalg.norm(noise)).astype(np.float32)


def test_a_sound_model_is_described() -> None:
    with OpenAIServer(text_tokens=50) as server, opened(server, "&window=50") as embedder:
        assert embedder.probe() == Probe(DIMENSION, True, False, True, "refused")
        assert embedder.probe().to_dict()["too_long"] == "refused"
        assert len(server.asked) == 3, "and only once"


@pytest.mark.parametrize("lie", list(Lie))
def test_a_lie_is_found_before_anything_is_embedded(lie: Lie) -> None:
    with OpenAIServer() as server, opened(server) as embedder:
        server.lie(lie)
        with pytest.raises(BadAnswer):
            embedder.embed_each(texts(3))
        assert not any("검진" in text for text in server.embedded)


def test_equal_texts_must_get_equal_vectors() -> None:
    unequal = Altered(lambda rows: rows * np.linspace(1, -1, len(rows))[:, None] if len(rows) > 1 else rows)
    with pytest.raises(BadAnswer, match="equal texts"):
        guarded(unequal).probe()


def test_different_texts_must_get_different_vectors() -> None:
    with pytest.raises(BadAnswer, match="different texts"):
        guarded(Altered(lambda rows: np.repeat(rows[:1] * 0 + 0.125, len(rows), axis=0))).probe()


def test_another_vector_in_a_batch_than_alone_is_refused() -> None:
    with pytest.raises(BadAnswer, match="in a batch than alone"):
        guarded(Altered(lambda rows: nudged(rows, 1.0))).probe()


def test_slightly_another_vector_in_a_batch_means_one_text_a_request() -> None:
    altered = Altered(lambda rows: nudged(rows, 0.03))
    embedder = guarded(altered)
    found = embedder.embed(texts(5))
    assert embedder.probe().batch_varies
    assert altered.sizes == [4, 1, 1, 1, 1, 1, 1]
    np.testing.assert_allclose(found, HashEmbedder(DIMENSION).embed(texts(5)), atol=1e-6)


def test_a_refused_key_shows_in_the_probe() -> None:
    with OpenAIServer(key="another") as server, opened(server) as embedder, pytest.raises(AuthFailed):
        embedder.embed_each(texts(3))


def test_a_wrong_setting_shows_in_the_probe_and_is_no_poison() -> None:
    with OpenAIServer() as server, opened(server, patience=patience()) as embedder:
        server.fail(Fault(400, words="dimensions is not supported by this model"))
        with pytest.raises(Rejected, match="not supported"):
            embedder.embed_each(texts(3))


def test_cutting_in_silence_is_found_and_long_texts_are_refused_then() -> None:
    long = "혈당 " * 100
    with OpenAIServer(text_tokens=50, cuts_in_silence=True) as server, opened(server, "&window=50") as embedder:
        assert embedder.probe().too_long == "cut in silence"
        found = embedder.embed_each(["짧은 글", long])
        assert isinstance(found[1], BadRecord)
        assert "50 tokens" in str(found[1])
        assert long not in server.embedded
        assert isinstance(found[0], np.ndarray)


def test_a_model_that_reads_more_than_it_says_may() -> None:
    with OpenAIServer() as server, opened(server, "&window=50") as embedder:
        assert embedder.probe().too_long == "read"
        assert embedder.embed(["혈당 " * 100]).shape == (1, DIMENSION)


def test_a_quick_probe_leaves_the_long_text_out() -> None:
    with OpenAIServer() as server, opened(server, "&window=50&probe=quick") as embedder:
        assert embedder.probe().too_long == "not tested"
        assert len(server.asked) == 2


def test_a_few_components_are_no_sign_of_a_fault() -> None:
    def ask(wanted: Sequence[str]) -> np.ndarray:
        return HashEmbedder(1).embed(["같은 글"] * len(wanted))

    assert probed(ask, 4, None, "hash:1").width == 1
