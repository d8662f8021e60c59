"""Fusing rankings, and how much a leg may say: a leg that does not understand cannot pull the other down."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.answering.shelves import EMBEDDER, fill
from wherry.answering import agreement, hybrid
from wherry.answering.agreement import Agreement, measure, questions_of, weighed_by
from wherry.answering.evaluation import evaluate
from wherry.answering.fusion import fuse
from wherry.answering.lexical_sidecar import Sidecar
from wherry.answering.search import Searcher
from wherry.answering.tokens import Pieces
from wherry.demo import library
from wherry.models.hashing import HashEmbedder
from wherry.record import to_records
from wherry.stores.lexical import Lexicon, Ranked
from wherry.stores.registry import open_source

RANKING = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8)


def ranked(names: list[str]) -> list[tuple[str, float]]:
    """Return a ranking with falling scores."""
    return [(name, float(-place)) for place, name in enumerate(names)]


def test_shares_are_weights_over_ranks() -> None:
    found = fuse({"a": ranked(["x", "y"]), "b": ranked(["y", "z"])}, {"a": 1.0, "b": 0.4})
    assert [hit.id for hit in found] == ["y", "x", "z"]
    assert found[0].score == pytest.approx(1 / 62 + 0.4 / 61)
    assert found[0].parts["b"].rank == 1
    assert found[0].parts["b"].share == pytest.approx(0.4 / 61)


def test_ties_are_ordered_by_id() -> None:
    assert [hit.id for hit in fuse({"a": ranked(["y"]), "b": ranked(["x"])}, {"a": 1.0, "b": 1.0})] == ["x", "y"]


@given(RANKING, RANKING)
def test_a_leg_that_weighs_nothing_changes_nothing(one: list[str], other: list[str]) -> None:
    found = fuse({"lexical": ranked(one), "vector": ranked(other)}, {"lexical": 1.0, "vector": 0.0})
    assert [hit.id for hit in found] == one
    assert {hit.id for hit in found if "vector" in hit.parts} == set(one) & set(other)


@given(RANKING, RANKING, st.sampled_from([0.0, 0.4, 1.0]))
def test_the_order_of_the_legs_does_not_matter(one: list[str], other: list[str], weight: float) -> None:
    weights = {"lexical": 1.0, "vector": weight}
    left = fuse({"lexical": ranked(one), "vector": ranked(other)}, weights)
    right = fuse({"vector": ranked(other), "lexical": ranked(one)}, weights)
    assert left == right


@given(RANKING, RANKING, st.integers(1, 8))
def test_the_vector_leg_fills_up_what_words_leave_empty(one: list[str], other: list[str], k: int) -> None:
    near = tuple(hybrid.Hit(name, 0.5, 0.5, None, {}, 0.5) for name in other)
    legs = hybrid.Legs([Ranked(name, 1.0) for name in one], near, {"lexical": 1.0, "vector": 0.0})
    found = [hit.id for hit in hybrid.fused(legs, k)]
    assert found == [*one, *(name for name in other if name not in one)][:k]


@pytest.fixture(scope="module")
def guides() -> dict[str, str]:
    """The texts of the sample knowledge base."""
    return {record.id: record.text or "" for record in to_records(library.records(8))}


class Understands:
    """A stand-in for a model that knows what a text is about: texts of one guide point the same way."""

    def __init__(self, texts: dict[str, str], noise: float) -> None:
        self.topics = {text: name.partition("-")[0] for name, text in texts.items()}
        self.order = {topic: at for at, topic in enumerate(dict.fromkeys(self.topics.values()))}
        self.noise = noise

    def embed(self, texts: list[str]) -> np.ndarray:
        """Return a unit vector near the axis of each text's guide and page."""
        vectors = np.zeros((len(texts), len(self.order) + len(self.topics)), dtype=np.float32)
        names = list(self.topics)
        for row, text in enumerate(texts):
            chance = np.random.default_rng(abs(hash(text)) % 2**32)
            whole = next((t for t in names if text == t), None) or max(names, key=lambda t: _shared(t, text))
            vectors[row, self.order[self.topics[whole]]] = 0.5
            vectors[row, len(self.order) + names.index(whole)] = 1.0
            vectors[row] += chance.normal(0, self.noise, vectors.shape[1])
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _shared(text: str, part: str) -> int:
    return sum(word in text for word in part.split())


def agreed(texts: dict[str, str], embed, sample: int = 60) -> Agreement:
    """Measure both legs on some texts."""
    maker, words = Pieces(), Sidecar(None)
    words.update(maker.bags(list(texts), list(texts.values()), [None] * len(texts)))
    words.keep(Lexicon(maker.identity))
    names, vectors = list(texts), embed(list(texts.values()))

    def nearest(vector: np.ndarray, k: int) -> list[tuple[str, float]]:
        scores = vectors @ vector
        return [(names[at], float(scores[at])) for at in np.argsort(-scores, kind="stable")[:k]]

    questions = questions_of(list(texts.items()), sample)
    return measure(questions, words, maker, nearest, embed, lambda one, other: float(one @ other))


