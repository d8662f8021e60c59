"""Removing what no longer is where it was read from."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from wherry import NoSuchCollection, WherryError
from wherry_apps.evals import stored
from wherry_apps.evals.index import Index
from wherry_apps.evals.preindexing import publish
from wherry_apps.evals.reading import RunSource, configured, open_runs
from wherry_apps.evals.runs import Json
from wherry_apps.evals.tables import SHARED, RagSource


def purge(index: Index, owner: str | None = None, source_db: str | None = None) -> Json:
    """Remove the sources whose run or file is gone; a place that cannot be looked at keeps all of its own.

    owner: only this one's runs. source_db: the server to look at, where it is none of the settings'.
    """
    removed: list[str] = []
    notes: list[str] = []
    statement = sa.select(RagSource.owner, RagSource.place).where(RagSource.place != "").distinct()
    with index.exclusive():
        with index.database.session() as session:
            places = [(row.owner, row.place) for row in session.execute(statement)]
        for holder, place in places:
            if holder == SHARED and not Path(place).is_file():
                removed += _removed(index, SHARED, index.of_place(SHARED, place))
            elif holder != SHARED and owner in (None, holder):
                try:
                    gone = _gone(index, holder, place, source_db)
                except WherryError as error:
                    notes.append(f"{place} cannot be looked at, so nothing of it was removed: {error.what}")
                    continue
                removed += _removed(index, holder, gone)
        if removed:
            publish(index)
    return {"deleted": len(removed), "sources": sorted(removed), "notes": notes}


def opened(index: Index, owner: str, place: str, source_db: str | None = None) -> RunSource:
    """Open a place of runs again, by the name that the index keeps of it.

    Raises NoSuchCollection for a server that neither `source_db` nor the settings name: its password is not kept.
    """
    if place == stored.PLACE:
        return stored.StoredRuns(index.database, owner)
    if "://" not in place:
        return open_runs(place)
    for named in filter(None, (source_db, configured(index.settings))):
        if "://" in named:
            found = open_runs(named)
            if found.place == place:
                return found
            found.close()
    raise NoSuchCollection(
        "nobody said how to reach this database", where=place, next="name it with --source-db or in the settings"
    )


def _gone(index: Index, owner: str, place: str, source_db: str | None) -> set[str]:
    known = index.of_place(owner, place)
    if "://" not in place and place != stored.PLACE and not Path(place).is_file():
        return known
    with closing(opened(index, owner, place, source_db)) as runs:
        return known - {f"run:{run_id}" for run_id in runs.ids()}


def _removed(index: Index, owner: str, sources: set[str]) -> list[str]:
    index.remove(owner, sources)
    return list(sources)
