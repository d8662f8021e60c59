"""Indexes: what nothing, an edit and a rename cost; the model kept busy; flat memory; peers on the same corpus.

Peers run in an environment of their own (`.venv-bench`, or WHERRY_BENCH_PYTHON) on the same folder with the same
embedder; each does what a scheduled job does, from the files and what its last run left on disk.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
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
# What a small model on a processor takes for a request of that size: MiniLM was published at 600 texts a second.
REQUEST_S = 0.106
CHUNKS = 100_000
_MODEL = "hash:256"
_NUMBERS = itertools.count()


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
    listing, ours = in_turn([lambda: _listed(docs), lambda: _ours(docs)], rounds)
    beyond = tuple((o - n) / DOCUMENTS * 1000 for o, n in zip(ours, listing, strict=True))
    shown = f"{DOCUMENTS:,} documents: listing {_median(listing):.3f} s, the whole run {_median(ours):.3f} s"
    bars = [Bar("9a", "no change, ms per document beyond listing", 0.05, False, beyond, shown, "ms")]
    peers = dict(_peers(docs, rounds))
    if peers:
        best = min(peers, key=lambda name: _median(peers[name]))
        ratios = tuple(seconds / _median(ours) for seconds in peers[best])
        shown = ", ".join(f"{name} {_median(seconds):.2f} s" for name, seconds in peers.items())
        bars.append(Bar("9b", f"no change: the best peer ({best}) / ours", 5, True, ratios, shown))
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
        # Never one that an earlier round had: its vectors are kept.
        self.spec = f"waiting:{next(_NUMBERS)}"

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


def _peers(docs: Path, rounds: int) -> Iterator[tuple[str, list[float]]]:
    """Yield (name, seconds of each round without a change) of the peers, measured in an environment of their own."""
    python = Path(os.environ.get("WHERRY_BENCH_PYTHON", ".venv-bench/bin/python"))
    if not python.exists():
        print(f"peers are not measured: there is no {python} (make bench makes it)", flush=True)
        return
    script, source = Path(__file__).with_name("peers.py"), Path(wherry.__file__).parents[1]
    for name in ("langchain", "llamaindex", "cocoindex"):
        state = docs.with_name(f"state-{name}")
        told = subprocess.run(
            [python, script, name, docs, state, str(rounds)],
            env={**os.environ, "PYTHONPATH": str(source)}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        found = json.loads(told.stdout.splitlines()[-1])
        if found["asked_again"]:
            raise RuntimeError(f"{name} embedded again what had not changed")
        yield name, found["seconds"]


def _median(seconds: Sequence[float]) -> float:
    return float(np.median(seconds))
