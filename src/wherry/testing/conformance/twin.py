"""The twin: a store and the memory store live through the same history and must agree all along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from wherry.address import Address
from wherry.stores import memory
from wherry.stores.base import Writable
from wherry.testing.conformance.hostile import settings_for
from wherry.testing.conformance.place import NO_INDEX, Place, listed, scanned
from wherry.testing.conformance.suite import Suite

# Few ids, so that a history meets each of them often.
IDS = 12
_rows = st.lists(st.tuples(st.integers(0, IDS - 1), st.integers(0, 5)), max_size=8, unique_by=lambda r: r[0])
_numbers = st.lists(st.integers(0, IDS + 3), max_size=6)
HISTORY = st.lists(
    st.tuples(st.sampled_from(["upsert", "upsert", "add"]), _rows)
    | st.tuples(st.just("delete"), _numbers)
    | st.tuples(st.sampled_from(["finish", "reopen"]), st.just([])),
    min_size=1,
    max_size=12,
)


class Twin(Suite):
    """A store behaves like the memory store, whatever is done to both."""

    def test_random_history_ends_like_memory(self, place: Place) -> None:
        """Property: after every step of a random history both hold equal records."""

        @settings_for(place, divide=3)
        @given(HISTORY)
        def holds(history: list[tuple[str, list]]) -> None:
            pair = _Pair(place, place.name())
            for act, arguments in history:
                pair.steps[act](arguments)
                pair.compare()
            pair.close()

        holds()


@dataclass
class _Pair:
    """A collection and its twin in memory."""

    place: Place
    name: str

    def __post_init__(self) -> None:
        self.store: Writable = self.place.target(self.name)
        self.twin: Writable = memory.open_target(Address.parse(f"memory:#twin-{self.name}"))
        self.twin.prepare(self.place.space(), NO_INDEX, IDS)

    @property
    def steps(self) -> dict[str, Callable[[list], None]]:
        """What can happen, by name."""
        return {
            "upsert": self.upsert,
            "add": self.add,
            "delete": self.delete,
            "finish": self.finish,
            "reopen": self.reopen,
        }

    def upsert(self, rows: list[tuple[int, int]]) -> None:
        """Write records given as (number, version)."""
        self._both(rows, absent=False)

    def add(self, rows: list[tuple[int, int]]) -> None:
        """Write by the bulk path those that are not there yet."""
        held = set(listed(self.twin))
        self._both([row for row in rows if self.place.ids(row[0])[0].as_py() not in held], absent=True)

    def delete(self, numbers: list[int]) -> None:
        """Delete records, some of which may not be there."""
        for store in (self.store, self.twin):
            store.delete(self.place.ids(*numbers))

    def finish(self, _: list) -> None:
        """Publish what there is."""
        self.store.finish(self.place.space(), NO_INDEX)

    def reopen(self, _: list) -> None:
        """Finish, close, and go on with a new store object."""
        self.finish(_)
        self.store.close()
        self.store = self.place.target(self.name)

    def compare(self) -> None:
        """Assert that both hold the same."""
        self.place.expect(self.store, *scanned(self.twin))

    def close(self) -> None:
        """Close the store; its twin holds nothing open."""
        self.store.close()

    def _both(self, rows: list[tuple[int, int]], absent: bool) -> None:
        if not rows:
            return
        records = [self.place.sample(1, seed=version, start=number) for number, version in rows]
        batch = pa.Table.from_batches(records).combine_chunks().to_batches()[0]
        for store in (self.store, self.twin):
            store.upsert(batch, absent=absent)
