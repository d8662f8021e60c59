"""What happened behind the index's back is found, named, and mended without paying again."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from tests.indexing.conftest import Indexed
from tests.indexing.kit import Counting, Shelf
from tests.indexing.test_index import shelf
from wherry.errors import NoSuchCollection
from wherry.indexing.checking import repair, verify
from wherry.indexing.status import status

Rows = Callable[[], dict[str, str]]
DAMAGE = {
    "row lost": ("DELETE FROM {0} WHERE text = '둘째 문단 3'", "missing", False),
    "text changed": ("UPDATE {0} SET text = '다른 글' WHERE text = '둘째 문단 3'", "text", True),
    "metadata changed": (
        "UPDATE {0} SET metadata = jsonb_set(metadata, '{{chunk}}', '9') WHERE text = '둘째 문단 3'", "metadata", True,
    ),
    "vector of another": (
        "UPDATE {0} SET embedding = (SELECT embedding FROM {0} WHERE text = '둘째 문단 4') WHERE text = '둘째 문단 3'",
        "vector", True,
    ),
    "vector zeroed": (
        "UPDATE {0} SET embedding = array_fill(0::real, ARRAY[16])::vector WHERE text = '둘째 문단 3'", "vector", False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_found_and_mended_from_what_was_paid_for(
    kind: str, run: Indexed, address: str, model: Counting, pg: psycopg.Connection, name: str, rows: Rows
) -> None:
    statement, word, deep = DAMAGE[kind]
    documents = shelf()
    run(documents)
    before, vectors = rows(), pg.execute(f"SELECT id, embedding::text FROM {name} ORDER BY 1").fetchall()
    assert verify(address, deep=True).sound
    pg.execute(statement.format(name))
    found = verify(address, deep=deep)
    assert (found.sound, found.wrong, found.exit_code) == (False, 1, 1)
    assert [(f.document, f.kind, f.chunks) for f in found.findings] == [("문서-03", word, 1)]
    assert repair(address, deep=deep).marked == 1
    assert verify(address).waiting == 1
    model.texts.clear()
    result = run(documents)
    assert (result.modified, result.unchanged, result.chunks_embedded) == (1, 11, 0)
    assert not model.texts
    assert verify(address, deep=True).sound
    assert rows() == before
    assert pg.execute(f"SELECT id, embedding::text FROM {name} ORDER BY 1").fetchall() == vectors


def test_rows_that_no_document_has_are_told_and_left_alone(
    run: Indexed, address: str, pg: psycopg.Connection, name: str
) -> None:
    run(shelf(2))
    pg.execute(f"INSERT INTO {name} SELECT 'fremd', embedding, '남의 글', '{{}}' FROM {name} LIMIT 1")
    found = verify(address)
    assert (found.sound, found.strangers, found.rows) == (False, 1, 7)
    assert repair(address).marked == 0
    assert pg.execute(f"SELECT count(*) FROM {name} WHERE id = 'fremd'").fetchone() == (1,)


def test_a_table_that_is_gone_is_made_again_without_paying(
    run: Indexed, address: str, model: Counting, pg: psycopg.Connection, name: str, rows: Rows
) -> None:
    documents = shelf()
    run(documents)
    before = rows()
    pg.execute(f"DROP TABLE {name}")
    with pytest.raises(NoSuchCollection, match="is gone") as caught:
        run(documents)
    assert "repair" in caught.value.next
    assert (status(address).rows, status(address).exit_code) == (None, 1)
    assert repair(address).remade
    model.texts.clear()
    run(documents)
    assert not model.texts
    assert rows() == before
    assert verify(address, deep=True).sound


def test_a_table_made_by_somebody_else_under_the_name_is_not_taken_for_ours(
    run: Indexed, pg: psycopg.Connection, name: str
) -> None:
    documents = shelf(2)
    run(documents)
    pg.execute(f"DROP TABLE {name}")
    pg.execute(f"CREATE TABLE {name} (id text PRIMARY KEY, embedding vector(16), text text, metadata jsonb)")
    assert run(documents).run != "", "nothing to do, says a run over an empty table"


def test_status_tells_what_an_index_covers_and_what_waits(run: Indexed, address: str) -> None:
    documents = shelf(10)
    documents.texts["망가진 글"] = "%BROKEN"
    run(documents)
    found = status(address)
    assert (found.documents, found.chunks, found.failed, found.stale, found.backlog) == (10, 30, 1, 0, 1)
    assert found.coverage == pytest.approx(10 / 11, abs=1e-4)
    assert (found.rows, found.index, found.exit_code, found.running) == (30, "hnsw", 1, None)
    assert found.last_run is not None
    assert (found.last_run["state"], found.last_run["statistics"]["new"]) == ("done", 10)
    assert [(f.document, f.error) for f in found.failures] == [("망가진 글", "BadRecord")]
    assert found.oldest_pending_s is not None
    documents.texts["문서-01"] = "%BROKEN"
    run(documents)
    found = status(address)
    assert (found.documents, found.stale, found.failed) == (10, 1, 2)


def test_an_index_without_damage_costs_its_check_no_write(
    run: Indexed, address: str, pg: psycopg.Connection, name: str
) -> None:
    run(shelf(3))
    before = pg.execute(f"SELECT max(xmin::text::bigint) FROM {name}").fetchone()
    verify(address, deep=True)
    status(address)
    assert pg.execute(f"SELECT max(xmin::text::bigint) FROM {name}").fetchone() == before


def test_an_empty_source_is_an_index_of_nothing(run: Indexed, address: str) -> None:
    run(Shelf({}))
    assert verify(address, deep=True).sound
    assert (status(address).coverage, status(address).documents) == (1.0, 0)
