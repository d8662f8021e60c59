"""Both legs in one statement of PostgreSQL: the same hits as fused here, one round trip, conditions, deletions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pyarrow as pa
import pytest

from tests.answering.shelves import EMBEDDER, TEXTS, fill
from wherry.answering import hybrid
from wherry.answering.agreement import Agreement
from wherry.answering.search import Searcher
from wherry.stores.base import Index, Readable
from wherry.stores.lexical import Fuses, Fusion, Ranked
from wherry.stores.registry import open_source, open_target
from wherry.where import parse

WEIGHTS = [(1.0, 0.0), (1.0, 0.4), (1.0, 1.0), (0.0, 1.0)]


@pytest.fixture
def store(pg: psycopg.Connection, name: str) -> Iterator[Readable]:
    """A table of six records, some of them by another condition."""
    address = fill(f"pgvector:#{name}", metadata={n: {"even": p % 2 == 0} for p, n in enumerate(TEXTS)})
    with closing(open_source(address)) as opened:
        yield opened


def fusion(words: list[str], weights: tuple[float, float], k: int = 4) -> Fusion:
    """Return a fusion of a ranking by words with the vector leg."""
    ranked = [Ranked(name, 10.0 - place) for place, name in enumerate(words)]
    return Fusion(ranked, {"lexical": weights[0], "vector": weights[1]}, hybrid.DEPTH, k)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("where", [None, {"even": True}, {"even": {"$ne": True}}, {"even": 7}])
def test_the_statement_fuses_as_we_do(store: Readable, weights: tuple[float, float], where: dict | None) -> None:
    assert isinstance(store, Fuses)
    vector, condition = EMBEDDER.embed_query("혈압을 재는 법"), parse(where) if where else None
    near = hybrid.of_vectors(store.search(vector, hybrid.DEPTH, condition))  # type: ignore[attr-defined]
    words = [name for name in ("seoul", "bp-2", "glu-1", "en-1") if not where or name in {hit.id for hit in near}]
    wanted = fusion(words, weights)
    found = store.fused(vector, wanted, condition, False)
    assert found is not None
    expected = hybrid.fused(hybrid.Legs(wanted.words, near, wanted.weights), wanted.k)
    ours = hybrid.hits_of(store, expected, near, vector, EMBEDDER.space())
    theirs = hybrid.of_store(found, wanted)
    assert [hit.id for hit in theirs] == [hit.id for hit in ours]
    for one, other in zip(theirs, ours, strict=True):
        assert (one.text, one.metadata) == (other.text, other.metadata)
        assert one.similarity == pytest.approx(other.similarity, abs=1e-6)
        assert one.score == pytest.approx(other.score)
        assert {leg: part.rank for leg, part in one.parts.items()} == {leg: p.rank for leg, p in other.parts.items()}


def test_a_record_that_words_alone_found_comes_with_its_distance(store: Readable) -> None:
    vector = EMBEDDER.embed_query("혈압")
    wanted = Fusion([Ranked("en-1", 3.0)], {"lexical": 1.0, "vector": 0.4}, 1, 2)
    found = store.fused(vector, wanted, None, False)  # type: ignore[attr-defined]
    by_id = {one.hit.id: one for one in found}
    assert by_id["en-1"].by_vector is None
    expected = {hit.id: hit for hit in store.search(vector, 10)}["en-1"]  # type: ignore[attr-defined]
    assert by_id["en-1"].hit.distance == pytest.approx(expected.distance)
    assert by_id["en-1"].hit.text == TEXTS["en-1"]


def test_a_record_deleted_since_its_words_were_read_is_left_out(store: Readable) -> None:
    wanted = fusion(["gone-1", "gone-2", "bp-1"], (1.0, 0.0), k=3)
    found = store.fused(EMBEDDER.embed_query("혈압"), wanted, None, False)  # type: ignore[attr-defined]
    assert found[0].hit.id == "bp-1"
    assert len(found) == 3


@pytest.mark.parametrize(("kind", "names"), [("bigint", ["1", "22", "-3"]), ("uuid", None)])
def test_keys_of_other_types(pg: psycopg.Connection, name: str, kind: str, names: list[str] | None) -> None:
    names = names or [f"0000000{n}-0000-0000-0000-000000000000" for n in range(3)]
    pg.execute("CREATE EXTENSION IF NOT EXISTS vector")
    pg.execute(f"CREATE TABLE {name} (id {kind} PRIMARY KEY, embedding vector(64), text text, metadata jsonb)")
    fill(f"pgvector:#{name}?metric=cosine", dict(zip(names, list(TEXTS.values())[:3], strict=True)))
    with closing(open_source(f"pgvector:#{name}?metric=cosine")) as store:
        wanted = Fusion([Ranked(names[2], 1.0)], {"lexical": 1.0, "vector": 0.0}, 1, 3)
        found = store.fused(EMBEDDER.embed_query("혈압"), wanted, None, False)  # type: ignore[attr-defined]
        assert found[0].hit.id == names[2]
        assert found[0].hit.text == list(TEXTS.values())[2]


def test_by_index_it_is_one_statement(pg: psycopg.Connection, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address = fill(f"pgvector:#{name}", {f"{i}-{n}": f"{text} {n}" for n in range(20) for i, text in TEXTS.items()})
    target = open_target(address)
    target.finish(EMBEDDER.space(), Index("hnsw", 8, 32))
    target.close()
    with closing(open_source(address)) as store, closing(Searcher(store)) as searcher:
        searcher.words.trust = lambda *_: None  # type: ignore[method-assign]
        agreed = Agreement({"lexical": 1.0, "vector": 0.5}, {"lexical": 0.5, "vector": 0.4}, 50, "collection")
        monkeypatch.setattr(searcher.words, "agreement", lambda *_: agreed)
        monkeypatch.setattr("wherry.answering.words.FRESH_S", 600.0)
        searcher.search("혈압을 재는 법", 5)
        sent: list[bytes] = []
        monkeypatch.setattr(psycopg.Connection, "execute", _counting(psycopg.Connection.execute, sent))
        hits = searcher.search("공복혈당 판정", 5)
        assert len(sent) == 1
        assert {leg for hit in hits for leg in hit.parts} == {"lexical", "vector"}
        assert len(hits) == 5


def test_words_follow_what_is_written(pg: psycopg.Connection, name: str) -> None:
    address = fill(f"pgvector:#{name}")
    with closing(open_source(address)) as store, closing(Searcher(store)) as searcher:
        assert searcher.search("골다공증", 3, "lexical").hits == ()
        fill(address, {"bone": "골다공증은 부러질 때까지 조용하다"})
        target = open_target(address)
        target.delete(pa.array(["seoul"]))
        target.close()
        searcher.words.stale()
        assert [hit.id for hit in searcher.search("골다공증", 3, "lexical")] == ["bone"]
        assert searcher.search("서울", 3, "lexical").hits == ()


def _counting(execute, sent: list):
    def counted(self, query, *rest, **named):
        sent.append(query)
        return execute(self, query, *rest, **named)

    return counted
