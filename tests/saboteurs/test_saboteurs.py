"""Every saboteur is caught by the test that is named for it, and what is right is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from _pytest.outcomes import Failed

import wherry
from tests.crash.scene import record
from tests.crash.test_traps import in_memory
from tests.saboteurs import engines, stores
from tests.saboteurs.page import PAGE, written
from tests.saboteurs.table import MUTINIES, SUSPECTS, TRAITORS, Mutiny, Suspect, Traitor
from wherry.address import Address
from wherry.errors import WherryError
from wherry.record import from_records
from wherry.space import Space
from wherry.stores import memory
from wherry.stores.base import Index
from wherry.stores.memory import MemoryStore
from wherry.testing.conformance import Fixtures, StoreConformance, verdicts


class Lineup(Fixtures):
    """Fixtures of one store class over the collections of this process."""

    examples = 5
    store: type[MemoryStore] = MemoryStore

    def open_target(self, name: str) -> MemoryStore:
        return self.store(name)

    def open_source(self, name: str) -> MemoryStore:
        memory.open_source(Address("memory", "", name))
        return self.store(name)


def verdict(store: type[MemoryStore], test: str, folder: Path) -> str:
    """Return what one conformance test says of a store."""
    lineup = Lineup(folder)
    lineup.store = store
    return verdicts(StoreConformance, lineup, test)[test]


@pytest.mark.parametrize("suspect", SUSPECTS, ids=lambda s: s.name)
def test_wrong_store_fails_its_conformance_test(suspect: Suspect, tmp_path: Path) -> None:
    assert verdict(MemoryStore, suspect.test, tmp_path) == "passed"
    assert verdict(suspect.store, suspect.test, tmp_path) not in ("passed", "skipped")


@pytest.mark.parametrize("traitor", TRAITORS, ids=lambda t: t.name)
def test_wrong_store_never_gets_through_a_sync(traitor: Traitor) -> None:
    """A first copy and an update: one of them ends in an error of Wherry, or is not called equal."""
    assert betrayed(traitor.store, traitor.role)
    memory.clear()
    assert not betrayed(MemoryStore, traitor.role)


def betrayed(store: type[MemoryStore], role: str) -> bool:
    """Tell whether a sync to or from a store ended in an error or in "not equal"."""
    ids = ["4", "0004", "a", "A", *(f"r{n:03d}" for n in range(30))]
    source, target = in_memory("source"), in_memory("target")
    for version in (0, 1):
        versions = [record(n, version if n % 3 else 0) for n in range(len(ids))]
        rows = [wherry.Record(i, [v + 0.1 for v in r.vector], None if n == 7 else r.text, _shrinking(n, version))
                for n, (i, r) in enumerate(zip(ids, versions, strict=True))]  # fmt: skip
        source.upsert(from_records(rows[: len(ids) - 3 * version]))
        source.delete(from_records(rows[len(ids) - 3 * version :], 4).column("id"))
        try:
            result = wherry.sync(
                store("source") if role == "source" else source, store("target") if role == "target" else target
            )
        except WherryError:
            return True
        if not result.equal:
            return True
    return False


def _shrinking(number: int, version: int) -> dict[str, int]:
    return {"n": number, "old": 1} if version == 0 else {"n": number}


@pytest.mark.parametrize("mutiny", MUTINIES, ids=lambda m: m.name)
def test_wrong_engine_fails_its_test(mutiny: Mutiny, tmp_path: Path) -> None:
    with mutiny.sabotage(), pytest.raises((AssertionError, Failed)):
        mutiny.test(tmp_path)


def test_swapped_vectors_do_not_pass(tmp_path: Path) -> None:
    engines.swap_in_the_target(tmp_path)


def test_order_of_the_target_does_not_matter(tmp_path: Path) -> None:
    engines.verify_in_another_order(tmp_path)


@pytest.mark.parametrize(("store", "guesses"), [(MemoryStore, False), (stores.GuessesMetric, True)])
def test_metric_that_nobody_recorded_stays_unknown(store: type[MemoryStore], guesses: bool) -> None:
    """Two spaces of which one is unknown are no contradiction; a guess would make them one."""
    target = store("t")
    target.prepare(Space(dimension=4), Index(), 1)
    assert (target.describe().space.metric is not None) == guesses


def test_verify_finds_what_a_store_hides_from_reading_back() -> None:
    """A cache that answers fetches deceives a sync; two collections read again are not deceived."""
    source = in_memory("s", *(record(n) for n in range(9)))
    source.upsert(from_records([wherry.Record("r000", [0.12345, 1, 2, 3])]))
    target = stores.ReadsItsOwnWrites("t")
    assert wherry.sync(source, target).equal
    assert [d.id for d in wherry.verify(source, target).differences] == ["r000"]


def test_there_are_at_least_fifteen_and_each_is_told_apart() -> None:
    names = [s.name for s in (*SUSPECTS, *MUTINIES)]
    assert len(names) == len(set(names)) >= 15


@pytest.mark.parametrize("mutiny", MUTINIES, ids=lambda m: m.name)
def test_catcher_that_is_named_is_there(mutiny: Mutiny) -> None:
    path, _, test = mutiny.caught_by.partition("::")
    assert f"def {test}(" in (PAGE.parents[1] / path).read_text()


def test_page_is_up_to_date() -> None:
    assert PAGE.read_text() == written(), "run: python -m tests.saboteurs.page"
