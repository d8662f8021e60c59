"""A store's own transactions: what was written by none of them was written by somebody else.

A server gives every transaction that writes the next number, whatever table and database it writes to. Where all
numbers since a mark are ours, nobody else wrote, and no row has to be looked at; else the rows tell by their xmin.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import psycopg

# What the session has counted and not yet handed on, which it does between transactions alone: exact to the row, and
# the difference of two is what one transaction did. A server that is to keep no statistics counts nothing.
_COUNTED = """
SELECT pg_current_xact_id()::text,
       CASE WHEN current_setting('track_counts')::bool THEN
         pg_stat_get_xact_tuples_inserted($1::bigint::oid) - pg_stat_get_xact_tuples_deleted($1::bigint::oid) END
"""


@dataclass(frozen=True)
class Count:
    """A transaction at work. rows: what the session has added to a table less what it deleted; None = nobody counts."""

    transaction: int
    rows: int | None


def count(connection: psycopg.Connection, oid: int | None) -> Count:
    """Return the number of the transaction at work, and what was counted so far; a table still to be made has 0."""
    transaction, rows = connection.execute(_COUNTED, [oid or 0]).fetchone() or (0, None)
    return Count(int(transaction), rows)


@dataclass
class OwnWrites:
    """The transactions of a store. complete: whether all that were done for it, by workers too, are known.

    grown: by how many rows the table grew in each of them, by their numbers; None where nobody counted.
    """

    grown: dict[int, int | None] = field(default_factory=dict)
    complete: bool = True

    def begin(self, at: Count) -> None:
        """Note one of ours; unless it ends well it changes nothing."""
        self.grown[at.transaction] = 0

    def ended(self, begun: Count, ended: Count) -> None:
        """Note what one has done that has ended well."""
        one, other = begun.rows, ended.rows
        self.grown[ended.transaction] = None if one is None or other is None else other - one

    def join(self, other: OwnWrites) -> None:
        """Take those of another store as ours."""
        self.grown |= other.grown
        self.complete &= other.complete

    def since(self, first: int, end: int) -> int | None:
        """Return by how many rows the table grew in the transactions from `first` up to, and not with, `end`.

        None unless all of them were ours, and counted.
        """
        if end - first > len(self.grown):
            return None
        rows = [self.grown.get(transaction) for transaction in range(first, end)]
        return None if None in rows else sum(filter(None, rows))
