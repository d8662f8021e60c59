"""`wherry body init` and `wherry body migrate`: the tables made, or an earlier program's brought up in place."""

from __future__ import annotations

from contextlib import suppress

import wherry
from wherry_apps.body.legacy import Upgrade, bring_up
from wherry_apps.body.tables import Base


class _Undo(Exception):
    """Ends a transaction of which nothing shall stay."""


def migrate(db: wherry.AppDatabase, *, dry_run: bool = False, rename_duplicates: bool = False) -> Upgrade:
    """Bring a database to this version in place; a second run changes nothing.

    dry_run: tell what would change, and change nothing. Raises Refused, BadRecord, Integrity: nothing was changed then.
    """
    done = Upgrade()
    with suppress(_Undo), db.begin() as connection:
        if db.schema != "public":
            connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{db.schema}"')
        done = bring_up(connection, rename_duplicates=rename_duplicates)
        if dry_run:
            raise _Undo
    if not dry_run:
        db.upgrade()
    return done


def foreign_tables(db: wherry.AppDatabase) -> list[str]:
    """Return the tables of an earlier program that are there while this version's revision is not."""
    if db.revision() is not None:
        return []
    found = db.check()
    return sorted(set(found["tables"]) & set(Base.metadata.tables))
