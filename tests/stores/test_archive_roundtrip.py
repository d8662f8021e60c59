"""Property: whatever a batch can hold goes through a file of any format and comes back the same."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from tests.stores.archive_kit import SUFFIXES, by_id, contents, source, write
from wherry.record import Record, from_records, make_batch, vectors_of
from wherry.space import Space
from wherry.testing.strategies import batches

PLAIN = Space(dimension=4)


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=25, deadline=None)
@given(batch=batches(4))
def test_any_batch_comes_back(suffix: str, batch: pa.RecordBatch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / f"a{suffix}", batch, space=PLAIN)
        assert contents(path) == by_id(batch)
        opened = source(path)
        assert by_id(opened.fetch(batch.column("id")).records) == by_id(batch)
        assert [i for chunk in opened.ids() for i in chunk.to_pylist()] == batch.column("id").to_pylist()
        opened.close()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_of_float_keeps_its_bits(tmp_path: Path, suffix: str) -> None:
    bits = np.random.default_rng(3).integers(0, 2**32, 40_000, dtype=np.uint32)
    edges = [0, 1, 0x80000000, 0x80000001, 0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x15AE43FD, 0x15AE43FE]
    bits[: len(edges)] = edges
    vectors = bits.view(np.float32).reshape(-1, 400).copy()
    vectors[~np.isfinite(vectors)] = np.float32(-0.0)
    rows = len(vectors)
    batch = make_batch([str(n) for n in range(rows)], vectors, [None] * rows, [None] * rows)
    path = write(tmp_path / f"a{suffix}", batch, space=Space(dimension=400))
    found = np.concatenate([vectors_of(page.records) for page in source(path).scan()])
    assert np.array_equal(found.view(np.uint32), vectors.view(np.uint32))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_metadata_written_over_several_lines_stays_one_record(tmp_path: Path, suffix: str) -> None:
    batch = from_records([Record("a", [1.0, 2.0, 3.0, 4.0])])
    text = '{\r\n "a":\n [1,\n 2], "b\\n": "x\\ny" }'
    batch = batch.set_column(3, batch.schema.field("metadata"), pa.array([text]))
    path = write(tmp_path / f"a{suffix}", batch, space=PLAIN)
    assert contents(path) == by_id(batch)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_space_and_index_come_back_whole(tmp_path: Path, suffix: str) -> None:
    space = Space.from_dict(
        {
            "dimension": 4,
            "metric": "ip",
            "provider": "p",
            "model": "모델",
            "model_digest": "sha256:0",
            "normalised": True,
            "query_prompt": "query: \n" * 900,
            "document_prompt": '"{',
        }
    )
    batch = from_records([Record("a", [1.0, 2.0, 3.0, 4.0])])
    assert source(write(tmp_path / f"a{suffix}", batch, space=space)).describe().space == space
