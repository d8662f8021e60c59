"""The ledger and walks over it, against a plain dictionary."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from wherry.moving.journal import Journal
from wherry.moving.ledger import READ_BACK, WRITTEN, Ledger, Walk

IDS = st.integers(0, 30).map(str)
SOME = st.lists(IDS, max_size=8, unique=True)


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with Journal("", path=":memory:") as journal:
        yield Ledger(journal)


def digest(word: str) -> bytes:
    """Return something that looks like a digest."""
    return word.encode().ljust(16, b".")


class HeardAfter:
    """A connection on which Ctrl-C is heard right after one statement was carried out."""

    def __init__(self, db: sqlite3.Connection, statement: str) -> None:
        self._db, self._statement = db, statement

    def __getattr__(self, name: str) -> object:
        return getattr(self._db, name)

    def execute(self, statement: str, *values: object) -> sqlite3.Cursor:
        """Carry out a statement."""
        cursor = self._db.execute(statement, *values)
        if statement.startswith(self._statement):
            raise KeyboardInterrupt
        return cursor


@pytest.mark.parametrize("statement", ["BEGIN", "INSERT INTO batch", "COMMIT"])
def test_an_interruption_leaves_no_transaction_open(statement: str, tmp_path: Path) -> None:
    with Journal("", path=tmp_path / "journal.sqlite3") as journal:
        ledger, run = Ledger(journal), journal.begin("sync", "a", "b", {})
        plain = ledger.db
        ledger.db = journal.db = HeardAfter(plain, statement)  # type: ignore[assignment]
        with pytest.raises(KeyboardInterrupt):
            ledger.intend(run, ["1"], [digest("1")])
        ledger.db = journal.db = plain
        journal.end(run, "interrupted", {})
    with Journal("", path=tmp_path / "journal.sqlite3") as journal:
        assert journal.runs()[0]["status"] == "interrupted"
        assert Ledger(journal).count() == (1 if statement == "COMMIT" else 0)


def fill(ledger: Ledger, *ids: str) -> None:
    """Adopt ids with a digest each."""
    ledger.adopt(ids, [digest(i) for i in ids])


def known(ledger: Ledger) -> dict[str, bytes | None]:
    """Return every entry as id -> digest."""
    return dict(ledger.db.execute("SELECT id, digest FROM entry").fetchall())


class LedgerLikeADict(RuleBasedStateMachine):
    """Whatever is done to a ledger, it holds what a dictionary would."""

    def __init__(self) -> None:
        super().__init__()
        self.journal = Journal("", path=":memory:")
        self.ledger = Ledger(self.journal)
        self.model: dict[str, bytes | None] = {}
        self.open: list[tuple[int, int, list[str]]] = []

    @rule(ids=SOME, version=st.integers(0, 3), state=st.sampled_from([0, WRITTEN, READ_BACK]))
    def write(self, ids: list[str], version: int, state: int) -> None:
        """Write a batch and get as far as `state`."""
        digests = [digest(f"{i}/{version}") for i in ids]
        number = self.ledger.intend("run", ids, digests)
        if state:
            self.ledger.advance(number, state)
        self.open = [(n, s, [i for i in held if i not in ids]) for n, s, held in self.open]
        self.open.append((number, state, ids))
        self.model.update(zip(ids, digests, strict=True))

    @rule(ids=SOME, sure=st.booleans())
    def adopt(self, ids: list[str], sure: bool) -> None:
        """Adopt what was found at the target."""
        digests = [digest(i) if sure else None for i in ids]
        self.ledger.adopt(ids, digests)
        self.open = [(n, s, [i for i in held if i not in ids]) for n, s, held in self.open]
        self.model.update(zip(ids, digests, strict=True))

    @rule(ids=SOME)
    def forget(self, ids: list[str]) -> None:
        """Forget entries."""
        self.ledger.forget(ids)
        self.open = [(n, s, [i for i in held if i not in ids]) for n, s, held in self.open]
        for i in ids:
            self.model.pop(i, None)

    @rule(ids=SOME)
    def doubt(self, ids: list[str]) -> None:
        """Doubt entries."""
        self.ledger.doubt(ids)
        self.model.update({i: None for i in ids if i in self.model})

    @rule(read_back=st.booleans())
    def crash(self, read_back: bool) -> None:
        """Open the ledger after a crash."""
        limit = READ_BACK if read_back else WRITTEN
        lost = [i for _, state, held in self.open if state < limit for i in held]
        assert self.ledger.settle(read_back) == len(lost)
        self.model.update(dict.fromkeys(lost))
        self.open = [batch for batch in self.open if batch[1] >= limit]

    @rule(ids=st.lists(IDS, max_size=12))
    def match(self, ids: list[str]) -> None:
        """Match any ids in any order, repeated and unknown ones included."""
        found = Walk(self.ledger).match(ids)
        assert (found.positions >= 0).tolist() == [i in self.model for i in ids]
        assert found.digests == [self.model.get(i) for i in ids]

    @invariant()
    def holds_what_the_dictionary_holds(self) -> None:
        """Compare everything."""
        assert known(self.ledger) == self.model
        assert self.ledger.count() == len(self.model)
        assert self.ledger.unknown() == sum(d is None for d in self.model.values())
        assert self.ledger.unchecked() == any(state < READ_BACK for _, state, _ in self.open)

    def teardown(self) -> None:
        """Close the journal."""
        self.journal.close()


LedgerLikeADict.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestLedgerLikeADict = LedgerLikeADict.TestCase


@given(st.permutations(range(20)), st.integers(1, 7), st.sets(st.integers(0, 19)), st.sets(st.integers(20, 30)))
def test_a_walk_finds_every_entry_in_any_order(
    order: list[int], size: int, gaps: set[int], strangers: set[int]
) -> None:
    with Journal("", path=":memory:") as journal:
        ledger = Ledger(journal)
        fill(ledger, *(str(i) for i in range(20)))
        ledger.forget([str(i) for i in gaps])
        walk = Walk(ledger)
        shown = [str(i) for i in [*order[:15], *strangers]]
        for start in range(0, len(shown), size):
            ids = shown[start : start + size]
            match = walk.match(ids)
            for record_id, position, found in zip(ids, match.positions.tolist(), match.digests, strict=True):
                held = int(record_id) < 20 and int(record_id) not in gaps
                assert (position >= 0) == held
                assert found == (digest(record_id) if held else None)
            assert not walk.meet(match.positions[match.positions >= 0]).any()
        left = {i for part in walk.unmet() for i in part}
        assert left == {str(i) for i in range(20) if i not in gaps} - set(shown)


def test_a_walk_in_order_reads_on_and_never_looks_up(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(ledger, *(f"r{i:03}" for i in range(100)))
    ledger.forget(["r050"])
    monkeypatch.setattr(Walk, "_look_up", lambda *_: pytest.fail("looked up an id that was next in order"))
    walk = Walk(ledger)
    ids = [f"r{i:03}" for i in range(100) if i != 50]
    for start in range(0, len(ids), 9):
        assert (walk.match(ids[start : start + 9]).positions >= 0).all()


def test_a_walk_finds_its_way_back_into_the_order(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(ledger, *(f"r{i:03}" for i in range(100)))
    walk = Walk(ledger)
    assert (walk.match(["r090", "r005", "r010"]).positions >= 0).all()
    assert (walk.match([f"r{i:03}" for i in range(10, 20)]).positions >= 0).all()
    monkeypatch.setattr(Walk, "_look_up", lambda *_: pytest.fail("did not find back"))
    assert (walk.match([f"r{i:03}" for i in range(20, 30)]).positions >= 0).all()


def test_more_ids_than_one_query_can_name_are_found(ledger: Ledger) -> None:
    ids = [str(i) for i in range(20_000)]
    fill(ledger, *ids)
    walk = Walk(ledger)
    match = walk.match(ids[::-1])
    assert (match.positions > 0).all()
    walk.meet(match.positions[:5000])
    assert [i for part in walk.unmet() for i in part] == ids[:15_000]


def test_meeting_twice_is_told(ledger: Ledger) -> None:
    fill(ledger, "a", "b")
    walk = Walk(ledger)
    assert walk.meet(np.array([1])).tolist() == [False]
    assert walk.meet(np.array([1, 2])).tolist() == [True, False]
    assert walk.meet(np.array([], dtype=np.int64)).tolist() == []
    assert list(walk.unmet()) == []


def test_entries_written_during_a_walk_can_be_met(ledger: Ledger) -> None:
    walk = Walk(ledger)
    for start in range(0, 5000, 1000):
        ids = [str(i) for i in range(start, start + 1000)]
        ledger.intend("run", ids, [b""] * 1000)
        last = ledger.last_position()
        assert not walk.meet(np.arange(last - 999, last + 1)).any()
    assert list(walk.unmet()) == []
    fill(ledger, "late")
    assert list(walk.unmet()) == [["late"]]


def test_a_batch_is_put_down_whole_or_not_at_all(ledger: Ledger) -> None:
    fill(ledger, "a")
    with pytest.raises(ValueError, match="zip"):
        ledger.intend("run", ["b", "c"], [b"1"])
    assert known(ledger) == {"a": digest("a")}
    assert not ledger.unchecked()
    fill(ledger, "b")
    assert ledger.count() == 2


def test_doubting_everything_leaves_the_ids(ledger: Ledger) -> None:
    fill(ledger, "a", "b")
    ledger.doubt_all()
    assert known(ledger) == {"a": None, "b": None}
