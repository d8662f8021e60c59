"""Two sides for the tests of routes: a table with three guides, and a Chroma folder that is still to be made."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.routing.kit import TEXTS, put


@pytest.fixture
def fresh(pg: psycopg.Connection) -> None:
    pg.execute("DROP SCHEMA IF EXISTS wherry CASCADE")


@pytest.fixture
def old(fresh: None, name: str) -> str:
    """A table with three guides."""
    address = f"pgvector:#{name}"
    put(address, TEXTS)
    return address


@pytest.fixture
def new(tmp_path: Path) -> str:
    return f"chroma:{tmp_path / 'db'}#guides"
