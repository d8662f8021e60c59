"""Indexes: what nothing, an edit and a rename cost; the model kept busy; flat memory; peers on the same corpus.

The peers are given the better hand: their documents lie in memory already and their records do too, while ours
are listed from a folder and asked from PostgreSQL. A peer that is not installed is left out and said so.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

import wherry
from bench.measure import Bar, in_turn, timed
from wherry.indexing.sources import open_sources
from wherry.models.hashing import HashEmbedder
from wherry.models.probe import TEXTS
from wherry.models.wire import Limits
from wherry.space import Space

DOCUMENTS = 10_000
RENAMED = 1_000
BATCH = 64
# What a provider takes for a request of that size, about.
REQUEST_S = 0.05
CHUNKS = 100_000
_MODEL = "hash:256"


def run(folder: Path, rows: int, rounds: int) -> list[Bar]:
    """Measure all of it."""
    docs = folder / "documents"
    _write(docs, DOCUMENTS)
    first = wherry.index(docs, "pgvector:#bench_docs", embedder=_MODEL)
    bars = _nothing(docs, rounds)
    bars += _edit(docs, rounds)
    bars.append(_rename(docs))
    bars.append(_throughput(folder, rounds))
    bars.append(_memory(folder))
    shutil.rmtree(docs)
    if first.new != DOCUMENTS:
        raise RuntimeError(f"{first.new} documents were indexed")
    return bars


def text_of(number: int) -> str:
    """Return a short guide."""
    return f"# 안내 {number}\n\n공복 혈당 {number}은 여덟 시간 금식한 뒤에 잽니다. 결과가 높으면 다시 검사합니다.\n"


def _write(docs: Path, count: int) -> None:
    docs.mkdir()
    then = time.time_ns() - 3600 * 10**9
    for number in range(count):
        path = docs / f"안내-{number:06}.md"
        path.write_text(text_of(number), encoding="utf-8")
        os.utime(path, ns=(then, then + number))


def _nothing(docs: Path, rounds: int) -> list[Bar]:
    peers = dict(_peers(docs))
    acts: list[Callable[[], object]] = [lambda: _listed(docs), lambda: _ours(docs), *peers.values()]
    listing, ours, *others = in_turn(acts, rounds)
    beyond = tuple((o - n) / DOCUMENTS * 1000 for o, n in zip(ours, listing, strict=True))
    shown = f"{DOCUMENTS:,} documents: listing {_median(listing):.3f} s, the whole run {_median(ours):.3f} s"
    bars = [Bar("9a", "no change, ms per document beyond listing", 0.05, False, beyond, shown, "ms")]
    for name, seconds in zip(peers, others, strict=True):
        ratios = tuple(s / o for s, o in zip(seconds, ours, strict=True))
        bars.append(
            Bar(
                "9b",
                f"no change: {name} / ours",
                5,
                True,
                ratios,
                f"{name} {_median(seconds):.2f} s, documents in memory",
            )
        )
    return bars


def _listed(docs: Path) -> None:
    count = sum(1 for source in open_sources([docs]) for _ in source.documents())
    if count != DOCUMENTS:
        raise RuntimeError(f"{count} documents were listed")


def _ours(docs: Path) -> None:
    result = wherry.index(docs, "pgvector:#bench_docs")
    if result.run or result.chunks_embedded:
        raise RuntimeError("a run with nothing to do did something")


def _edit(docs: Path, rounds: int) -> list[Bar]:
    """Time from saving a file until its new text is found."""
    seconds, vector = [], HashEmbedder(256).embed_query("담낭 용종")
    for number in range(rounds):
        path = docs / f"안내-{number:06}.md"
        started = time.perf_counter()
        path.write_text(f"# 안내\n\n담낭 용종 {number}은 해마다 초음파로 봅니다.\n", encoding="utf-8")
        result = wherry.index(docs, "pgvector:#bench_docs")
        store = wherry.open_source("pgvector:#bench_docs")
        hits = store.search(vector, number + 1)  # type: ignore[attr-defined]
        store.close()
        seconds.append(time.perf_counter() - started)
        if result.chunks_embedded != 1 or not any(f"용종 {number}은" in (hit.text or "") for hit in hits):
            raise RuntimeError("the edit is not found, or more than its chunk was embedded")
    return [Bar("9c", "one edit, seconds until it is found", 1, False, tuple(seconds), "1 chunk embedded", "s")]


def _rename(docs: Path) -> Bar:
    for path in sorted(docs.iterdir())[-RENAMED:]:
        path.rename(path.with_name(path.name.replace("안내", "문서")))
    seconds = timed(lambda: _renamed(docs))
    return Bar("9d", f"{RENAMED:,} renamed: texts embedded", 0, False, (0.0,), f"in {seconds:.2f} s", "")


def _renamed(docs: Path) -> None:
    result = wherry.index(docs, "pgvector:#bench_docs")
    if (result.renamed, result.chunks_embedded) != (RENAMED, 0):
        raise RuntimeError(f"{result.renamed} renamed, {result.chunks_embedded} embedded")


class Waiting:
    """A model that takes a while for each request, as one behind a network does; notes when it worked."""

    def __init__(self, dimension: int = 256) -> None:
        self.inner = HashEmbedder(dimension)
        self.limits = Limits(items=BATCH, tokens=None, text_tokens=None, concurrency=1)
        self.texts, self.began, self.ended = 0, 0.0, 0.0
        self.spec = f"waiting:{id(self)}"

    def space(self) -> Space:
        """Return its card."""
        return Space(self.inner.dimension, self.inner.space().metric, "waiting", self.spec, None, True)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Wait as for an answer, and give one."""
        vectors = np.ones((len(texts), self.inner.dimension), dtype=np.float32)
        if set(texts) & set(TEXTS):
            return self.inner.embed(texts)
        self.began = self.began or time.perf_counter()
        threading.Event().wait(REQUEST_S)
        vectors[:, 0] = np.arange(len(texts)) + self.texts
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        self.texts, self.ended = self.texts + len(texts), time.perf_counter()
        return vectors

    def embed_query(self, text: str) -> np.ndarray:
        """Embed a question."""
        return self.inner.embed_query(text)

    def close(self) -> None:
        """Release nothing."""

    @property
    def rate(self) -> float:
        """Texts per second between the first request and the last answer."""
        return self.texts / (self.ended - self.began)


