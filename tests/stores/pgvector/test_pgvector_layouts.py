"""Tables as other people made them: which columns are read, and what cannot be."""

from __future__ import annotations

import psycopg
import pytest

from tests.stores.pgvector.pgtables import SPACE, batch, described, read, rejects, run, source, target
from wherry.errors import BadAddress, NoSuchCollection, Refused, Rejected
from wherry.stores.base import IdKind, Index


def test_columns_are_found_by_rule(pg: psycopg.Connection, name: str) -> None:
    run(pg, "CREATE TABLE @ (page int PRIMARY KEY, content text, v vector(3), cmetadata json, at date)", name)
    run(
        pg, "INSERT INTO @ VALUES (42, '가', '[1,2,3]', '{\"a\": 1e2}', now()), (-7, NULL, '[0,0,1]', NULL, NULL)", name
    )
    assert read(f"pgvector:#{name}") == {
        "42": ([1, 2, 3], "가", {"a": 100.0}),
        "-7": ([0, 0, 1], None, None),
    }
    assert "columns that are no part of a record: at" in described(f"pgvector:#{name}").notes


def test_columns_are_named_by_the_address(pg: psycopg.Connection, name: str) -> None:
    run(pg, "CREATE TABLE @ (pk uuid PRIMARY KEY, \"a b\" text UNIQUE, title text, e1 vector(2), e2 halfvec(3),"
            " m1 jsonb, m2 jsonb)", name)  # fmt: skip
    run(pg, "INSERT INTO @ VALUES (gen_random_uuid(), 'x', 'T', '[1,2]', '[1,2,3]', '{\"m\": 1}', '{\"m\": 2}')", name)
    wanted = f"pgvector:#{name}?id=a%20b&vector=e2&text=title&metadata=m2"
    assert read(wanted) == {"x": ([1, 2, 3], "T", {"m": 2})}
    with source(wanted) as store:
        assert store.capabilities.precision_bits == 16
        assert store.capabilities.id_kind is IdKind.TEXT
    assert read(f"pgvector:#{name}?id=a%20b&vector=e1&text=&metadata=") == {"x": ([1, 2], None, None)}


def test_uuid_keys_travel_in_lower_case(pg: psycopg.Connection, name: str) -> None:
    run(pg, "CREATE TABLE @ (id uuid PRIMARY KEY, v vector(1))", name)
    run(pg, "INSERT INTO @ VALUES ('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '[1]')", name)
    assert list(read(f"pgvector:#{name}")) == ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]


@pytest.mark.parametrize(
    ("columns", "options", "words"),
    [
        ("id text PRIMARY KEY, a vector(2), b vector(2)", "", "a, b"),
        ("id text PRIMARY KEY, v vector(2), x jsonb, y jsonb", "", "x, y"),
        ("id text PRIMARY KEY, v vector(2), text text, content text", "", "text, content"),
        ("id text PRIMARY KEY, note text", "", "no column of type vector"),
        ("id text PRIMARY KEY, v vector(2)", "?vector=w", "'w'"),
        ("id text PRIMARY KEY, v vector(2)", "?metadata=id", "of type text"),
        ("id numeric PRIMARY KEY, v vector(2)", "", "of type numeric"),
    ],
    ids=["vectors", "metadata", "texts", "no-vector", "misspelt", "wrong-type", "key-type"],
)
def test_unclear_columns_are_an_error(
    pg: psycopg.Connection, name: str, columns: str, options: str, words: str
) -> None:
    run(pg, f"CREATE TABLE @ ({columns})", name)
    with pytest.raises(BadAddress) as caught:
        read(f"pgvector:#{name}{options}")
    assert words in str(caught.value)
    assert caught.value.next


def test_a_misspelt_column_lists_those_there_are(pg: psycopg.Connection, name: str) -> None:
    run(pg, 'CREATE TABLE @ (id text PRIMARY KEY, "Größe" int, v vector(2))', name)
    with pytest.raises(BadAddress, match="id, Größe, v") as caught:
        read(f"pgvector:#{name}?text=body")
    assert "id, Größe, v" in caught.value.next


