"""The promises of an index, one by one: what costs nothing, what readers see, what a model may do to a run."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import psycopg
import pytest

from tests.indexing.conftest import Indexed
from tests.indexing.kit import Counting, Folder, Paragraphs, Shelf, impatient, settle
from tests.indexing.test_index import shelf
from wherry.errors import AuthFailed, BadAnswer, RateLimited, TimedOut, Unreachable, WherryError
from wherry.indexing.act import index
from wherry.indexing.status import status
from wherry.postgres import server

Rows = Callable[[], dict[str, str]]
WRITES = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_xact_all_tables"


def statements(act: Callable[[], object]) -> list[str]:
    """Return what was sent to a database while `act` ran."""
    sent: list[str] = []
    original = psycopg.Cursor.execute

    def execute(self, query, *args, **more):  # type: ignore[no-untyped-def]
        sent.append(query if isinstance(query, str) else query.as_string(None))
        return original(self, query, *args, **more)

    with patch.object(psycopg.RawCursor, "execute", execute):
        act()
    return sent


def test_no_change_is_one_statement_no_write_and_no_model(run: Indexed, papers: Path, model: Counting) -> None:
    run(Folder(papers))
    model.texts.clear()
    waits = []
    original = psycopg.Connection.wait

    def wait(self, exchange, *args, **more):  # type: ignore[no-untyped-def]
        # A setting of the client's own is no exchange.
        waits.extend([1] if exchange.__name__ != "_set_read_only_gen" else [])
        return original(self, exchange, *args, **more)

    with patch.object(psycopg.Connection, "wait", wait):
        sent = statements(lambda: run(Folder(papers)))
    assert len(sent) == 1
    assert sent[0].strip().startswith("WITH seen AS")
    assert len(waits) == 1, "one statement, one round trip"
    assert not model.texts


def test_no_change_reads_no_file_whose_stamp_is_old(run: Indexed, papers: Path) -> None:
    run(Folder(papers))
    with patch("tests.indexing.kit.FileItem.bytes", side_effect=AssertionError("a file was read")):
        assert run(Folder(papers)).unchanged == 20


def test_a_file_written_as_a_run_began_is_read_again_for_its_stamp_proves_nothing(
    run: Indexed, papers: Path, rows: Rows
) -> None:
    moment = time.time_ns() + 3600 * 10**9
    path = papers / "글-00.md"
    os.utime(path, ns=(moment, moment))
    run(Folder(papers))
    path.write_text(path.read_text().replace("혈당 0", "혈압 0"))
    os.utime(path, ns=(moment, moment))
    assert path.stat().st_size == len("혈당 0\n\n모두의 글".encode())
    result = run(Folder(papers))
    assert (result.modified, result.unchanged) == (1, 19)
    assert "혈압 0" in rows().values()


def test_a_touched_file_is_read_once_more_and_then_trusted(run: Indexed, papers: Path) -> None:
    run(Folder(papers))
    settle(papers, hours=2)
    assert run(Folder(papers)).unchanged == 20
    with patch("tests.indexing.kit.FileItem.bytes", side_effect=AssertionError("a file was read")):
        assert run(Folder(papers)).run == ""


@pytest.mark.parametrize("swaps", [15, pytest.param(1000, marks=pytest.mark.campaign)])
def test_a_reader_never_sees_half_a_document(swaps: int, run: Indexed, pg: psycopg.Connection, name: str) -> None:
    documents = Shelf({f"글 {n}": text(n, 0) for n in range(4)})
    run(documents)
    seen, mixed, stop = set(), [], threading.Event()

    def read() -> None:
        with psycopg.connect(server.start(), autocommit=True) as connection:
            while not stop.is_set():
                found = connection.execute(f"SELECT metadata->>'source', text FROM {name}").fetchall()
                for document in documents.texts:
                    versions = {said.split("판")[1].split(" ")[0] for key, said in found if key == document}
                    count = sum(1 for key, _ in found if key == document)
                    seen.update(versions)
                    if len(versions) != 1 or count != 3:
                        mixed.append((document, versions, count))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for version in range(1, swaps + 1):
            documents.texts = {f"글 {n}": text(n, version) for n in range(4)}
            run(documents)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert mixed == []
    assert len(seen) > 3, "the readers saw too little to prove anything"


def text(number: int, version: int) -> str:
    """A document whose every paragraph tells its version."""
    return "\n\n".join(f"글 {number} 판{version} 문단 {part}" for part in range(3))


def test_no_transaction_is_open_while_the_model_is_waited_for(run: Indexed, pg: psycopg.Connection) -> None:
    states: list[str] = []

    class Slow(Counting):
        def embed(self, texts):  # type: ignore[no-untyped-def]
            found = pg.execute(
                "SELECT state FROM pg_stat_activity WHERE application_name = 'wherry' AND datname = current_database()"
                " AND xact_start IS NOT NULL AND state <> 'active'"
            ).fetchall()
            states.extend(row[0] for row in found)
            return super().embed(texts)

    slow = Slow()
    slow.limits = type(slow.limits)(items=1000, tokens=None, text_tokens=None, concurrency=1)
    run(shelf(10), embedder=slow)
    assert states == []


def test_one_poison_document_among_many_fails_alone_and_keeps_its_old_version(
    run: Indexed, model: Counting, rows: Rows, address: str
) -> None:
    documents = shelf(300)
    run(documents)
    documents.texts["문서-07"] += "\n\n독이 든 문단"
    documents.texts["문서-08"] += "\n\n좋은 문단"
    model.poison = {"독이 든 문단"}
    result = run(documents)
    assert (result.failed, result.modified, result.unchanged, result.exit_code) == (1, 1, 298, 5)
    assert [(f.document, f.error, f.attempts) for f in result.failures] == [("문서-07", "BadRecord", 1)]
    assert "독이 든 문단" not in rows().values()
    assert "둘째 문단 7" in rows().values()
    assert status(address).stale == 1


def test_a_dead_letter_is_not_paid_for_in_every_run_but_when_asked(run: Indexed, model: Counting, rows: Rows) -> None:
    documents = shelf(3)
    documents.texts["문서-01"] += "\n\n독이 든 문단"
    model.poison = {"독이 든 문단"}
    assert run(documents).failed == 1
    model.poison, model.texts = set(), []
    again = run(documents)
    assert (again.failed, again.unchanged, again.run, again.exit_code) == (1, 2, "", 5)
    assert [f.document for f in again.failures] == ["문서-01"]
    documents.texts["문서-02"] += "\n\n더"
    assert run(documents).failed == 1
    assert "독이 든 문단" not in model.texts
    retried = run(documents, retry=True)
    assert (retried.failed, retried.new) == (0, 1)
    assert "독이 든 문단" in rows().values()
    assert run(documents).exit_code == 0


def test_a_dead_letter_whose_document_changed_is_tried_and_one_whose_document_is_gone_is_forgotten(
    run: Indexed, model: Counting, address: str
) -> None:
    documents = shelf(3)
    documents.texts |= {"가": "%BROKEN", "나": "%BROKEN"}
    assert run(documents).failed == 2
    documents.texts["가"] = "이제 읽히는 글"
    del documents.texts["나"]
    result = run(documents)
    assert (result.new, result.failed, result.exit_code) == (1, 0, 0)
    assert status(address).backlog == 0


def test_a_document_that_cannot_be_read_now_is_tried_in_every_run(run: Indexed, papers: Path, model: Counting) -> None:
    original, gone = Path.read_bytes, papers / "글-03.md"

    def refusing(self: Path) -> bytes:
        if self == gone:
            raise PermissionError(13, "Permission denied", str(self))
        return original(self)

    with patch.object(Path, "read_bytes", refusing):
        result = run(Folder(papers))
        assert (result.new, result.failed) == (19, 1)
        assert [(f.error, f.message) for f in result.failures] == [("PermissionError", "Permission denied")]
        again = run(Folder(papers))
        assert (again.run, again.failed, again.failures[0].document) == ("", 1, "글-03.md")
    assert run(Folder(papers)).new == 1
    assert run(Folder(papers)).exit_code == 0


@pytest.mark.parametrize(
    "error",
    [Unreachable("down"), TimedOut("slow"), RateLimited("429 for ten minutes"), AuthFailed("bad key"),
     BadAnswer("3 vectors for 4 texts")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_a_model_that_fails_ends_the_run_and_what_was_paid_stays(
    error: WherryError, run: Indexed, rows: Rows, address: str
) -> None:
    documents, model = shelf(5), Counting()
    run(documents, embedder=model)
    before = rows()
    documents.texts |= {f"새 글 {n}": "\n\n".join(f"새 문단 {n}-{m}" for m in range(8)) for n in range(160)}
    model.texts.clear()

    class Failing(Counting):
        def embed(self, texts):  # type: ignore[no-untyped-def]
            if len(model.paid) >= 600:
                raise error
            vectors = super().embed(texts)
            model.texts += texts
            return vectors

    failing = Failing(digest=model.digest)
    with pytest.raises(type(error)) as caught:
        run(documents, embedder=impatient(failing))
    assert "documents of this run are in place" in caught.value.left
    assert before.items() <= rows().items()
    paid = len(model.paid)
    assert 600 <= paid < 1280
    last = status(address).last_run
    assert last is not None
    assert (last["state"], last["error"]) == ("failed", error.what)
    counts = last["statistics"]
    assert counts["scanned"] == 165 == counts["new"] + counts["failed"] + counts["unchanged"]
    assert (counts["unchanged"], counts["chunks_embedded"]) == (5, paid)
    result = run(documents, embedder=model)
    assert result.chunks_embedded == 1280 - paid
    assert len(model.paid) == len(set(model.paid)) == 1280


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda vectors: vectors[:-1], "vectors"),
        (lambda vectors: vectors[:, :-1], "components"),
        (lambda vectors: np.full_like(vectors, np.nan), "not finite"),
    ],
    ids=["too few", "too narrow", "not a number"],
)
def test_an_answer_that_does_not_fit_changes_nothing(
    answer: Callable[[np.ndarray], np.ndarray], message: str, run: Indexed, rows: Rows
) -> None:
    documents, model = shelf(5), Counting()
    run(documents, embedder=model)
    before = rows()

    class Wrong(Counting):
        def embed(self, texts):  # type: ignore[no-untyped-def]
            return answer(super().embed(texts)) if "새 문단" in texts else super().embed(texts)

    documents.texts["문서-01"] += "\n\n새 문단"
    if message == "not finite":
        result = run(documents, embedder=impatient(Wrong(digest=model.digest)))
        assert [f.document for f in result.failures] == ["문서-01"]
        assert message in result.failures[0].message
    else:
        with pytest.raises(BadAnswer, match=message):
            run(documents, embedder=impatient(Wrong(digest=model.digest)))
    assert rows() == before
    assert run(documents, embedder=model, retry=True).modified == 1


def test_a_crash_can_never_look_clean(run: Indexed, papers: Path, model: Counting) -> None:
    """The mark is taken off before anything is written, so what follows a crash looks at the documents again."""
    run(Folder(papers))
    (papers / "글-00.md").write_text("새 글")
    ended = patch("wherry.indexing.run.SourceRun._settle", side_effect=RuntimeError("the process ends here"))
    with ended, pytest.raises(RuntimeError):
        run(Folder(papers))
    (papers / "글-00.md").unlink()
    for number in range(1, 20):
        assert (papers / f"글-{number:02}.md").exists()
    result = run(Folder(papers))
    assert (result.deleted, result.unchanged) == (1, 19)


def test_the_model_is_part_of_the_cache_and_its_key_url_and_batch_are_not(address: str, name: str) -> None:
    one, two = Counting(digest="same"), Counting(digest="same")
    two.limits = type(two.limits)(items=1, tokens=None, text_tokens=None, concurrency=1)
    documents = Shelf({"글": f"글 {name}"})
    index(documents, address, embedder=one, chunker=Paragraphs())
    index(documents, f"{address}_b", embedder=two, chunker=Paragraphs())
    assert (len(one.paid), len(two.paid)) == (1, 0)
    other = Counting(digest="other")
    index(documents, f"{address}_c", embedder=other, chunker=Paragraphs())
    assert len(other.paid) == 1


def test_pgvector_index_is_built_after_the_load_beside_readers_and_is_valid(
    run: Indexed, pg: psycopg.Connection, name: str
) -> None:
    sent = statements(lambda: run(shelf(30)))
    build = next(
        number for number, line in enumerate(sent) if "USING hnsw" in line or ("hnsw" in line and "CREATE" in line)
    )
    writes = [number for number, line in enumerate(sent) if "INSERT INTO" in line and name in line]
    assert max(writes) < build
    assert any("ANALYZE" in line for line in sent[build:])
    found = pg.execute(
        "SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam"
        f" WHERE i.indrelid = '{name}'::regclass AND a.amname = 'hnsw'"
    ).fetchall()
    assert found == [(True,)]
    pg.execute(f"DROP INDEX {name}_embedding_idx")
    documents = shelf(31)
    assert any("CREATE INDEX CONCURRENTLY" in line for line in statements(lambda: run(documents)))


def test_a_service_that_serves_metrics_gets_the_numbers_of_each_run(run: Indexed, address: str) -> None:
    import prometheus_client

    def read(name: str, **labels: str) -> float | None:
        return prometheus_client.REGISTRY.get_sample_value(name, {"index": address, **labels})

    documents = shelf(5)
    run(documents)
    assert read("wherry_index_documents_total", kind="new") == 5
    assert read("wherry_index_chunks_total", how="embedded") == 11
    documents.texts["kaputt"] = "%BROKEN"
    run(documents)
    assert read("wherry_index_failed_documents") == 1
    assert read("wherry_index_runs_total", state="done") == 2
    documents.texts["neu"] = "neuer Text"
    failing = Counting()
    failing.down = "neuer"
    with pytest.raises(Unreachable):
        index(documents, address + "_b", embedder=impatient(failing), chunker=Paragraphs())
    assert prometheus_client.REGISTRY.get_sample_value(
        "wherry_index_runs_total", {"index": address + "_b", "state": "failed"}
    )