def _throughput(folder: Path, rounds: int) -> Bar:
    docs = folder / "many"
    _write(docs, 6_400)
    ratios, rates = [], []
    for number in range(rounds):
        bare, ours = Waiting(), Waiting()
        for start in range(0, 6_400, BATCH):
            bare.embed([text_of(n) for n in range(start, start + BATCH)])
        wherry.index(docs, f"pgvector:#bench_rate_{number}", embedder=ours)
        ratios.append(ours.rate / bare.rate)
        rates.append(ours.rate)
    shutil.rmtree(docs)
    shown = f"{_median(rates):,.0f} texts/s, requests of {BATCH} that take {REQUEST_S * 1000:.0f} ms"
    return Bar("9e", "embedding throughput / the bare client", 0.95, True, tuple(ratios), shown)


def _memory(folder: Path) -> Bar:
    """Compare the peak of a process that indexes many chunks with one that indexes a tenth."""
    peaks = []
    for count in (CHUNKS // 10, CHUNKS):
        source = folder / f"large-{count}"
        source.mkdir()
        per_file = 200
        for number in range(count // per_file):
            parts = "".join(f"## 항목 {number}-{n}\n\n{'검진 결과를 읽는 법. ' * 30}\n\n" for n in range(per_file))
            (source / f"{number}.md").write_text(parts, encoding="utf-8")
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            peaks.append(pool.apply(_peak, (str(source), f"pgvector:#bench_memory_{count}")))
        shutil.rmtree(source)
    shown = (
        f"{peaks[0][0]:,} chunks {peaks[0][1] >> 20} MiB, {peaks[1][0]:,} chunks {peaks[1][1] >> 20} MiB at the peak"
    )
    return Bar("9f", "memory: ten times the chunks / once", 1.5, False, (peaks[1][1] / peaks[0][1],), shown)


def _peak(source: str, into: str) -> tuple[int, int]:
    result = wherry.index(source, into, embedder="hash:64", chunker="markdown")
    return result.chunks_embedded + result.chunks_reused, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _peers(docs: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield the peers that are installed, each having indexed the corpus once."""
    texts = [(path.name, path.read_text(encoding="utf-8")) for path in sorted(docs.iterdir())]
    for name, make in (("LangChain index()", _langchain), ("LlamaIndex IngestionPipeline", _llamaindex)):
        try:
            act = make(texts)
        except ModuleNotFoundError as error:
            print(f"{name} is not measured: {error.name} is not installed", flush=True)
            continue
        act()
        yield name, act


def _langchain(texts: list[tuple[str, str]]) -> Callable[[], object]:
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.indexing import InMemoryRecordManager, index
    from langchain_core.vectorstores import InMemoryVectorStore

    hashing = HashEmbedder(256)

    class Free(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return hashing.embed(texts).tolist()

        def embed_query(self, text: str) -> list[float]:
            return hashing.embed_query(text).tolist()

    manager = InMemoryRecordManager("bench")
    manager.create_schema()
    store = InMemoryVectorStore(Free())
    documents = [Document(text, metadata={"source": name}) for name, text in texts]
    return lambda: index(
        documents, manager, store, cleanup="full", source_id_key="source", key_encoder="sha256", batch_size=1000
    )


def _llamaindex(texts: list[tuple[str, str]]) -> Callable[[], object]:
    from llama_index.core.embeddings import BaseEmbedding
    from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
    from llama_index.core.schema import Document
    from llama_index.core.storage.docstore import SimpleDocumentStore
    from llama_index.core.vector_stores import SimpleVectorStore

    hashing = HashEmbedder(256)

    class Free(BaseEmbedding):
        def _get_text_embedding(self, text: str) -> list[float]:
            return hashing.embed_query(text).tolist()

        def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
            return hashing.embed(texts).tolist()

        def _get_query_embedding(self, query: str) -> list[float]:
            return hashing.embed_query(query).tolist()

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return self._get_query_embedding(query)

    pipeline = IngestionPipeline(
        transformations=[Free(embed_batch_size=BATCH)],
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy.UPSERTS_AND_DELETE,
        vector_store=SimpleVectorStore(),
    )
    documents = [Document(text=text, id_=name) for name, text in texts]
    return lambda: pipeline.run(documents=documents)


def _median(seconds: Sequence[float]) -> float:
    return float(np.median(seconds))
