"""From LlamaCloud to files and stores, as a user does it: commands, real engines, the store behind a pipeline."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psycopg
import pytest
from qdrant_client import QdrantClient, models

import wherry
from tests.cli.commands import Said, run_command
from tests.stores.llamacloud_kit import KEY, NAME, address, filled, opened, read, texts
from wherry.cli import main
from wherry.errors import AuthFailed
from wherry.stores.llamacloud.place import KEY_VARIABLES
from wherry.stores.registry import open_source, probes
from wherry.testing.llamacloud_pipelines import postgres_sink, qdrant_sink
from wherry.testing.llamacloud_server import LlamaCloudServer
from wherry.testing.qdrant_server import QdrantServer

pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LlamaCloudServer]:
    monkeypatch.setenv("LLAMA_CLOUD_API_KEY", KEY)
    with LlamaCloudServer(api_key=KEY) as running:
        monkeypatch.setenv("LLAMA_CLOUD_BASE_URL", running.url)
        yield running


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """The command, run inside this process."""

    def run(*args: str) -> Said:
        capsys.readouterr()
        code = main(args)
        return Said(code, *capsys.readouterr())

    return run


def test_commands_plan_and_sync_an_export(
    server: LlamaCloudServer, tmp_path: Path, command: Callable[..., Said]
) -> None:
    filled(server, documents=4).add("벡터 없음", ["혈압약은 거르지 않습니다."], vectors=False)
    source, export = f"llamacloud:#{NAME}", str(tmp_path / "export.json")
    planned = command("plan", source, export, "--json")
    assert planned.code == 0, planned.err
    assert (planned.json["rows"], planned.json["new"], planned.json["quarantined"]) == (13, 12, 1)
    assert any(note.startswith("re-embed: 1 of 13 records") for note in planned.json["notes"])
    assert "re-embed: 1 of 13 records" in command("plan", source, export).out
    synced = run_command("sync", source, export, "--json")
    assert synced.code == 5
    assert (synced.json["written"], synced.json["quarantine"][0]["reason"]) == (12, "MissingVector")
    written = json.loads(Path(export).read_text())
    assert (written["total_documents"], written["embedding_dimension"]) == (12, 64)
    assert written["wherry"]["space"]["model"] == "text-embedding-3-small"
    assert KEY not in planned.out + planned.err + synced.out + synced.err + Path(export).read_text()


def test_a_wrong_key_is_exit_4(
    server: LlamaCloudServer, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Said]
) -> None:
    filled(server)
    monkeypatch.setenv("LLAMA_CLOUD_API_KEY", "llx-wrong-C4n4ry")
    for flags in ((), ("--json",), ("--debug",)):
        said = command("plan", f"llamacloud:#{NAME}", "memory:#x", *flags)
        assert said.code == 4
        assert "LLAMA_CLOUD_API_KEY" in said.out + said.err
        assert "C4n4ry" not in said.out + said.err
    assert len(server.seen) == 3


def test_to_chroma_and_back_equal(server: LlamaCloudServer, tmp_path: Path) -> None:
    pipeline = filled(server, documents=8)
    target = f"chroma:{tmp_path}/welno#welno_medical_knowledge"
    done = wherry.sync(address(server), target)
    assert (done.created, done.equal, done.verified) == (24, True, "deep")
    assert wherry.verify(address(server), target).equal
    pipeline.documents.pop("안내 3")
    assert wherry.sync(address(server), target).deleted == 3
    assert texts(open_source(target)) == texts(opened(server))


def test_without_a_metric_a_store_that_needs_one_refuses(server: LlamaCloudServer, tmp_path: Path) -> None:
    filled(server)
    with pytest.raises(wherry.errors.UnknownMetric, match="does not say by which metric"):
        wherry.sync(address(server, metric=None), f"chroma:{tmp_path}/c#welno")
    assert wherry.sync(address(server, metric=None), f"chroma:{tmp_path}/c#welno?metric=cosine").equal


def test_the_store_behind_a_pipeline_is_read(
    server: LlamaCloudServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QDRANT_API_KEY", "q-C4n4ry")
    with QdrantServer(tmp_path / "q", api_key="q-C4n4ry") as behind:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            client = QdrantClient(url=behind.url, api_key="q-C4n4ry", check_compatibility=False)
        client.create_collection("welno", vectors_config=models.VectorParams(size=4, distance=models.Distance.DOT))
        client.upsert("welno", [models.PointStruct(id=7, vector=[1, 2, 3, 4], payload={"text": "가", "page": 1})])
        client.close()
        filled(server, data_sink=qdrant_sink(behind.url, "welno"))
        notes = opened(server, metric=None).describe().notes
        assert any(f"qdrant+http://127.0.0.1:{behind.port}#welno" in n and "QDRANT_API_KEY" in n for n in notes)
        asked = server.asked("/chunks")
        source = open_source(address(server, metric="ip", via="sink"))
        [record] = read(source)[0].values()
        assert (record.id, record.text, record.metadata) == ("7", "가", {"page": 1})
        assert np.array_equal(record.vector, [1, 2, 3, 4])
        assert server.asked("/chunks") == asked
        assert wherry.sync(address(server, metric=None, via="sink"), tmp_path / "copy.parquet").equal
        monkeypatch.setenv("QDRANT_API_KEY", "wrong")
        with pytest.raises(AuthFailed):
            open_source(address(server, metric=None, via="sink"))


def test_a_postgres_behind_a_pipeline_is_read(
    server: LlamaCloudServer, pg: psycopg.Connection, name: str, tmp_path: Path
) -> None:
    # As LlamaIndex makes its tables, which is what LlamaCloud writes with.
    pg.execute("CREATE EXTENSION IF NOT EXISTS vector")
    pg.execute(
        f"CREATE TABLE data_{name} (id bigserial PRIMARY KEY, text varchar NOT NULL, metadata_ json, node_id varchar,"
        " embedding vector(4))"
    )
    pg.execute(
        f"INSERT INTO data_{name} (text, metadata_, node_id, embedding) VALUES (%s, %s, %s, %s)",
        ("공복혈당", json.dumps({"file_name": "혈당.pdf"}), "node-1", "[1,2,3,4]"),
    )
    info = pg.info
    place = {"host": info.host, "port": info.port, "user": info.user, "database": info.dbname}
    filled(server, data_sink=postgres_sink(name.upper(), embed_dim=4, **place))
    source = open_source(address(server, metric=None, via="sink"))
    [record] = read(source)[0].values()
    assert (record.text, (record.metadata or {})["file_name"]) == ("공복혈당", "혈당.pdf")
    assert np.array_equal(record.vector, [1, 2, 3, 4])
    source.close()
    pg.execute(f"DROP TABLE data_{name}")


def test_doctor_lists_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert _doctor().endswith("no key: set LLAMA_CLOUD_API_KEY")
    monkeypatch.setenv("LLAMAINDEX_API_KEY", KEY)
    assert _doctor().endswith("read only, key in LLAMAINDEX_API_KEY")


def _doctor() -> str:
    [probe] = [probe for probe in probes() if probe.engine == "llamacloud"]
    assert probe.usable
    return probe.detail


def test_hundreds_of_documents_are_read_in_flat_pages(server: LlamaCloudServer) -> None:
    filled(server, documents=300)
    pages = [page.records.num_rows for page in opened(server, concurrency=8).scan(128)]
    assert (sum(pages), max(pages)) == (900, 128)
