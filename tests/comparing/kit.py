"""What the tests of comparing share: small collections of Korean guides, and copies of them with known damage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wherry.models.hashing import HashEmbedder
from wherry.record import make_batch
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.registry import open_target

EMBEDDER = HashEmbedder(64)
TOPICS = ("혈압", "공복 혈당", "콜레스테롤", "금식", "수면", "걷기", "간 수치", "빈혈", "시력", "예방 접종")
ADVICE = ("은 아침에 잽니다", "이 높으면 의사와 상의합니다", "은 매년 살펴봅니다", "에 관한 안내문입니다")
TEXTS = [f"{topic}{advice} {n}번" for n, topic in enumerate(TOPICS) for advice in ADVICE]
QUESTIONS = ["공복 혈당이 높으면?", "혈압은 언제 재나요?", "검진 전 금식", "빈혈이 걱정돼요", "예방 접종 안내"]


def vectors_of(seed: int, count: int = 300, dimension: int = 12) -> np.ndarray:
    """Return random unit vectors, float32 of shape (count, dimension)."""
    made = np.random.default_rng((7, seed)).standard_normal((count, dimension)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def asked(seed: int, count: int = 30, dimension: int = 12) -> np.ndarray:
    """Return random questions, float32 of shape (count, dimension)."""
    return np.random.default_rng((11, seed)).standard_normal((count, dimension)).astype(np.float32)


def swapped(vectors: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Return the vectors with a share of them exchanged in pairs."""
    count = max(2, round(len(vectors) * share) // 2 * 2)
    picked = np.random.default_rng((13, seed)).permutation(len(vectors))[:count]
    changed = vectors.copy()
    changed[picked] = vectors[np.roll(picked.reshape(-1, 2), 1, axis=1).reshape(-1)]
    return changed


def fill(
    address: str,
    vectors: np.ndarray,
    *,
    ids: Sequence[str] | None = None,
    texts: Sequence[str | None] | None = None,
    space: Space | None = None,
) -> str:
    """Put records into a collection and return its address."""
    names = list(ids or (f"안내-{n:04}" for n in range(len(vectors))))
    card = space or Space(vectors.shape[1], Metric.COSINE)
    store = open_target(address)
    store.prepare(card, Index(), len(names))
    store.upsert(make_batch(names, vectors, list(texts or [None] * len(names)), [None] * len(names)))
    store.finish(card, Index())
    store.close()
    return address


def guides(address: str, texts: Sequence[str] = TEXTS, embedder: HashEmbedder = EMBEDDER) -> str:
    """Put texts into a collection of an embedder's own space and return its address."""
    ids = [f"g-{n}" for n in range(len(texts))]
    return fill(address, embedder.embed(texts), ids=ids, texts=texts, space=embedder.space())
