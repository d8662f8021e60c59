"""A source that is damaged, missing or unusable stops the run before the first write, and is never changed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from tests.acceptance.kit import absent, contents, document, export, made, quarantined, refused
from tests.cli.commands import Wherry, fill
from wherry.space import Metric, Space
from wherry.testing.samples import sample

DOCUMENTS = [document(f"d{n}", [1, 0.5, -2, n]) for n in range(3)]


def tree(folder: Path) -> dict[str, str]:
    """Return every file below a folder with the digest of its bytes."""
    return {str(f): hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(folder.rglob("*")) if f.is_file()}


@pytest.mark.parametrize(
    "header",
    [{"total_documents": 4}, {"total_documents": 2}, {"embedding_dimension": 8}],
    ids=["too-few", "too-many", "dimension"],
)
def test_export_that_contradicts_itself_is_refused_before_the_first_write(
    wherry: Wherry, place: str, tmp_path: Path, header: dict[str, Any]
) -> None:
    source = export(tmp_path / "a.json", *DOCUMENTS, **header)
    for act in ("plan", "sync"):
        told = refused(wherry(act, source, place, "--json"), 6, "ArchiveCorrupt")
        assert str(source) in told["where"] + told["what"]
        assert str(next(iter(header.values()))) in told["what"]
    assert absent(place)


@pytest.mark.parametrize("keep", [0.3, 0.9, 0.999])
def test_truncated_export_is_refused_before_the_first_write(
    wherry: Wherry, place: str, tmp_path: Path, keep: float
) -> None:
    source = export(tmp_path / "a.json", *DOCUMENTS)
    whole = source.read_bytes()
    source.write_bytes(whole[: int(len(whole) * keep)])
    refused(wherry("sync", source, place, "--json"), 6, "ArchiveCorrupt")
    assert absent(place)


def test_flipped_bit_in_an_archive_is_found_before_the_first_write(wherry: Wherry, place: str, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    assert wherry("sync", fill("guides", sample(60), Metric.L2), path).code == 0
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 3] ^= 1
    path.write_bytes(bytes(damaged))
    refused(wherry("sync", path, place, "--json"), 6, "ArchiveCorrupt")
    assert absent(place)


@pytest.mark.parametrize("as_target", [False, True], ids=["source", "target"])
def test_table_without_a_key_is_refused_and_left_alone(
    wherry: Wherry, pg: psycopg.Connection, name: str, tmp_path: Path, as_target: bool
) -> None:
    pg.execute(f"CREATE TABLE {name} (number int, embedding vector(4), text text)")
    pg.execute(f"INSERT INTO {name} VALUES (7, '[1,2,3,4]', 'kept')")
    other = export(tmp_path / "a.json", *DOCUMENTS)
    table, copy = f"pgvector:#{name}", tmp_path / "copy.jsonl"
    said = wherry("sync", other, table, "--json") if as_target else wherry("sync", table, copy, "--json")
    assert said.code in (2, 3)
    assert said.json["next"]
    assert "key" in said.json["what"] + said.json["next"]
    assert pg.execute(f"SELECT number, text FROM {name}").fetchall() == [(7, "kept")]
    assert not copy.exists()


@pytest.mark.parametrize("act", ["plan", "sync", "verify"])
@pytest.mark.parametrize(
    "missing",
    [
        "pgvector:#absent",
        "pgvector:#absent.docs",
        "chroma:{folder}/chroma#absent",
        "chroma:{folder}/nowhere#absent",
        "{folder}/absent.json",
        "{folder}/absent.jsonl",
        "{folder}/nowhere/absent.parquet",
        "memory:#absent",
    ],
)
def test_source_that_is_not_there_is_an_error_and_never_made(
    wherry: Wherry, pg: psycopg.Connection, name: str, tmp_path: Path, missing: str, act: str
) -> None:
    made(f"chroma:{tmp_path}/chroma#present")
    before, source = set(tree(tmp_path)), missing.format(folder=tmp_path)
    target = f"pgvector:#{name}"
    refused(wherry(act, source, target, "--json"), 4, "NoSuchCollection")
    assert absent(source)
    assert absent(target)
    # Names alone: Chroma's own client writes into its database when it opens it.
    assert set(tree(tmp_path)) == before


EVIL = [
    'say "hi"',
    "it's",
    "x; DROP TABLE canary; --",
    "'); DELETE FROM canary; --",
    "표 안내 🩺",
    "100%s {} $1",
    "a\\b",
]


@pytest.mark.usefixtures("canary")
@pytest.mark.parametrize("evil", EVIL)
def test_evil_table_name_is_only_a_name(wherry: Wherry, pg: psycopg.Connection, evil: str, tmp_path: Path) -> None:
    start = fill("start", sample(12), Metric.L2)
    back, table = tmp_path / "back.jsonl", f"pgvector:#{quote(evil)}"
    assert quarantined(wherry("sync", start, table, "--json")) == []
    assert quarantined(wherry("sync", table, back, "--json")) == []
    assert contents(str(back)) == contents(start)
    assert pg.execute("SELECT count(*) FROM pg_tables WHERE tablename = %s", [evil]).fetchone() == (1,)


def test_schema_and_table_are_told_apart(wherry: Wherry, pg: psycopg.Connection, name: str) -> None:
    pg.execute(f"CREATE SCHEMA {name}")
    start = fill("start", sample(12), Metric.L2)
    assert wherry("sync", start, f"pgvector:#{name}.{name}t").code == 0
    assert pg.execute(f"SELECT count(*) FROM {name}.{name}t").fetchone() == (12,)
    assert absent(f"pgvector:#{name}t")


def test_source_needs_no_right_to_write(wherry: Wherry, pg: psycopg.Connection, name: str, tmp_path: Path) -> None:
    start, copy = fill("start", sample(30), Metric.L2), tmp_path / "copy.jsonl"
    assert wherry("sync", start, f"pgvector:#{name}").code == 0
    pg.execute(f"CREATE ROLE {name}_reader LOGIN")
    pg.execute(f"GRANT SELECT ON {name} TO {name}_reader")
    reader = f"postgresql://{name}_reader@/wherry?host={quote(pg.info.host, safe='')}&port={pg.info.port}#{name}"
    try:
        for act in ("plan", "sync", "verify", "sync"):
            said = wherry(act, reader, copy, "--json")
            assert said.code == 0, said
        assert contents(str(copy)) == contents(start)
        refused(wherry("sync", fill("more", sample(31), Metric.L2), reader, "--json"), 4, "AuthFailed")
    finally:
        pg.execute(f"DROP OWNED BY {name}_reader")
        pg.execute(f"DROP ROLE {name}_reader")
    assert contents(f"pgvector:#{name}") == contents(start)


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".parquet"])
def test_archive_that_is_read_keeps_every_byte(wherry: Wherry, place: str, tmp_path: Path, suffix: str) -> None:
    source = tmp_path / "source" / f"a{suffix}"
    source.parent.mkdir()
    assert wherry("sync", fill("start", sample(30), Metric.L2), source).code == 0
    before, stamp = tree(source.parent), source.stat().st_mtime_ns
    for act in ("plan", "sync", "verify", "sync"):
        assert wherry(act, source, place).code == 0
    assert (tree(source.parent), source.stat().st_mtime_ns) == (before, stamp)


def test_chroma_collection_that_is_read_stays_as_it_was(
    wherry: Wherry, pg: psycopg.Connection, name: str, tmp_path: Path
) -> None:
    source = made(f"chroma:{tmp_path}/chroma#{name}", Space(dimension=8, metric=Metric.COSINE))
    assert wherry("sync", fill("start", sample(30), Metric.COSINE), source).code == 0
    before = contents(source)
    for act in ("plan", "sync", "verify"):
        assert wherry(act, source, f"pgvector:#{name}").code == 0
    assert contents(source) == before
    assert json.dumps(contents(f"pgvector:#{name}"), sort_keys=True) == json.dumps(before, sort_keys=True)