def test_a_leg_that_does_not_know_the_language_weighs_nothing(guides: dict[str, str]) -> None:
    def babble(texts: list[str]) -> np.ndarray:
        rows = [np.random.default_rng(len(text)).normal(size=32) for text in texts]
        return np.array(rows, dtype=np.float32)

    found = agreed(guides, babble)
    assert found.weights == {"lexical": 1.0, "vector": 0.0}
    assert found.quality["vector"] < found.quality["lexical"]
    assert found.asked == 60


def test_a_leg_that_repeats_the_words_weighs_nothing(guides: dict[str, str]) -> None:
    assert agreed(guides, HashEmbedder(256).embed).weights["vector"] == 0.0


def test_a_leg_that_understands_weighs_something(guides: dict[str, str]) -> None:
    some = dict(list(guides.items())[:60])
    found = agreed(some, Understands(some, 0.05).embed, 50)
    assert found.quality["vector"] > found.quality["lexical"]
    assert found.weights["vector"] > 0
    assert found.quality["hybrid"] >= max(found.quality["vector"], found.quality["lexical"]) - 0.01


def test_equal_rankings_keep_to_words() -> None:
    same = [ranked(["a", "b"])] * 30
    assert weighed_by(same, same, [{"b": 1.0}] * 30, "labels").weights == {"lexical": 1.0, "vector": 0.0}
    assert weighed_by([], [], [], "labels").weights["vector"] == 0.0


def test_a_better_vector_leg_takes_over() -> None:
    words, vectors = [ranked(["x", "y", "z"])] * 40, [ranked(["a", "x"])] * 40
    found = weighed_by(words, vectors, [{"a": 1.0}] * 40, "labels")
    assert found.quality["hybrid"] == pytest.approx(1.0)
    assert Agreement.from_dict(found.to_dict()) == found


def test_questions_never_hold_what_they_ask_for() -> None:
    text = "첫 문장은 인사말로 시작합니다. 둘째 문장은 혈압을 다섯 번 잽니다. 셋째 문장은 끝인사로 마칩니다."
    (question,) = questions_of([("a", text)])
    assert question.text == "둘째 문장은 혈압을 다섯 번 잽니다."
    assert question.text not in question.rest
    assert questions_of([("a", "짧다"), ("b", "")]) == []
    assert len(questions_of([(str(n), text) for n in range(500)], 40)) == 40


def test_hybrid_is_no_worse_than_its_best_leg_on_the_sample(name: str) -> None:
    texts = {record.id: record.text for record in to_records(library.records(8))}
    address = fill(f"memory:#{name}", texts)
    report = evaluate(address, "gold:guides", tokenizer="pieces")
    means = {mode: found.metrics["ndcg@10"].mean for mode, found in report.modes.items()}
    assert means["hybrid"] >= max(means.values()) - 0.01
    assert means["lexical"] > 0.80
    assert report.trusted is not None
    assert report.trusted.asked >= 100


def test_what_was_measured_is_kept_beside_the_words(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "문장 {}번은 날마다 재는 혈압을 길게 말합니다. 다음 문장은 혈당 {}을 말합니다."
    texts = {f"r{n}": text.format(n, n * 7) for n in range(30)}
    address = fill(f"memory:#{name}", texts)
    for turn in range(2):
        store = open_source(address)
        searcher = Searcher(store, tokenizer="pieces")
        found = searcher.words.agreement(searcher.embedder, searcher.space)
        assert found is not None
        assert found.source == "collection"
        if turn == 0:
            monkeypatch.setattr("wherry.answering.words.measure", None)
        searcher.close()


def test_too_little_to_measure_is_said(name: str) -> None:
    address = fill(f"memory:#{name}")
    store = open_source(address)
    hits = Searcher(store, EMBEDDER, "pieces").search("혈압", 3)
    assert any("too few sentences" in note for note in hits.notes)
    assert set(hits[0].parts) == {"lexical", "vector"}
    assert agreement.SAMPLE >= 100


@pytest.mark.parametrize(
    ("measured", "wanted"),
    [
        ({"lexical": 1.0, "vector": 0.0}, {"lexical": 0.4, "vector": 0.0}),
        ({"lexical": 1.0, "vector": 0.5}, {"lexical": 0.4, "vector": 0.2}),
        ({"lexical": 1.0, "vector": 1.5}, {"lexical": 0.4, "vector": 0.6}),
        ({"lexical": 1.0, "vector": 2.4}, {"lexical": 0.25, "vector": 0.6}),
        ({"lexical": 0.0, "vector": 1.0}, {"lexical": 0.0, "vector": 0.6}),
    ],
)
def test_what_was_measured_lowers_one_starting_weight_and_raises_none(
    measured: dict[str, float], wanted: dict[str, float]
) -> None:
    found = Agreement(measured, {"lexical": 0.5, "vector": 0.5, "hybrid": 0.5}, 100, "collection")
    assert hybrid.weights_of(found, {"lexical": 0.4, "vector": 0.6})[0] == pytest.approx(wanted)


def test_starting_weights_hold_where_too_little_could_be_measured(name: str) -> None:
    store = open_source(fill(f"memory:#{name}"))
    hits = Searcher(store, EMBEDDER, "pieces", {"lexical": 0.4, "vector": 0.6}).search("혈압", 3)
    for hit in hits:
        weights = {"lexical": 0.4, "vector": 0.6}
        assert hit.score == pytest.approx(sum(weights[leg] / (60 + part.rank) for leg, part in hit.parts.items()))
