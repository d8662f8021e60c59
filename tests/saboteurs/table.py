"""Every saboteur with the named test that must catch it: the list behind docs/saboteurs.md.

A saboteur that is not caught fails the build, and so does a catcher that also fails what is right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.saboteurs import engines, stores
from wherry.stores.memory import MemoryStore


@dataclass(frozen=True)
class Suspect:
    """A wrong store, and the test of the conformance suite that must fail for it."""

    store: type[MemoryStore]
    test: str
    seen_in: str = ""

    @property
    def name(self) -> str:
        """The class."""
        return self.store.__name__

    @property
    def does(self) -> str:
        """What it does wrong: the first line of its docstring."""
        return _first_line(self.store)


@dataclass(frozen=True)
class Traitor:
    """A wrong store that must not get through a sync: it ends in an error or says "not equal"."""

    store: type[MemoryStore]
    role: str = "target"

    @property
    def name(self) -> str:
        """The class and its role."""
        return f"{self.store.__name__} as the {self.role}"

    @property
    def does(self) -> str:
        """What it does wrong."""
        return _first_line(self.store)


@dataclass(frozen=True)
class Mutiny:
    """A wrong engine. sabotage: a context in which Wherry is wrong. test: must fail inside it."""

    sabotage: Callable[[], object]
    test: Callable[[Path], None]
    caught_by: str
    seen_in: str = ""

    @property
    def name(self) -> str:
        """The function."""
        return self.sabotage.__name__

    @property
    def does(self) -> str:
        """What it does wrong."""
        return _first_line(self.sabotage)


def _first_line(thing: object) -> str:
    return (thing.__doc__ or "").strip().splitlines()[0]


SUSPECTS = (
    Suspect(stores.Offset, "test_scan_loses_nothing_while_rows_vanish_behind_it", "a migration tool"),
    Suspect(stores.LastPage, "test_scan_yields_everything_once[uneven]"),
    Suspect(stores.Glances, "test_comparison_reads_what_a_scan_reads"),
    Suspect(stores.Samples, "test_a_sample_is_some_of_the_records"),
    Suspect(stores.Swap, "test_upsert_is_seen_at_once"),
    Suspect(stores.Half, "test_precision"),
    Suspect(stores.Swallow, "test_upsert_is_seen_at_once"),
    Suspect(stores.OldCount, "test_upsert_is_seen_at_once"),
    Suspect(stores.TooManyIds, "test_ids_are_those_of_the_scan"),
    Suspect(stores.FetchAll, "test_fetch_returns_what_is_asked_for"),
    Suspect(stores.PrefixDelete, "test_delete_knows_no_prefixes"),
    Suspect(stores.NoDelete, "test_delete_removes_exactly_these"),
    Suspect(stores.Merge, "test_metadata_is_replaced[fewer-keys]", "an embedded vector database"),
    Suspect(stores.OneBuffer, "test_scan_yields_everything_once[uneven]", "an export tool"),
    Suspect(stores.Sticky, "test_scan_can_be_repeated_and_abandoned"),
    Suspect(stores.NewRanges, "test_scan_yields_everything_once[uneven]", "a migration tool"),
    Suspect(stores.Fold, "test_look_alike_ids_stay_apart", "an export tool"),
    Suspect(stores.CaseFold, "test_look_alike_ids_stay_apart"),
    Suspect(stores.AlwaysCosine, "test_metric_is_kept_or_refused[l2]", "two export tools"),
    Suspect(stores.LostNull, "test_null_text"),
    Suspect(stores.ReadsItsOwnWrites, "test_reopened_source_sees_everything"),
    Suspect(stores.BulkAppends, "test_upsert_twice_is_upsert_once"),
)

TRAITORS = (
    *(
        Traitor(store)
        for store in (
            stores.Swap,
            stores.Half,
            stores.Swallow,
            stores.OldCount,
            stores.NoDelete,
            stores.Merge,
            stores.Fold,
            stores.CaseFold,
            stores.LostNull,
            stores.BulkAppends,
        )
    ),
    *(Traitor(store, "source") for store in (stores.LastPage, stores.NewRanges, stores.Sticky)),
)

MUTINIES = (
    Mutiny(engines.checkpoint_before_the_data, engines.killed_in_a_write, engines.MATRIX, "two index frameworks"),
    Mutiny(engines.trusts_unfinished_batches, engines.killed_in_a_write, engines.MATRIX),
    Mutiny(engines.durable_only_when_finished, engines.killed_in_a_write, engines.MATRIX),
    Mutiny(engines.believes_the_ledger_about_what_is_there, engines.dropped_target, engines.DROPPED),
    Mutiny(engines.calls_an_unread_part_equal, engines.verify_with_faults, engines.VERIFY),
    Mutiny(engines.swallows_what_a_write_raises, engines.fault_at_each_call, engines.FAULTS),
    Mutiny(engines.reads_nothing_back, engines.swap_in_the_target, engines.READ_BACK, "every notebook loop"),
    Mutiny(engines.takes_marks_of_any_source, engines.two_sources_with_marks, engines.MARKS),
    Mutiny(engines.believes_itself_alone_at_the_target, engines.changed_during_a_run, engines.ALONE),
    Mutiny(engines.deletes_what_a_scan_missed, engines.scan_that_misses, engines.MISSED),
    Mutiny(engines.pairs_by_place, engines.verify_in_another_order, engines.PAIRED),
)