@pytest.mark.parametrize("key", ["id text", "id text, PRIMARY KEY (id, v2)", "id text UNIQUE DEFERRABLE"])
def test_a_target_needs_a_key(pg: psycopg.Connection, name: str, key: str) -> None:
    run(pg, f"CREATE TABLE @ (v vector(3), v2 int, {key})", name)
    with pytest.raises(Refused, match=r"key|apart"), target(f"pgvector:#{name}") as store:
        store.prepare(SPACE, Index(), 1)


def test_a_named_id_without_a_key_can_be_read(pg: psycopg.Connection, name: str) -> None:
    run(pg, "CREATE TABLE @ (node_id text, v vector(1))", name)
    run(pg, "INSERT INTO @ VALUES ('a', '[1]'), ('a', '[2]'), (NULL, '[3]'), ('', '[4]')", name)
    with pytest.raises(Refused, match="no key"):
        read(f"pgvector:#{name}")
    wanted = f"pgvector:#{name}?id=node_id"
    with source(wanted) as store:
        assert not store.capabilities.unique_ids
        pages = list(store.scan())
        assert [page.records.column("id").to_pylist() for page in pages] == [["a", "a"]]
        assert sum(page.read for page in pages) == 4
        assert [i for ids in store.ids() for i in ids.to_pylist()] == ["a", "a", ""]
    assert [r.reason for r in rejects(wanted)] == ["BadId", "BadId"]


def test_a_case_folding_key_keeps_nothing_apart(pg: psycopg.Connection, name: str) -> None:
    try:
        pg.execute(
            "CREATE COLLATION IF NOT EXISTS folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
        )
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("the server was built without ICU")
    run(pg, "CREATE TABLE @ (id text COLLATE folding PRIMARY KEY, v vector(3))", name)
    with source(f"pgvector:#{name}") as store:
        assert not store.capabilities.unique_ids
    with pytest.raises(Refused), target(f"pgvector:#{name}") as store:
        store.prepare(SPACE, Index(), 1)


def test_views_and_missing_tables_are_no_collection(pg: psycopg.Connection, name: str) -> None:
    run(pg, "CREATE VIEW @ AS SELECT 1 AS id", name)
    for missing in (name, f"{name}x", f"nowhere.{name}"):
        with pytest.raises(NoSuchCollection):
            read(f"pgvector:#{missing}")


def test_rows_that_no_batch_can_hold_are_named(pg: psycopg.Connection, name: str) -> None:
    run(pg, "CREATE TABLE @ (id int PRIMARY KEY, v vector, metadata json)", name)
    run(pg, "INSERT INTO @ VALUES (1, '[1,2]', '{}'), (2, NULL, NULL), (3, '[1]', NULL), (4, '[3,4]', '[1]'),"
            " (5, '[5,6]', 'null'), (6, '[7,8]', ' {\"a\":1}'), (7, '[7,8]', '\"x\"')", name)  # fmt: skip
    wanted = f"pgvector:#{name}"
    assert read(wanted) == {"1": ([1, 2], None, {}), "5": ([5, 6], None, None), "6": ([7, 8], None, {"a": 1})}
    found = {(r.id, r.reason) for r in rejects(wanted)}
    assert found == {
        ("2", "MissingVector"), ("3", "WrongDimension"), ("4", "BadMetadata"), ("7", "BadMetadata"),
    }  # fmt: skip
    about = described(wanted)
    assert (about.count, about.space.dimension) == (7, 2)
    assert any("1 rows have no vector" in note for note in about.notes)


