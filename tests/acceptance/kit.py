"""Short words for the acceptance tests: exports, collections of real engines, and what they hold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import Said
from wherry.errors import NoSuchCollection
from wherry.record import to_records
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.registry import open_source, open_target

DIMENSION = 4
Held = dict[str, tuple[list[float], str | None, dict[str, Any] | None]]


def document(name: str, embedding: Sequence[float] | None = (1, 2, 3, 4), **changes: Any) -> dict[str, Any]:
    """Return a document of an export."""
    found = {"id": name, "text": f"본문 {name}", "metadata": {"page": 3}, "embedding": embedding}
    return {**found, **changes}


def export(path: Path, *documents: dict[str, Any], **header: Any) -> Path:
    """Write an export as a cloud index hands it out; a header that is None is left out."""
    stated = {"index_name": "guides", "total_documents": len(documents), "embedding_dimension": DIMENSION, **header}
    whole = {key: value for key, value in stated.items() if value is not None}
    path.write_text(json.dumps({**whole, "documents": documents}), encoding="utf-8")
    return path


def made(address: str, space: Space | None = None) -> str:
    """Make an empty collection and return its address. space: 4 components under cosine by default."""
    space = space or Space(dimension=DIMENSION, metric=Metric.COSINE)
    with closing(open_target(address)) as store:
        store.prepare(space, Index(), 10)
        store.finish(space, Index())
    return address


def contents(address: str) -> Held:
    """Return everything a collection holds, by id; fails on a reject or a second record of an id."""
    found: Held = {}
    with closing(open_source(address)) as store:
        for page in store.scan():
            assert page.rejects == []
            for record in to_records(page.records):
                assert record.id not in found
                found[record.id] = (list(map(float, record.vector)), record.text, record.metadata)
    return found


def absent(address: str) -> bool:
    """Tell whether there is no such collection."""
    try:
        with closing(open_source(address)) as store:
            store.describe()
    except NoSuchCollection:
        return True
    return False


def quarantined(said: Said) -> list[tuple[str, str]]:
    """Return id and reason of what could not cross, after checking that every record is accounted for."""
    told = said.json
    assert told["read"] == told["written"] + told["unchanged"] + told["quarantined"], told
    assert told["quarantined"] == len(told["quarantine"])
    assert said.code == (5 if told["quarantine"] else 0), told
    return [(reject["id"], reject["reason"]) for reject in told["quarantine"]]


def refused(said: Said, code: int, error: str) -> dict[str, Any]:
    """Return the error of a command that failed as it should: code, class, and a next step."""
    told = said.json
    assert (said.code, told["exit_code"], told["error"]) == (code, code, error), told
    assert told["next"], told
    return told


def approximately(found: Held) -> Any:
    """Return contents that agree with the same ones after an engine rounded their vectors."""
    return {i: (pytest.approx(vector, abs=1e-6), text, metadata) for i, (vector, text, metadata) in found.items()}
