"""Words inside the database: made once, shared by every machine, followed, damaged, written by two."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests.answering.shelves import TEXTS, fill
from wherry.answering import lexical, tokens
from wherry.answering.lexical_shared import Shared
from wherry.answering.lexical_sidecar import Sidecar
from wherry.cli import main
from wherry.errors import Busy, JournalCorrupt, Unsupported
from wherry.state import home
from wherry.stores.base import Readable
from wherry.stores.lexical import KeepsWords
from wherry.stores.registry import open_source

MAKER = tokens.Pieces()


@pytest.fixture
def address(pg: psycopg.Connection, name: str) -> str:
    """The address of a table of six records; the words of other tests are put away."""
    shutil.rmtree(home() / "lexicon", ignore_errors=True)
    pg.execute("DROP TABLE IF EXISTS wherry_lexicons, wherry_words")
    return fill(f"pgvector:#{name}")


def built(address: str, inside: bool | None = True) -> lexical.Step:
    """Make or follow the words of a table."""
    with closing(open_source(address)) as store, closing(lexical.lexical_of(store, inside=inside)) as words:
        return lexical.refresh(store, words, MAKER)


def ids(store: Readable, question: str) -> list[str]:
    """Return the ids that the words of a question find, wherever they are kept."""
    with closing(lexical.lexical_of(store)) as words:
        lexical.refresh(store, words, MAKER)
        return [hit.id for hit in words.search(MAKER.query(question), 5)]


def test_a_search_makes_no_tables(pg: psycopg.Connection, address: str) -> None:
    with closing(open_source(address)) as store:
        assert isinstance(store, KeepsWords)
        assert ids(store, "서울") == ["seoul"]
        assert isinstance(lexical.lexical_of(store), Sidecar)
        assert not isinstance(lexical.lexical_of(store), Shared)
    assert pg.execute("SELECT to_regclass('wherry_words')").fetchone() == (None,)


def test_another_machine_finds_the_words_made(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert built(address).written == len(TEXTS)
    with closing(open_source(address)) as store:
        # Another machine has no copy yet.
        shutil.rmtree(home() / "lexicon")
        with closing(lexical.lexical_of(store)) as words:
            assert isinstance(words, Shared)
            assert "the store" in words.place
            assert lexical.refresh(store, words, MAKER) == lexical.Step()
            assert [hit.id for hit in words.search(MAKER.query("서울"), 5)] == ["seoul"]


def test_changes_are_published(address: str) -> None:
    built(address)
    with closing(open_source(address)) as store, closing(lexical.lexical_of(store)) as elsewhere:
        fill(address, {"bone": "골다공증은 부러질 때까지 조용하다", "bp-1": "다른 글"})
        assert built(address, None).written == 2
        # What this one has open still says what it said; a look brings it up to date without making words.
        assert elsewhere.search(MAKER.query("골다공증"), 5) == []
        assert lexical.refresh(store, elsewhere, MAKER).written <= 2
        assert [hit.id for hit in elsewhere.search(MAKER.query("골다공증"), 5)] == ["bone"]
        assert elsewhere.statistics().count == len(TEXTS) + 1


def test_files_nobody_needs_leave_the_database(pg: psycopg.Connection, address: str) -> None:
    for turn in range(12):
        fill(address, {f"r{turn % 3}": f"글 {turn}번"})
        built(address)
    (count,) = pg.execute("SELECT count(DISTINCT name) FROM wherry_words").fetchone()
    (manifest,) = pg.execute("SELECT manifest FROM wherry_lexicons").fetchone()
    named = {name for entry in json.loads(manifest)["segments"] for name in entry.values() if name}
    assert count == len(named) <= 18


def test_two_machines_cannot_publish_over_each_other(address: str) -> None:
    built(address)
    with closing(open_source(address)) as store:
        one, other = lexical.lexical_of(store, inside=True), lexical.lexical_of(store, inside=True)
        state = one.state()
        assert state is not None
        one.keep(state)
        with pytest.raises(Busy, match="another machine"):
            other.keep(state)
        other.abandon()
        other.keep(state)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("DELETE FROM wherry_words", "missing"),
        ("UPDATE wherry_words SET data = 'x'", "cannot be read"),
        ("UPDATE wherry_lexicons SET manifest = '{'", "cannot be read"),
        (
            """UPDATE wherry_lexicons SET manifest = '{"segments": [{"name": "../../evil", "dead": ""}]}'""",
            "none of ours",
        ),
    ],
)
def test_damage_in_the_database_is_named(pg: psycopg.Connection, address: str, statement: str, named: str) -> None:
    built(address)
    shutil.rmtree(home() / "lexicon")
    pg.execute(statement)
    with closing(open_source(address)) as store, pytest.raises(JournalCorrupt, match=named):
        lexical.lexical_of(store)
    assert not list(home().parent.glob("evil*"))


def test_a_store_without_room_says_so(name: str) -> None:
    with closing(open_source(fill(f"memory:#{name}"))) as store, pytest.raises(Unsupported, match="no room"):
        lexical.lexical_of(store, inside=True)


def test_the_command_builds_inside(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lexicon", "build", address, "--inside", "--tokenizer", "pieces", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["count"] == len(TEXTS)
    assert "the store" in value["place"]
