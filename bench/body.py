"""Body: ten thousand sheets analysed offline, and one person's reports found among everybody's."""

from __future__ import annotations

import json
import resource
import struct
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from bench.measure import Bar
from wherry_apps.body.invented import many
from wherry_apps.body.service import Body
from wherry_apps.body.settings import Settings

SHEETS, EMBEDDER, SCHEMA = 10_000, "hash:1024", "body_bench"
PERSONS, DIMENSION, K, ASKED = 10_000, 1024, 6, 60
# Building a graph of more vectors than this would take hours, and a search among one person's rows never asks it.
_MOST_INDEXED = 5_000
_CHUNK = 5_000
_TEXT = ("체형 분석: 상체 근육이 부족하고 복부 체지방이 많습니다. " * 20).encode()
_COLUMNS = "user_id, llm_output, embedding_info, embedding_1024, report_date"
_COPY = f"COPY analysis_reports ({_COLUMNS}) FROM STDIN (FORMAT binary)"


def run(folder: Path, rows: int, rounds: int) -> list[Bar]:
    """Measure both; the search among as many reports as `rows` says."""
    with Body(settings=Settings(embedders=(EMBEDDER,)), schema=SCHEMA) as body:
        with body.db.begin() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        body.db.upgrade()
        return [*_sheets(body), *_search(body, rows, rounds)]


def _sheets(body: Body) -> list[Bar]:
    user = int(body.people.add("local", "bench", "bench@example.org")["id"])
    lines = (json.dumps(sheet, ensure_ascii=False) for sheet in many(SHEETS + 2_000))
    # What is made once is there before memory is looked at.
    first = body.importing.lines(None, islice(lines, 2_000), user, "bench", (EMBEDDER,))
    before, started, worked = _memory(), time.perf_counter(), time.process_time()
    done = body.importing.lines(None, lines, user, "bench", (EMBEDDER,))
    seconds, grown = time.perf_counter() - started, _memory() - before
    assert (first.failed, done.failed, done.records) == (0, 0, SHEETS)
    worked = time.process_time() - worked
    shown = (
        f"{SHEETS / seconds:,.0f} sheets a second: read, typed, reported, embedded, stored; {worked:.0f} s of it here"
    )
    return [
        Bar("b1", f"{SHEETS:,} sheets analysed offline", 60.0, False, (seconds,), shown, "s"),
        Bar("b2", f"memory grown over {SHEETS:,} sheets", 32.0, False, (grown,), "peak of the process", "MB"),
    ]


def _search(body: Body, rows: int, rounds: int) -> list[Bar]:
    rng = np.random.default_rng(11)
    asked = [int(user) for user in rng.choice(PERSONS, ASKED, replace=False)]
    held = _fill(body, rows, set(asked))
    questions = _unit(rng.normal(size=(ASKED, DIMENSION)))
    embedder = body.models.embedder(EMBEDDER)
    place = body.vectors.place(embedder)
    right = wanted = 0
    for user, question in zip(asked, questions, strict=True):
        found = body.vectors.nearest(place, user + 1, question, K)
        ids, vectors = held[user]
        true = {ids[at] for at in np.argsort(-(vectors @ question), kind="stable")[:K]}
        right, wanted = right + len(true & set(found)), wanted + min(K, len(ids))
    times = []
    for _ in range(rounds):
        spent = []
        for user, question in zip(asked, questions, strict=True):
            started = time.perf_counter()
            body.retrieval.ranked(user + 1, body.vectors.nearest(place, user + 1, question, K))
            spent.append(time.perf_counter() - started)
        times.append(float(np.median(spent)) * 1e3)
    among = f"among {rows:,} reports of {PERSONS:,} persons"
    graph = "vector index there" if rows <= _MOST_INDEXED else "no vector index at this size"
    return [
        Bar("b3", "recall of one person's nearest", 0.95, True, (right / wanted,), f"{among}, {graph}", ""),
        Bar("b4", "one person's reports by vector, ranked, median", 20.0, False, tuple(times), among, "ms"),
    ]


def _fill(body: Body, rows: int, kept: set[int]) -> dict[int, tuple[list[int], np.ndarray]]:
    """Store random reports, person after person in turn; return ids and vectors of some persons."""
    found: dict[int, tuple[list[int], list[np.ndarray]]] = {user: ([], []) for user in kept}
    name = f"idx_analysis_reports_embedding_{DIMENSION}_hnsw"
    with body.db.begin() as connection:
        connection.exec_driver_sql("SET session_replication_role = replica")
        connection.exec_driver_sql("TRUNCATE users RESTART IDENTITY CASCADE")
        connection.exec_driver_sql(
            "INSERT INTO users (username, email) "
            f"SELECT 'u' || i, i || '@x.org' FROM generate_series(1, {PERSONS}) AS i"
        )
        if rows > _MOST_INDEXED:
            connection.exec_driver_sql(f"DROP INDEX {name}")
        raw: Any = connection.connection.driver_connection
        with raw.cursor().copy(_COPY) as copy:
            copy.write(b"PGCOPY\n\xff\r\n\x00" + bytes(8))
            for first, vectors in _vectors(rows):
                copy.write(b"".join(_row(first + at, vector) for at, vector in enumerate(vectors)))
                for at, vector in enumerate(vectors):
                    user = (first + at) % PERSONS
                    if user in kept:
                        found[user][0].append(first + at + 1)
                        found[user][1].append(vector)
            copy.write(b"\xff\xff")
        connection.exec_driver_sql("RESET session_replication_role")
    with body.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ALTER TABLE analysis_reports ALTER COLUMN embedding_1024 SET STATISTICS 0")
        connection.exec_driver_sql("VACUUM ANALYZE analysis_reports")
    return {user: (ids, np.array(vectors).reshape(-1, DIMENSION)) for user, (ids, vectors) in found.items()}


def _vectors(rows: int) -> Iterator[tuple[int, np.ndarray]]:
    rng = np.random.default_rng(12)
    for first in range(0, rows, _CHUNK):
        yield first, _unit(rng.standard_normal((min(_CHUNK, rows - first), DIMENSION), dtype=np.float32))


_INFO = (
    b"\x01"
    + json.dumps(
        {"embedding_1024": {"provider": "hash", "model": EMBEDDER, "digest": "chars-2-3-xxh3-v1", "normalised": True}}
    ).encode()
)


def _row(number: int, vector: np.ndarray) -> bytes:
    fields = (
        struct.pack(">i", number % PERSONS + 1),
        _TEXT,
        _INFO,
        struct.pack(">HH", DIMENSION, 0) + vector.astype(">f4").tobytes(),
        # Microseconds since 2000: about the year 2025, a day apart.
        struct.pack(">q", (9_200 - number // PERSONS) * 86_400_000_000),
    )
    return struct.pack(">h", len(fields)) + b"".join(struct.pack(">i", len(field)) + field for field in fields)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
