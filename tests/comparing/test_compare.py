"""Comparing two sides: what is equal is found equal, damage is found, and every figure says what it means."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import wherry
from tests.comparing.kit import EMBEDDER, QUESTIONS, TEXTS, asked, fill, guides, swapped, vectors_of
from wherry.comparing.results import Comparison
from wherry.errors import NoModel, NoSuchCollection, SpaceMismatch, UnknownMetric, Usage, WrongDimension
from wherry.models.hashing import HashEmbedder
from wherry.space import Metric, Space
from wherry.stores.registry import open_target
from wherry.testing.llamacloud_server import LlamaCloudServer
from wherry.testing.openai_server import OpenAIServer

QUICK: dict[str, Any] = {"rounds": 1}


def compared(seed: int, share: float) -> Comparison:
    """Compare a collection with a copy of which a share of the vectors is swapped."""
    vectors = vectors_of(seed)
    a = fill(f"memory:#a{seed}", vectors)
    b = fill(f"memory:#b{seed}", swapped(vectors, share, seed) if share else vectors)
    return wherry.compare(a, b, asked(seed), seed=seed, **QUICK)


def require_equal(found: Comparison) -> None:
    """Check what holds of two identical collections."""
    assert found.overlap.mean == found.overlap.low == 1.0
    assert found.exact is not None
    assert found.exact.low == 1.0
    assert found.rank.mean == pytest.approx(1.0)
    assert not found.drift.significant
    assert found.drift.most == 0.0
    assert found.worst == ()
    assert found.differing == 0
    assert found.passed
    assert found.exit_code == 0


@pytest.mark.parametrize("seed", range(4))
def test_identical_collections_overlap_wholly_and_do_not_drift(seed: int) -> None:
    require_equal(compared(seed, 0))


@pytest.mark.parametrize("seed", range(4))
def test_two_percent_of_swapped_vectors_are_below_the_bar(seed: int) -> None:
    found = compared(seed, 0.02)
    assert found.exit_code == 1
    assert found.worst
    assert found.worst[0].overlap < 1
    assert [bar.name for bar in found.bars] == ["overlap of the exact neighbours"]


@pytest.mark.campaign
@pytest.mark.timeout(600)
def test_a_hundred_equal_pairs_and_a_hundred_damaged_ones() -> None:
    for seed in range(100):
        require_equal(compared(seed, 0))
        assert compared(seed, 0.02).exit_code == 1


@pytest.mark.parametrize(
    ("wishes", "code"),
    [({"min_overlap": 0.9}, 0), ({"min_overlap": 1.0}, 1), ({"min_recall": 1.0, "min_overlap": 0.5}, 0), ({}, 1)],
)
def test_the_bars_decide_the_exit_code(wishes: dict[str, float], code: int) -> None:
    vectors = vectors_of(1)
    a, b = fill("memory:#a", vectors), fill("memory:#b", swapped(vectors, 0.02, 1))
    assert wherry.compare(a, b, asked(1), **wishes, **QUICK).exit_code == code


def test_a_bar_has_to_be_proved_not_only_met_on_average() -> None:
    vectors = vectors_of(2)
    a, b = fill("memory:#a", vectors), fill("memory:#b", swapped(vectors, 0.05, 2))
    found = wherry.compare(a, b, asked(2), min_overlap=0.5, **QUICK)
    assert found.overlap.low < found.overlap.mean < 1
    between = (found.overlap.low + found.overlap.mean) / 2
    few = wherry.compare(a, b, asked(2), min_overlap=between, **QUICK)
    assert few.overlap.mean > between
    assert few.exit_code == 1


def test_the_same_questions_give_the_same_bytes_apart_from_what_is_measured() -> None:
    vectors = vectors_of(3)
    a, b = fill("memory:#a", vectors), fill("memory:#b", swapped(vectors, 0.1, 3))
    made = []
    for _ in range(2):
        whole = wherry.compare(a, b, asked(3), seed=5, **QUICK).to_dict()
        assert set(whole["measured"]["a"]) == {"memory", "search_ms", "embedding_ms", "measured"}
        made.append(json.dumps({**whole, "measured": None}, ensure_ascii=False))
    assert made[0] == made[1]


def test_records_that_are_missing_lower_the_overlap_though_the_next_are_as_near() -> None:
    vectors = np.repeat(vectors_of(4, 30), 10, axis=0)
    a = fill("memory:#a", vectors)
    store = open_target(fill("memory:#b", vectors))

    store.delete(pa.array([f"안내-{n:04}" for n in range(0, 300, 10)]))
    found = wherry.compare(a, store, asked(4), **QUICK)
    assert found.overlap.mean < 1
    assert found.exit_code == 1
    assert any("A holds 300 records, B 270" in note for note in found.notes)


def test_records_that_tie_may_stand_in_for_each_other() -> None:
    vectors = np.repeat(vectors_of(5, 30), 20, axis=0)
    ids = [f"가-{n:04}" for n in range(len(vectors))]
    a = fill("memory:#a", vectors, ids=ids)
    order = np.random.default_rng(5).permutation(20)
    # Twenty records share each vector; on B their names come in another order, so other ones are named first.
    names = [ids[n // 20 * 20 + order[n % 20]] for n in range(len(vectors))]
    b = fill("memory:#b", vectors + np.float32(1e-6), ids=names)
    found = wherry.compare(a, b, asked(5), **QUICK)
    assert found.overlap.mean == 1.0
    assert found.exit_code == 0


def test_a_systematic_drift_is_significant_and_half_precision_is_not() -> None:
    vectors = vectors_of(6)
    a = fill("memory:#a", vectors)
    half = fill("memory:#half", vectors.astype(np.float16).astype(np.float32))
    assert not wherry.compare(a, half, asked(6), **QUICK).drift.significant
    assert wherry.compare(a, half, asked(6), **QUICK).exit_code == 0
    product = Space(12, Metric.IP)
    whole, scaled = (fill(f"memory:#ip{n}", vectors * np.float32(1 - n / 100), space=product) for n in (0, 1))
    found = wherry.compare(whole, scaled, asked(6), **QUICK)
    assert found.drift.significant
    assert found.drift.mean.high < 0
    assert found.drift.most > abs(found.drift.mean.mean)


def test_two_metrics_have_no_drift_in_common() -> None:
    vectors = vectors_of(7)
    a, b = fill("memory:#a", vectors), fill("memory:#b", vectors, space=Space(12, Metric.L2))
    found = wherry.compare(a, b, asked(7), **QUICK)
    assert not found.drift.comparable
    assert not found.drift.significant
    assert any("not on one scale" in note for note in found.notes)
    assert found.overlap.mean == 1.0


def test_texts_are_embedded_by_each_side_with_its_own_model_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with OpenAIServer(key="k") as server:
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        spec = "openai:local-model"
        with closing(wherry.open_embedder(spec)) as made:
            space, rows = made.space(), made.embed(TEXTS)
        ids = [f"g-{n}" for n in range(len(TEXTS))]
        b = fill("memory:#b", rows, ids=ids, texts=TEXTS, space=space)
        before = len(server.embedded)
        found = wherry.compare(guides("memory:#a"), b, QUESTIONS, embedder=None, k=5, rounds=2)
        assert server.embedded[before:].count(QUESTIONS[0]) == 1
        assert (found.a.model, found.b.model) == ("hash:64", spec)
        assert not found.copied
        assert not found.drift.comparable
        assert found.bars == ()
        assert any("two models" in note for note in found.notes)
        assert found.exit_code == 0


def test_sides_of_one_model_get_the_same_vector() -> None:
    class Moody(HashEmbedder):
        """An embedder that answers the same text a little differently each time."""

        asked = 0

        def embed_query(self, text: str) -> np.ndarray:
            Moody.asked += 1
            return super().embed_query(text) + np.float32(0.01 * Moody.asked)

    found = wherry.compare(guides("memory:#a"), guides("memory:#b"), QUESTIONS, embedder=Moody(64), k=5, **QUICK)
    assert Moody.asked == len(QUESTIONS)
    assert found.drift.most == 0.0


def test_a_side_that_names_no_model_borrows_the_other_sides() -> None:
    plain = fill("memory:#b", EMBEDDER.embed(TEXTS), ids=[f"g-{n}" for n in range(len(TEXTS))])
    found = wherry.compare(guides("memory:#a"), plain, QUESTIONS, k=5, **QUICK)
    assert found.b.model == "hash:64"
    assert found.exit_code == 0
    assert "hash:64" in found.b.notes[0]
    with pytest.raises(NoModel):
        wherry.compare(plain, plain, QUESTIONS)


def test_a_vector_asks_no_two_models() -> None:
    other = guides("memory:#b", embedder=HashEmbedder(32))
    with pytest.raises(SpaceMismatch, match="two models"):
        wherry.compare(guides("memory:#a"), other, asked(1, 2, 64))
    assert wherry.compare(guides("memory:#a"), other, QUESTIONS, k=5, **QUICK).overlap.mean > 0.3


@pytest.mark.parametrize("k", [1, 10, 1000])
def test_any_k_even_beyond_what_is_held(k: int) -> None:
    vectors = vectors_of(8, 20)
    found = wherry.compare(fill("memory:#a", vectors), fill("memory:#b", vectors), asked(8, 3), k=k, **QUICK)
    assert found.exit_code == 0
    assert found.a.recall is not None
    assert found.a.recall.mean == 1.0


def test_two_empty_collections_agree() -> None:
    empty = np.empty((0, 12), dtype=np.float32)
    found = wherry.compare(fill("memory:#a", empty), fill("memory:#b", empty), asked(1, 3), **QUICK)
    assert found.overlap.mean == 1.0
    assert found.exit_code == 0
    assert found.drift.pairs == 0
    json.dumps(found.to_dict(), allow_nan=False)


def test_an_answer_recorded_before_is_a_side() -> None:
    address = guides("memory:#b")
    logged = [
        {"query": text, "seconds": 0.5, "hits": [hit.to_dict() for hit in wherry.search(text, address, 5, "vector")]}
        for text in QUESTIONS
    ]
    found = wherry.compare("recorded", address, logged, k=5, min_overlap=1.0, **QUICK)
    assert found.exit_code == 0
    assert found.overlap.mean == 1.0
    assert found.a.recall is None
    assert found.a.records is None
    assert found.exact is None
    assert found.a.times is not None
    assert found.a.times.search[0].mean == pytest.approx(500)
    assert found.b.recall is not None
    assert found.b.recall.mean == 1.0
    logged[0]["hits"] = logged[1]["hits"]
    assert wherry.compare("recorded", address, logged, k=5, min_overlap=1.0, **QUICK).exit_code == 1
    with pytest.raises(Usage, match="both sides are recorded"):
        wherry.compare("recorded", "recorded", logged)
    with pytest.raises(Usage, match="question 1 has no recorded answer"):
        wherry.compare("recorded", address, QUESTIONS)


@pytest.mark.parametrize("key", ["k", ""])
def test_a_service_that_only_retrieves_is_a_side(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    with LlamaCloudServer(api_key="llx-k") as server, OpenAIServer(key="k", dimension=1536) as model:
        monkeypatch.setenv("LLAMA_CLOUD_API_KEY", "llx-k")
        monkeypatch.setenv("LLAMA_CLOUD_BASE_URL", server.url)
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
        if key:
            monkeypatch.setenv("OPENAI_API_KEY", key)
            monkeypatch.setenv("OPENAI_BASE_URL", f"{model.url}/v1")
        server.pipeline("guides", dimension=1536).add("안내", TEXTS)
        wherry.sync("llamacloud:#guides?metric=cosine", "memory:#local", accept_losses=True)
        local = "memory:#local" if key else _renamed("memory:#local", "memory:#plain")
        # Without the model's vectors nobody knows which records tie.
        least = 0.99 if key else 0.6
        found = wherry.compare("llamacloud:#guides?metric=cosine", local, QUESTIONS, k=5, min_overlap=least, **QUICK)
        assert found.exit_code == 0, found.to_dict()
        assert found.a.cost is not None
        assert found.a.cost.per_query is None
        assert any("no price is known for llamacloud" in note for note in found.notes)
        assert (found.a.recall is None) is (not key)
        assert any("embeds questions itself" in note for note in found.a.notes) is (not key)


def _renamed(address: str, other: str) -> str:
    """Return a copy of a collection under the card of the offline embedder."""
    source = wherry.open_source(address)
    store = open_target(other)
    store.prepare(HashEmbedder(1536).space(), source.describe().index, 100)
    for page in source.scan():
        store.upsert(page.records)
    return other


def test_what_an_engine_serves_is_judged_by_its_own_vectors(tmp_path: Path) -> None:
    vectors = vectors_of(9, 400)
    a = fill("memory:#a", vectors)
    b = fill(f"chroma:{tmp_path}/db#guides", vectors)
    found = wherry.compare(a, b, asked(9, 20), min_recall=0.9, min_overlap=0.9, **QUICK)
    assert found.exit_code == 0
    assert found.exact is not None
    assert found.exact.mean == 1.0
    assert found.b.disk is not None
    assert found.b.disk > 0
    assert found.b.memory is not None
    assert found.b.memory >= 0
    assert abs(found.drift.mean.mean) < 1e-5
    assert not found.drift.significant


def test_prices_are_the_users_to_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "prices.toml"
    table.write_text('["memory:#b"]\nquery = 0.002\nmonth = 70\n["hash:64"]\ninput = 1000\n', encoding="utf-8")
    monkeypatch.setenv("WHERRY_PRICES", str(table))
    found = wherry.compare(guides("memory:#a"), guides("memory:#b"), ["혈압"], k=5, per_month=1000, **QUICK)
    assert found.a.cost is not None
    assert found.b.cost is not None
    embedding = found.a.cost.per_query
    assert embedding == pytest.approx(3 * 1000 / 1e6)
    assert found.b.cost.per_query == pytest.approx(embedding + 0.002)
    assert found.b.cost.per_month == pytest.approx(1000 * (embedding + 0.002) + 70)
    table.write_text('["memory"]\nquery = -1\n', encoding="utf-8")
    with pytest.raises(Usage, match="price"):
        wherry.compare("memory:#a", "memory:#b", ["혈압"], k=5, **QUICK)


@pytest.mark.parametrize(
    ("wishes", "error"),
    [
        ({"k": 0}, Usage),
        ({"k": True}, Usage),
        ({"rounds": 0}, Usage),
        ({"worst": -1}, Usage),
        ({"min_recall": 1.2}, Usage),
        ({"min_overlap": -0.1}, Usage),
        ({"queries": []}, Usage),
        ({"queries": [[0.0] * 12]}, Usage),
        ({"queries": [[1.0, 2.0]]}, WrongDimension),
        ({"queries": [""]}, Usage),
        ({"b": "memory:#nosuch"}, NoSuchCollection),
        ({"b": "memory:#nometric"}, UnknownMetric),
        ({"report": "/nosuch/folder/page.html"}, Usage),
    ],
)
def test_what_cannot_be_compared_is_refused(wishes: dict[str, Any], error: type[Exception]) -> None:
    fill("memory:#a", vectors_of(1, 20))
    fill("memory:#nometric", vectors_of(1, 20), space=Space(12))
    given = {"a": "memory:#a", "b": "memory:#a", "queries": asked(1, 2), **wishes}
    with pytest.raises(error):
        wherry.compare(**given)
