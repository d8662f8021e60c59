"""Another model without downtime: built beside, switched at once, and back again."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psycopg
import pytest

import wherry
from tests.indexing.conftest import Indexed
from tests.indexing.kit import Counting, Paragraphs, Shelf, impatient
from tests.indexing.test_index import shelf
from wherry.errors import BadRecord, Integrity, NoSuchCollection, Refused, Unreachable
from wherry.indexing.act import index
from wherry.indexing.generations import prune, rebuild, rollback
from wherry.postgres import server

Rows = Callable[[], dict[str, str]]


def other(dimension: int = 24) -> Counting:
    """Another model, of another dimension."""
    return Counting(dimension, model="other")


def space_of(address: str) -> tuple[str | None, int | None]:
    """Return (model, dimension) as every reader of the address sees them."""
    found = wherry.open_source(address)
    space = found.describe().space
    found.close()
    return space.model, space.dimension


def test_a_rebuild_switches_the_name_to_the_new_vectors(run: Indexed, address: str, rows: Rows) -> None:
    run(shelf())
    before, model = rows(), other()
    result = rebuild(address, model)
    assert (result.before, result.serving, result.documents, result.chunks) == (1, 2, 12, 36)
    assert (result.chunks_embedded, result.chunks_reused) == (25, 11)
    assert space_of(address) == ("other", 24)
    assert rows() == before
    assert sorted(model.paid) == sorted(set(before.values()))


def test_the_index_goes_on_with_the_new_model_and_knows_that_nothing_changed(
    run: Indexed, address: str, model: Counting
) -> None:
    documents = shelf()
    run(documents)
    new = other()
    rebuild(address, new)
    assert run(documents, embedder=new).run == ""
    documents.texts["문서-01"] += "\n\n다른 모형의 문단"
    result = run(documents, embedder=new)
    assert (result.generation, result.chunks_embedded) == (2, 1)


def test_back_to_the_old_generation_and_what_changed_meanwhile(
    run: Indexed, address: str, model: Counting, rows: Rows
) -> None:
    documents = shelf()
    run(documents)
    new = other()
    rebuild(address, new)
    documents.texts["문서-01"] += "\n\n나중에 쓴 문단"
    run(documents, embedder=new)
    result = rollback(address)
    assert (result.before, result.serving) == (2, 1)
    assert "1 documents changed since" in result.notes[0]
    assert space_of(address) == ("counting", 16)
    assert "나중에 쓴 문단" not in rows().values()
    assert run(documents).modified == 1
    assert "나중에 쓴 문단" in rows().values()
    assert rollback(address).serving == 2
    assert space_of(address) == ("other", 24)


def test_a_reader_sees_one_generation_or_the_other_and_never_an_error(
    run: Indexed, address: str, model: Counting, name: str, pg: psycopg.Connection
) -> None:
    run(shelf(10))
    seen: set[tuple[int, int]] = set()
    wrong: list[object] = []
    stop = threading.Event()

    def read() -> None:
        with psycopg.connect(server.start(), autocommit=True) as connection:
            while not stop.is_set():
                try:
                    found = connection.execute(f"SELECT vector_dims(embedding), count(*) FROM {name} GROUP BY 1")
                    rows = found.fetchall()
                except psycopg.Error as error:
                    wrong.append(error)
                    continue
                seen.update(rows)
                if len(rows) != 1:
                    wrong.append(rows)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        rebuild(address, other())
        for _ in range(6):
            rollback(address)
    finally:
        stop.set()
        reader.join()
    assert wrong == []
    assert seen == {(16, 30), (24, 30)}


def test_without_an_earlier_generation_there_is_no_way_back(run: Indexed, address: str) -> None:
    run(shelf(2))
    with pytest.raises(Refused, match="no earlier generation"):
        rollback(address)


def test_an_address_without_an_index_says_so(address: str) -> None:
    for act in (lambda: rebuild(address, other()), lambda: rollback(address), lambda: prune(address)):
        with pytest.raises(NoSuchCollection, match="no index"):
            act()


def test_readers_stay_on_the_old_generation_until_the_new_one_is_complete(
    run: Indexed, address: str, rows: Rows
) -> None:
    run(shelf(200))
    before, model = rows(), other()
    model.down = "혈압을 재는 법 15"
    with pytest.raises(Unreachable):
        rebuild(address, impatient(model))
    assert space_of(address) == ("counting", 16)
    assert rows() == before
    paid = len(model.paid)
    assert paid > 100
    model.down = ""
    assert rebuild(address, model).serving == 2
    assert len(model.paid) == len(set(model.paid)) == 401


def test_a_text_the_new_model_refuses_leaves_the_old_generation_serving(run: Indexed, address: str, rows: Rows) -> None:
    run(shelf())
    before, model = rows(), other()
    model.poison = {"둘째 문단 7"}
    with pytest.raises(BadRecord, match="문서-07"):
        rebuild(address, model)
    assert (rows(), space_of(address)) == (before, ("counting", 16))
    model.poison = set()
    assert rebuild(address, model).documents == 12


def test_a_rebuild_of_a_damaged_index_is_refused(run: Indexed, address: str, pg: psycopg.Connection, name: str) -> None:
    run(shelf())
    pg.execute(f"DELETE FROM {name} WHERE text = '둘째 문단 3'")
    with pytest.raises(Integrity, match="1 chunks are gone") as caught:
        rebuild(address, other())
    assert "repair" in caught.value.next
    assert space_of(address) == ("counting", 16)


def test_rights_of_readers_and_indexes_come_along(
    run: Indexed, address: str, pg: psycopg.Connection, name: str
) -> None:
    run(shelf())
    pg.execute(f"DROP ROLE IF EXISTS reader_{name}")
    pg.execute(f"CREATE ROLE reader_{name}")
    pg.execute(f"GRANT SELECT ON {name} TO reader_{name}")
    pg.execute(f"CREATE INDEX ON {name} ((metadata->>'source'))")
    rebuild(address, other())
    assert pg.execute(f"SELECT has_table_privilege('reader_{name}', '{name}', 'SELECT')").fetchone() == (True,)
    found = pg.execute(f"SELECT indexdef FROM pg_indexes WHERE tablename = '{name}'").fetchall()
    assert sum("hnsw" in line for (line,) in found) == 1
    assert any("source" in line for (line,) in found)
    pg.execute(f"DROP OWNED BY reader_{name}")
    pg.execute(f"DROP ROLE reader_{name}")


def test_only_one_old_generation_is_kept_and_prune_drops_it(
    run: Indexed, address: str, pg: psycopg.Connection, name: str
) -> None:
    def tables() -> list[str]:
        found = pg.execute(
            "SELECT tablename FROM pg_tables WHERE tablename LIKE $1 ORDER BY 1".replace("$1", "%s"), [f"{name}%"]
        )
        return [row[0] for row in found.fetchall()]

    run(shelf(2))
    rebuild(address, other())
    assert tables() == [name, f"{name}__g1"]
    rebuild(address, Counting(32, model="third"))
    assert tables() == [name, f"{name}__g2"]
    assert prune(address) == 1
    assert tables() == [name]
    with pytest.raises(Refused):
        rollback(address)


def test_a_long_name_leaves_room_for_the_number(pg: psycopg.Connection, model: Counting) -> None:
    long = "문서_" * 8
    pg.execute(f'DROP TABLE IF EXISTS "{long}"')
    index(Shelf({"하나": "글"}), f"pgvector:#{long}", embedder=model, chunker=Paragraphs())
    result = rebuild(f"pgvector:#{long}", other())
    assert (result.serving, space_of(f"pgvector:#{long}")) == (2, ("other", 24))
