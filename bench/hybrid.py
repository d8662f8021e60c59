"""Hybrid search on 100,000 records with 32 clients at once: what fails, and how many answers come per second."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np

import wherry
from bench.measure import Bar, timed
from wherry.answering.agreement import Agreement
from wherry.answering.search import Searcher
from wherry.models.hashing import HashEmbedder
from wherry.record import make_batch
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.registry import open_source, open_target

ADDRESS, DIMENSION, K = "pgvector:#bench_hybrid", 256, 10
CLIENTS, SEARCHES = 32, 40
_MOST_ROWS = 100_000
_THINGS = (
    "공복혈당",
    "혈압",
    "콜레스테롤",
    "간 수치",
    "요산",
    "갑상선",
    "골밀도",
    "위내시경",
    "심전도",
    "시력",
    "청력",
    "체중",
)
_ACTS = (
    "여덟 시간 금식한 뒤 잽니다",
    "앉아서 5분 쉰 다음 잽니다",
    "해마다 한 번 살핍니다",
    "결과가 높으면 다시 검사합니다",
    "먹던 약은 의사와 상의합니다",
    "아침과 저녁에 적어 둡니다",
)
_WHERES = (None, {"page": {"$lt": 4}}, {"source": "문서3.pdf"})


def run(folder: Path, rows: int, rounds: int) -> list[Bar]:
    """Measure with both legs trusted alike, as labelled questions may have it: then neither is left out."""
    count = min(rows, _MOST_ROWS)
    _make(count)
    both = Agreement({"lexical": 1.0, "vector": 1.0}, {"lexical": 1.0, "vector": 1.0, "hybrid": 1.0}, 100, "labels")
    failures: Counter[str] = Counter()
    with closing(open_source(ADDRESS)) as store, closing(Searcher(store, HashEmbedder(DIMENSION))) as searcher:
        first = timed(searcher.words.ready)
        searcher.words.trust(searcher.embedder.spec, both)

        def ask(number: int) -> None:
            where = _WHERES[number % len(_WHERES)]
            try:
                found = searcher.search(_text(number * 31), K, "hybrid", where)
            except wherry.WherryError as error:
                failures[f"{type(error).__name__}: {error}"] += 1
            else:
                legs = {leg for hit in found.hits for leg in hit.parts}
                if len(found.hits) != K or legs != {"lexical", "vector"}:
                    failures[f"{len(found.hits)} hits by {sorted(legs)}"] += 1

        with ThreadPoolExecutor(CLIENTS) as threads:
            seconds = timed(lambda: list(threads.map(ask, range(CLIENTS * SEARCHES))))
    asked = CLIENTS * SEARCHES
    shown = f"{count:,} records, {asked:,} searches by {CLIENTS} clients, {asked / seconds:,.0f}/s"
    shown += f", words made in {first:.0f} s" + "".join(f"; {times} x {what}" for what, times in failures.items())
    return [Bar("s6", "hybrid: failures of many clients at once", 0, False, (float(failures.total()),), shown, "")]


def _text(number: int) -> str:
    thing, other = _THINGS[number % len(_THINGS)], _THINGS[number // 12 % len(_THINGS)]
    return f"{thing} {_ACTS[number % len(_ACTS)]}. {other} 안내 {number % 977}번은 {_ACTS[number // 7 % len(_ACTS)]}."


def _make(count: int) -> None:
    space, index, embedder = Space(DIMENSION, Metric.COSINE), Index("hnsw", 16, 64), HashEmbedder(DIMENSION)
    with closing(open_target(ADDRESS)) as store:
        store.prepare(space, index, count)
        for start in range(0, count, 4096):
            part = range(start, min(start + 4096, count))
            texts = [_text(i) for i in part]
            vectors = np.asarray(embedder.embed(texts), dtype=np.float32)
            metadata = [json.dumps({"page": i % 40, "source": f"문서{i % 97}.pdf"}, ensure_ascii=False) for i in part]
            store.upsert(make_batch([f"r{i:06d}" for i in part], vectors, texts, metadata), absent=True)
        store.finish(space, index)
