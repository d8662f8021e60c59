"""Bar k1: 1,000 checkup documents from an export into the local library, moved and proved value by value."""

from __future__ import annotations

import itertools
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import wherry
from bench.measure import Bar
from wherry_apps.checkup import phases
from wherry_apps.checkup.places import places
from wherry_apps.checkup.runs import Runs
from wherry_apps.checkup.tables import database

DOCUMENTS, DIMENSION, MOST_S = 1_000, 1_536, 10.0
MODEL = f"hash:{DIMENSION}"
_names = itertools.count()


def run(folder: Path, rows: int, rounds: int) -> list[Bar]:
    """Measure the bar, once per round, each into a folder of its own."""
    for name in ("USE_LOCAL_VECTOR_DB", "LOCAL_VECTOR_DB_PATH", "LOCAL_VECTOR_DB_COLLECTION"):
        os.environ.pop(name, None)
    source = folder / "export.json"
    source.write_text(json.dumps(_export(), ensure_ascii=False), encoding="utf-8")
    opened = database()
    try:
        taken = [_moved(opened, source, folder / f"checkup-{next(_names)}") for _ in range(rounds)]
    finally:
        opened.close()
    busy = statistics.median(processor for _, processor in taken)
    detail = (
        f"{DOCUMENTS:,} x {DIMENSION}, export to Chroma: extract, verify, init, migrate, read back and compared;"
        f" {busy:.1f} s of processor time"
    )
    seconds = tuple(wall for wall, _ in taken)
    return [Bar("k1", "checkup: 1,000 documents moved and verified", MOST_S, False, seconds, detail, "s")]


def _moved(opened: wherry.AppDatabase, source: Path, root: Path) -> tuple[float, float]:
    """Move the export; return seconds, and those of the processor. Raises Different where it is not proved."""
    runs = Runs(opened, places(root))
    started, busy = time.perf_counter(), time.process_time()
    phases.extract(runs, source, None, MODEL)
    phases.verify(runs)
    phases.init(runs, "chroma", MODEL, None, None)
    report = phases.migrate(runs)
    seconds, busy = time.perf_counter() - started, time.process_time() - busy
    if (report["read"], report["verified"], report["vectors"]) != (DOCUMENTS, "verified", "copied"):
        raise wherry.Different(f"the move was not proved: {report}", where=str(root))
    return seconds, busy


def _export() -> dict[str, Any]:
    texts = [
        f"지침 {n}: 공복혈당 {80 + n % 60}일 때 살필 것과 다시 잴 때를 적은 글입니다. " * 6 for n in range(DOCUMENTS)
    ]
    vectors = wherry.open_embedder(MODEL).embed(texts)
    documents = [
        {"id": f"doc_{n:04}", "text": text, "metadata": {"source": f"지침{n // 20}.pdf", "page": n % 20 + 1},
         "embedding": vectors[n].tolist()}
        for n, text in enumerate(texts)
    ]  # fmt: skip
    return {"index_name": "Dr.Welno", "index_id": "bench", "total_documents": DOCUMENTS,
            "embedding_dimension": DIMENSION, "documents": documents}  # fmt: skip