def test_a_partitioned_table_is_one_collection(pg: psycopg.Connection, name: str) -> None:
    run(pg, "CREATE TABLE @ (id int PRIMARY KEY, v vector(1)) PARTITION BY HASH (id)", name)
    for part in range(2):
        run(pg, f'CREATE TABLE "{name}_{part}" PARTITION OF @ FOR VALUES WITH (MODULUS 2, REMAINDER {part})', name)
    run(pg, "INSERT INTO @ SELECT n, ARRAY[n]::vector FROM generate_series(1, 10) n", name)
    with source(f"pgvector:#{name}") as store:
        assert sum(page.records.num_rows for page in store.scan()) == 10
        mark = store.mark()
        assert mark is not None
        run(pg, "UPDATE @ SET v = '[99]' WHERE id IN (3, 4)", name)
        found = store.touched(mark)
        assert found is not None
        assert (found.count, set(found.ids.to_pylist())) == (10, {"3", "4"})
        assert (store.describe().bytes or 0) > 8192


def test_schema_and_table(pg: psycopg.Connection, name: str) -> None:
    pg.execute(f'CREATE SCHEMA "{name}s"')
    with target(f"pgvector:#{name}s.docs") as store:
        store.prepare(SPACE, Index(), 1)
        store.upsert(batch(("a", [1, 2, 3])))
        first = store.identity
    assert run(pg, "SELECT count(*) FROM @.docs", f"{name}s").fetchone() == (1,)
    with source(f"pgvector:#docs?schema={name}s") as store:
        assert store.identity == first
        assert store.describe().space == SPACE
    with pytest.raises(BadAddress, match="names no table"):
        read("pgvector:")


def test_a_dot_in_a_name_is_no_schema(pg: psycopg.Connection, name: str) -> None:
    with target(f"pgvector:#{name}.docs") as store:
        store.prepare(SPACE, Index(), 1)
    run(pg, "SELECT FROM @", f"{name}.docs")
    run(pg, "CREATE SCHEMA @", name)
    run(pg, "CREATE TABLE @.docs (id text PRIMARY KEY, v vector(3))", name)
    with pytest.raises(BadAddress, match="schema"):
        read(f"pgvector:#{name}.docs")


def test_integer_keys_hold_their_own_spelling_only(pg: psycopg.Connection, name: str) -> None:
    run(pg, "CREATE TABLE @ (id smallint PRIMARY KEY, v vector(3), text text)", name)
    with target(f"pgvector:#{name}") as store:
        store.prepare(SPACE, Index(), 1)
        store.upsert(batch(("4", [1, 2, 3]), ("-32768", [1, 2, 3])))
        for wrong in ("0004", "x", "40000", "-0", "9" * 19):
            with pytest.raises(Rejected, match=wrong):
                store.upsert(batch(("5", [1, 2, 3]), (wrong, [1, 2, 3])))
        asked = batch(*[(i, [0]) for i in ("4", "0004", "x", "99999999999999999999", "70000")]).column("id")
        assert store.fetch(asked).records.column("id").to_pylist() == ["4"]
        store.delete(asked)
    assert list(read(f"pgvector:#{name}")) == ["-32768"]


def test_numbering_goes_on_behind_what_was_moved(pg: psycopg.Connection, name: str) -> None:
    run(pg, "CREATE TABLE @ (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v vector(3), text text)", name)
    with target(f"pgvector:#{name}") as store:
        store.prepare(SPACE, Index(), 1)
        store.upsert(batch(("41", [1, 2, 3])), absent=True)
        store.upsert(batch(("41", [1, 2, 4])))
        store.finish(SPACE, Index())
    assert run(pg, "INSERT INTO @ (v) VALUES ('[1,2,3]') RETURNING id", name).fetchone() == (42,)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("owner int NOT NULL", "owner"),
        ("w int GENERATED ALWAYS AS (1) STORED, text text GENERATED ALWAYS AS ('x') STORED", "text"),
    ],
    ids=["needs-a-value", "computed"],
)
def test_a_table_that_records_do_not_fit_is_refused(
    pg: psycopg.Connection, name: str, columns: str, words: str
) -> None:
    run(pg, f"CREATE TABLE @ (id text PRIMARY KEY, v vector(3), {columns})", name)
    with pytest.raises(Refused, match=words), target(f"pgvector:#{name}") as store:
        store.prepare(SPACE, Index(), 1)


