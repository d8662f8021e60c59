"""Deterministic batches: the same arguments give the same records on every machine.

The texts are Korean, as most hand-made test data is not, and neighbouring records differ in what is
missing: some have no text, some have no metadata, some have an empty object.
"""

from __future__ import annotations

import json
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import numpy as np
import pyarrow as pa

from wherry.record import make_batch
from wherry.stores.base import ALL_KINDS, IdKind, Kind

_TOPICS = ("혈압", "수면", "걷기 운동", "비타민 D", "예방 접종", "콜레스테롤", "물 마시기", "스트레칭")
_ADVICE = (
    "은(는) 하루에 한 번 같은 시각에 재어 기록하는 것이 좋습니다.",
    "에 관해서는 증상이 이틀 넘게 이어지면 가까운 의원을 찾으세요.",
    "은(는) 식사 30분 뒤에, 무리하지 않는 범위에서 시작합니다.",
    "이(가) 걱정될 때에는 지난 검진 결과지를 먼저 확인하세요.",
)
_CATEGORIES = ("생활 습관", "검진", "영양", "운동")


def sample(
    n: int,
    dimension: int = 8,
    seed: int = 0,
    *,
    start: int = 0,
    id_kind: IdKind = IdKind.TEXT,
    kinds: frozenset[Kind] = ALL_KINDS,
    null_text: bool = True,
) -> pa.RecordBatch:
    """Return n records with ids number `start` and up.

    dimension: components per vector (standard normal, float32). seed: changes vectors, texts and
    metadata but not the ids, so two seeds are two versions of the same records. id_kind, kinds,
    null_text: what the engine under test can hold.
    """
    numbers = range(start, start + n)
    return make_batch(
        [sample_id(i, id_kind) for i in numbers],
        sample_vectors(n, dimension, seed, start),
        [_text(i, seed, null_text) for i in numbers],
        [_metadata(i, seed, kinds) for i in numbers],
    )


def sample_id(number: int, kind: IdKind = IdKind.TEXT) -> str:
    """Return the id of sample record `number`."""
    if kind is IdKind.INTEGER:
        return str(number)
    if kind is IdKind.UUID:
        return str(uuid5(NAMESPACE_OID, f"wherry-{number}"))
    return f"안내-{number:06d}"


def sample_vectors(n: int, dimension: int, seed: int = 0, start: int = 0) -> np.ndarray:
    """Return float32 vectors of shape (n, dimension); no row is zero."""
    rng = np.random.default_rng((seed, start))
    return rng.standard_normal((n, dimension), dtype=np.float32)


def _text(number: int, seed: int, null_text: bool) -> str | None:
    if number % 7 == 3:
        return None if null_text else ""
    topic, advice = _TOPICS[number % len(_TOPICS)], _ADVICE[(number + seed) % len(_ADVICE)]
    return f"{number}. {topic}{advice}"


def _metadata(number: int, seed: int, kinds: frozenset[Kind]) -> str | None:
    if number % 11 == 5:
        return None
    if number % 11 == 6:
        return "{}" if Kind.EMPTY in kinds else None
    values = {key: value for kind, key, value in _values(number, seed) if kind in kinds}
    # Without a single kind left there is nothing to put into an object.
    return json.dumps(values, ensure_ascii=False) if values or Kind.EMPTY in kinds else None


def _values(number: int, seed: int) -> list[tuple[Kind, str, Any]]:
    """Return (kind, key, value); which keys there are depends on the seed too."""
    version = number + seed
    every: list[tuple[Kind, str, Any]] = [
        (Kind.TEXT, "source", f"건강 안내서 {number % 5}.pdf"),
        (Kind.TEXT, "category", _CATEGORIES[version % len(_CATEGORIES)]),
        (Kind.INTEGER, "page", version),
        (Kind.FLOAT, "score", version / 8 + 0.5),
        (Kind.BOOL, "checked", version % 2 == 0),
        (Kind.NULL, "reviewer", None),
        (Kind.LIST, "tags", ["건강", _CATEGORIES[number % len(_CATEGORIES)]]),
        (Kind.OBJECT, "place", {"chapter": number, "lines": [version, version + 3]}),
        (Kind.EMPTY, "extra", {}),
    ]
    return [entry for position, entry in enumerate(every) if (version + position) % 4]
