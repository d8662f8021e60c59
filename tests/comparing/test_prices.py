"""What stores cost: whose price an address has, and tables that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from wherry.comparing.costs import cost_of
from wherry.comparing.questions import read_questions
from wherry.errors import Usage
from wherry.models.prices import Rent, price_of, rent_of


@pytest.mark.parametrize("address", ["chroma:./db#a", "pgvector:#a", "memory:#a", "qdrant:./db#a", "faiss:./f#a"])
def test_what_runs_here_costs_nothing_extra(address: str) -> None:
    assert rent_of(address) == Rent()


@pytest.mark.parametrize("address", ["chroma+https://host#a", "qdrant+https://host#a", "llamacloud:#a", "chromatic:#a"])
def test_a_service_has_no_price_until_somebody_states_it(address: str) -> None:
    assert rent_of(address) is None
    found = cost_of(address, 10, None, read_questions(["혈압"]), 1000)
    assert found.per_month is None
    assert found.unknown == (address,)


def test_the_longest_key_counts_and_models_keep_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "prices.toml"
    body = '["qdrant+https"]\nmonth = 30\n["qdrant+https://host:6333#guides"]\nquery = 0.01\ngigabyte = 2\n'
    table.write_text(body + '["hash"]\ninput = 5\n', encoding="utf-8")
    monkeypatch.setenv("WHERRY_PRICES", str(table))
    assert rent_of("qdrant+https://other#guides") == Rent(month=30)
    assert rent_of("qdrant+https://host:6333#guides") == Rent(query=0.01, gigabyte=2)
    assert rent_of("qdrant+https://host:6333#guides2") == Rent(month=30)
    price = price_of("hash:64")
    assert price is not None
    assert price.input == 5
    found = cost_of("qdrant+https://host:6333#guides", 3_000_000_000, None, read_questions(["혈압"]), 100)
    assert found.per_month == pytest.approx(1 + 6)
    unknown = cost_of("qdrant+https://host:6333#guides", None, None, read_questions(["혈압"]), 100)
    assert unknown.per_month is None


def test_a_file_is_an_archive_whatever_it_is_called() -> None:
    assert cost_of("export.parquet", None, None, read_questions(["혈압"]), 10).per_month == 0


@pytest.mark.parametrize(
    "wrong", ["query = -1", 'month = "12"', "query = 1\ninput = 2", "rent = 3", "output = 1", "query = inf"]
)
def test_a_table_that_is_wrong_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    (tmp_path / "prices.toml").write_text(f'["chroma"]\n{wrong}\n', encoding="utf-8")
    monkeypatch.setenv("WHERRY_PRICES", str(tmp_path / "prices.toml"))
    with pytest.raises(Usage, match="price"):
        rent_of("chroma:./db#a")
