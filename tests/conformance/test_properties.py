"""Every property of the suite with many random records and histories per engine; a commit tries a few of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.test_archive import Json, Jsonl, Parquet
from tests.conformance.test_chroma import Chroma
from tests.conformance.test_faiss import Faiss
from tests.conformance.test_pgvector import Pgvector
from tests.conformance.test_qdrant import Edge, Grpc, Server
from wherry.testing.conformance import Fixtures, StoreConformance, cases, verdicts

EXAMPLES = 200
PROPERTIES = [name for name, test in cases(StoreConformance) if (test.__doc__ or "").startswith("Property:")]
ENGINES = (Json, Jsonl, Parquet, Chroma, Faiss, Pgvector, Edge, Server, Grpc)


def test_the_properties_are_those_of_the_suite() -> None:
    assert len(PROPERTIES) == 4


@pytest.mark.campaign
@pytest.mark.usefixtures("shared_home")
@pytest.mark.parametrize("engine", ENGINES, ids=[engine.__name__ for engine in ENGINES])
@pytest.mark.parametrize("name", PROPERTIES)
def test_many_examples(engine: type[Fixtures], name: str, tmp_path: Path) -> None:
    class Many(engine):  # type: ignore[misc, valid-type]
        examples = EXAMPLES

    made = Many(tmp_path)
    try:
        assert set(verdicts(StoreConformance, made, name).values()) <= {"passed", "skipped"}
    finally:
        made.close()
