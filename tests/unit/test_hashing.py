"""The offline embedder: same bits everywhere, unit length, near when the spelling is near."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import BadAddress, BadRecord
from wherry.models import hashing
from wherry.models.hashing import HashEmbedder
from wherry.space import Metric

VISIBLE = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: text.split())

PINNED = [
    "e728043fb5bb3abf0000000000000000352c1bbe00000000344b5a3eb5bbba3e",
    "0f672b3e199f923e199f92bedd783dbf199f923e199f923e199f923e46aef3bd",
]


def near(a: str, b: str, dimension: int = 1024) -> float:
    """Return the cosine similarity of two texts."""
    one, other = HashEmbedder(dimension).embed([a, b])
    return float(one @ other)


def test_shape_type_and_unit_length() -> None:
    vectors = HashEmbedder(384).embed(["공복혈당 안내", "blood pressure", "혈압 " * 5000])
    assert vectors.shape == (3, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_no_texts_give_no_rows() -> None:
    assert HashEmbedder(16).embed([]).shape == (0, 16)


def test_bits_are_pinned() -> None:
    """A change of one bit means vectors of two versions: raise VERSION, then these."""
    vectors = HashEmbedder(8).embed(["공복 혈당", "Straße 12"])
    assert hashing.VERSION == 1
    assert [row.astype("<f4").tobytes().hex() for row in vectors] == PINNED


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: text.split()),
        max_size=8,
    )
)
def test_a_batch_embeds_like_its_texts_alone(texts: list[str]) -> None:
    embedder = HashEmbedder(64)
    together = embedder.embed(texts)
    assert np.isfinite(together).all()
    for text, row in zip(texts, together, strict=True):
        assert embedder.embed([text])[0].tobytes() == row.tobytes()


def test_groups_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"검진 {n} 안내" for n in range(50)]
    whole = HashEmbedder(32).embed(texts)
    monkeypatch.setattr(hashing, "_GROUP_CHARACTERS", 20)
    assert HashEmbedder(32).embed(texts).tobytes() == whole.tobytes()
    monkeypatch.setattr(hashing, "_GROUP_CELLS", 96)
    assert HashEmbedder(32).embed(texts).tobytes() == whole.tobytes()


@pytest.mark.parametrize(
    "other",
    [unicodedata.normalize("NFD", "공복 혈당 Check"), "  공복\n혈당\tCHECK ", "공복, 혈당: check!"],
    ids=["decomposed", "space and case", "punctuation"],
)
def test_form_does_not_matter(other: str) -> None:
    assert near("공복 혈당 check", other) == pytest.approx(1, abs=1e-6)


def test_spelling_orders_texts() -> None:
    question = "공복 혈당이 높아요"
    assert near(question, "공복혈당은 높을 때") > near(question, "식후 혈압") > -0.2
    assert near("공복혈당", "공복 혈당") > 0.4
    assert abs(near("갑상선 초음파", "금연 상담 전화")) < 0.2


def test_vowel_signs_stay_inside_words() -> None:
    assert near("हिन्दी", "ह न द") < 0.7


@pytest.mark.parametrize("text", ["!?", "👍", "a", "\u0e33"])
def test_anything_visible_has_a_direction(text: str) -> None:
    assert np.linalg.norm(HashEmbedder(64).embed([text])[0]) == pytest.approx(1, abs=1e-6)


def test_one_component_never_cancels_to_zero() -> None:
    vectors = HashEmbedder(1).embed([f"{a}{b}" for a in "abcdefgh" for b in "abcdefgh"])
    assert set(np.abs(vectors).ravel()) == {1.0}


@pytest.mark.parametrize(("text", "says"), [("", "empty"), (" \n\u3000", "empty"), ("a\ud800", "surrogate")])
def test_what_cannot_be_embedded_is_named_by_position(text: str, says: str) -> None:
    with pytest.raises(BadRecord, match=rf"text 1 .*{says}"):
        HashEmbedder(8).embed(["괜찮은 글", text])


def test_dimension_must_be_positive() -> None:
    with pytest.raises(BadAddress):
        HashEmbedder(0)


def test_space_tells_dimensions_and_versions_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    space = HashEmbedder(384).space()
    assert (space.provider, space.model, space.dimension) == ("hash", "hash:384", 384)
    assert (space.metric, space.normalised) == (Metric.COSINE, True)
    assert space.conflicts(HashEmbedder(1024).space())
    monkeypatch.setattr(hashing, "VERSION", 2)
    assert [c.split(":")[0] for c in space.conflicts(HashEmbedder(384).space())] == ["model_digest"]