def test_other_columns_keep_their_values(pg: psycopg.Connection, name: str) -> None:
    run(pg, "CREATE TABLE @ (id text PRIMARY KEY, v vector(3), text text, owner int NOT NULL DEFAULT 7)", name)
    with target(f"pgvector:#{name}") as store:
        store.prepare(SPACE, Index(), 1)
        store.upsert(batch(("a", [1, 2, 3])), absent=True)
        run(pg, "UPDATE @ SET owner = 8", name)
        store.upsert(batch(("a", [3, 2, 1])))
        with pytest.raises(Rejected, match="no column for the metadata"):
            store.upsert(batch(("b", [1, 2, 3], {"a": 1})))
    assert run(pg, "SELECT v::text, owner FROM @", name).fetchall() == [("[3,2,1]", 8)]


def test_metadata_that_may_not_be_null(pg: psycopg.Connection, name: str) -> None:
    run(pg, "CREATE TABLE @ (id text PRIMARY KEY, v vector(3), text text NOT NULL, metadata jsonb NOT NULL)", name)
    with target(f"pgvector:#{name}") as store:
        assert not store.capabilities.null_text
        store.prepare(SPACE, Index(), 1)
        store.upsert(batch(("a", [1, 2, 3]), ("b", [1, 2, 3], {}), ("c", [1, 2, 3], {"x": -0.0})))
    assert {i: m for i, (_, _, m) in read(f"pgvector:#{name}").items()} == {"a": None, "b": {}, "c": {"x": -0.0}}


def test_whole_floats_stay_floats_and_filters_see_them(pg: psycopg.Connection, name: str) -> None:
    with target(f"pgvector:#{name}") as store:
        store.prepare(SPACE, Index(), 1)
        store.upsert(batch(("a", [1, 2, 3], {"x": 1e22, "t": "say 1e5, ok"}), ("b", [1, 2, 3], {"x": -0.0})))
    found = read(f"pgvector:#{name}")
    assert found["a"][2] == {"x": 1e22, "t": "say 1e5, ok"}
    assert isinstance(found["a"][2]["x"], float)
    query = "SELECT id, metadata ? '_wherry_metadata' FROM @ WHERE (metadata->>'x')::numeric @@ ORDER BY id"
    assert run(pg, query.replace("numeric @@", "numeric = 1e22"), name).fetchall() == [("a", False)]
    assert run(pg, query.replace("numeric @@", "numeric = 0"), name).fetchall() == [("b", True)]


def test_what_others_keep_under_our_key_is_theirs(pg: psycopg.Connection, name: str) -> None:
    run(pg, "CREATE TABLE @ (id text PRIMARY KEY, v vector(1), metadata jsonb)", name)
    run(pg, "INSERT INTO @ VALUES ('a', '[1]', '{\"_wherry_metadata\": \"mine\"}')", name)
    assert read(f"pgvector:#{name}")["a"][2] == {"_wherry_metadata": "mine"}


def test_a_short_key_says_how_short(pg: psycopg.Connection, name: str) -> None:
    run(pg, "CREATE TABLE @ (id varchar(5) PRIMARY KEY, v vector(3), text text)", name)
    with target(f"pgvector:#{name}") as store:
        assert store.capabilities.max_id_bytes == 5
        store.prepare(SPACE, Index(), 1)
        with pytest.raises(Rejected, match="too long"):
            store.upsert(batch(("123456", [1, 2, 3])))


def test_a_table_of_another_dimension_is_refused(pg: psycopg.Connection, name: str) -> None:
    run(pg, "CREATE TABLE @ (id text PRIMARY KEY, v vector(4))", name)
    with pytest.raises(Refused, match="dimension: 4 / 3"), target(f"pgvector:#{name}") as store:
        store.prepare(SPACE, Index(), 1)
