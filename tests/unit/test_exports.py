"""The public names: all there, nothing else, and cheap to import."""

from __future__ import annotations

import subprocess
import sys

import pytest

import wherry


@pytest.mark.parametrize("name", wherry.__all__)
def test_every_public_name_resolves_to_what_is_called_so(name: str) -> None:
    value = getattr(wherry, name)
    assert value.__name__ == name
    assert value.__doc__


def test_the_list_is_the_table_and_what_dir_shows() -> None:
    assert len(set(wherry.__all__)) == len(wherry.__all__)
    assert set(wherry.__all__) == set(wherry._WHERE)
    assert dir(wherry) == sorted(wherry.__all__)


def test_everything_can_be_imported_at_once() -> None:
    names: dict[str, object] = {}
    exec("from wherry import *", names)
    assert set(wherry.__all__) <= names.keys()


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nosuch'"):
        _ = wherry.nosuch
    assert not hasattr(wherry, "Ledger")


def test_importing_it_loads_nothing_heavy() -> None:
    program = "import sys, wherry; wherry.WherryError; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert {"pyarrow", "numpy", "psycopg", "chromadb", "typer", "rich", "hypothesis"}.isdisjoint(loaded)


def test_reaching_a_server_needs_no_arrow() -> None:
    """Routes, keys and the apps' own tables connect without records."""
    program = "import sys, wherry.postgres.database, wherry.routing.turns; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"pyarrow", "numpy"} & set(done.stdout.split())
