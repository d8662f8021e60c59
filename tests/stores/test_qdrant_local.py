"""A folder of the Qdrant client's local mode: read as it lies there, and never trusted."""

from __future__ import annotations

import base64
import os
import pickle
import sqlite3
import warnings
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest
from qdrant_client import QdrantClient, models

from wherry.errors import BadAddress, Integrity, NoSuchCollection, Unsupported
from wherry.record import Record, to_records
from wherry.space import Metric, Space
from wherry.stores.base import Capabilities, Readable, Writable
from wherry.stores.qdrant.ids import ID_KEY, points_of
from wherry.stores.qdrant.payload import Codec, Layout
from wherry.stores.registry import open_source, open_target
from wherry.testing.conformance import Fixtures, SourceConformance
from wherry.testing.samples import sample

UUID_TEXT = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with three points, one of them in upper case and one without the vector."""
    place = tmp_path / "local"
    client = QdrantClient(path=str(place))
    params = models.VectorParams(size=3, distance=models.Distance.COSINE)
    client.create_collection("docs", vectors_config=params)
    client.create_collection("named", vectors_config={"a": params, "b": params})
    points = [
        models.PointStruct(id=7, vector=[1.0, 2, 3], payload={"document": "가", "page": 1, "none": None}),
        models.PointStruct(id=UUID_TEXT.upper(), vector=[0.5, 0, 0], payload={"document": "나"}),
    ]
    client.upsert("docs", points)
    client.upsert("docs", [points[0].model_copy(update={"payload": {"document": "다", "page": 2}})])
    client.upsert("named", [models.PointStruct(id=1, vector={"b": [1.0, 2, 3]}, payload={})])
    alias = models.CreateAlias(collection_name="docs", alias_name="live")
    client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
    client.close()
    return place


def records_of(store: Readable) -> dict[str, Record]:
    return {record.id: record for page in store.scan() for record in to_records(page.records)}


def test_points_are_read_as_they_were_given(folder: Path) -> None:
    source = open_source(f"qdrant:{folder}#docs")
    found = records_of(source)
    assert list(found) == ["7", UUID_TEXT]
    assert (found["7"].text, found["7"].metadata) == ("다", {"page": 2})
    # The client shows them at length 1; the file has what it was given.
    assert found["7"].vector.tolist() == [1.0, 2.0, 3.0]
    described = source.describe()
    assert (described.count, described.space) == (2, Space(dimension=3, metric=Metric.COSINE))
    assert any("local mode" in note for note in described.notes)
    assert source.fetch(pa.array([UUID_TEXT, "8"])).records["id"].to_pylist() == [UUID_TEXT]


def test_reading_changes_no_byte(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    source = open_source(f"qdrant:{folder}#live")
    list(source.scan())
    source.close()
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_an_alias_is_its_collection(folder: Path) -> None:
    one, other = open_source(f"qdrant:{folder}#live"), open_source(f"qdrant:{folder}#docs")
    assert one.identity == other.identity
    assert records_of(one).keys() == records_of(other).keys()


def test_named_vectors_and_missing_ones(folder: Path) -> None:
    with pytest.raises(BadAddress, match="which vector"):
        open_source(f"qdrant:{folder}#named")
    assert list(records_of(open_source(f"qdrant:{folder}#named?vector=b"))) == ["1"]
    [page] = open_source(f"qdrant:{folder}#named?vector=a").scan()
    assert [(reject.id, reject.reason) for reject in page.rejects] == [("1", "MissingVector")]


def test_it_is_never_a_target(folder: Path) -> None:
    with pytest.raises(Unsupported, match="local mode"):
        open_target(f"qdrant:{folder}#new")
    with pytest.raises(NoSuchCollection):
        open_source(f"qdrant:{folder}#new")
    with pytest.raises(BadAddress):
        open_source(f"qdrant:{folder}")


class _Hostile:
    def __reduce__(self) -> tuple:
        return os.mkdir, (_Hostile.mark,)

    mark = ""


@pytest.mark.parametrize("column", ["id", "point"])
def test_a_hostile_pickle_is_not_run(folder: Path, tmp_path: Path, column: str) -> None:
    _Hostile.mark = str(tmp_path / "owned")
    blob: bytes | str = pickle.dumps(_Hostile())
    with sqlite3.connect(folder / "collection" / "docs" / "storage.sqlite") as db:
        value = base64.b64encode(blob).decode() if column == "id" else blob
        db.execute(f"UPDATE points SET {column} = ? WHERE rowid = (SELECT min(rowid) FROM points)", (value,))
    with pytest.raises(Integrity):
        list(open_source(f"qdrant:{folder}#docs").scan())
    assert not Path(_Hostile.mark).exists()


class Local(Fixtures):
    """Folders that the official client writes."""

    def address(self, name: str) -> str:
        return f"qdrant:{self.folder}/here#{name}"

    def open_target(self, name: str) -> Writable:
        raise NotImplementedError("local mode is never a target")

    def capabilities(self) -> Capabilities:
        self.fill("claims", sample(1), Space(dimension=8, metric=Metric.L2))
        return self.open_source("claims").capabilities

    def fill(self, name: str, batch: pa.RecordBatch, space: Space) -> None:
        distances = {"cosine": "Cosine", "l2": "Euclid", "ip": "Dot", "l1": "Manhattan"}
        params = models.VectorParams(size=space.dimension, distance=distances[space.metric])
        with self._client() as client:
            if not client.collection_exists(name):
                client.create_collection(name, vectors_config=params)
            payloads = Codec(Layout()).encode(batch["text"], batch["metadata"])
            ids = batch["id"].to_pylist()
            for record_id, payload in zip(ids, payloads, strict=True):
                payload[ID_KEY] = record_id
            vectors = batch["vector"].to_pylist()
            if ids:
                client.upsert(name, models.Batch(ids=points_of(ids), vectors=vectors, payloads=payloads))

    def listing(self) -> frozenset[str]:
        return frozenset(str(path) for path in self.folder.rglob("*"))

    def spoil(self, name: str) -> frozenset[str]:
        with self._client() as client:
            client.upsert(name, [models.PointStruct(id=i, vector={}, payload={}) for i in (7, 8)])
        return frozenset({"7", "8"})

    def _client(self) -> closing[QdrantClient]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return closing(QdrantClient(path=str(self.folder / "here")))


class TestLocal(SourceConformance):
    fixtures = Local
