"""`wherry.index`: make a collection true to its documents."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from wherry.address import Address
from wherry.errors import WherryError
from wherry.indexing import letters, metrics
from wherry.indexing.base import Chunker
from wherry.indexing.fingerprints import recipe_fp
from wherry.indexing.lease import LEASE_S, Lease, held
from wherry.indexing.manifest import Generation, Standing, enroll, look, open_generation
from wherry.indexing.model import Model, Wish
from wherry.indexing.opening import Choice, Documents, Opened, chunker_of, sources_of
from wherry.indexing.paying import Till
from wherry.indexing.place import Place, place_of
from wherry.indexing.results import IndexResult, Statistics, result_of
from wherry.indexing.run import Run, SourceRun
from wherry.indexing.runs import recorded
from wherry.indexing.scan import Scan, contents_of, scan
from wherry.indexing.writer import Writer
from wherry.state import new_run

Progress = Callable[[str, int, int | None], None]


def index(
    documents: Documents,
    into: str | os.PathLike[str] | Address,
    *,
    embedder: Wish = None,
    chunker: str | Chunker | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    allow_mass_delete: bool = False,
    retry: bool = False,
    lease_s: float = LEASE_S,
    progress: Progress | None = None,
) -> IndexResult:
    """Make a collection hold the documents of its sources, and nothing of what they no longer have.

    documents: paths, sources, or several of them. into: the address. embedder: a spec or an embedder; by default
    the one the index was made with, `hash:1024` for a new one. chunker: a spec or a chunker, likewise. include,
    exclude: patterns of files in folders. retry: try dead letters again. lease_s: seconds after which a run on
    another machine that fell silent has lost. progress: told (phase, documents done, documents in all).

    Raises Refused (another model, a mass deletion), Busy, StoreError; failures of single documents are in the
    result.
    """
    found = sources_of(documents, Choice(tuple(include), tuple(exclude)))
    return index_opened(found, into, embedder, chunker, Wants(allow_mass_delete, retry, lease_s, progress))


@dataclass(frozen=True)
class Wants:
    """How a run is to be done."""

    allow_mass_delete: bool = False
    retry: bool = False
    lease_s: float = LEASE_S
    progress: Progress | None = None


def index_opened(
    found: list[Opened], into: str | os.PathLike[str] | Address, wish: Wish, chunker: str | Chunker | None, wants: Wants
) -> IndexResult:
    """Index sources that were opened; what `index` does once it knows them."""
    started = time.monotonic()
    place = place_of(into if isinstance(into, Address) else os.fspath(into))
    act = Act(place, found, wish, chunker, started)
    try:
        if act.look() and not (wants.retry and act.failed):
            return act.nothing()
        return act.run(wants)
    finally:
        act.close()


class Act:
    """One call of `index`: what was asked for and what stands there."""

    def __init__(
        self, place: Place, found: list[Opened], wish: Wish, chunker: str | Chunker | None, started: float
    ) -> None:
        self.place, self.started = place, started
        self.scans = [scan(one.source) for one in found]
        self._origins = [one.origin for one in found]
        self._wish, self._chunker = wish, chunker
        self.standing = Standing()
        self.model = Model(wish, None, place.target.shown)
        self._chunkers: list[tuple[Chunker, str]] = []

    @property
    def failed(self) -> int:
        """How many documents of these sources are dead letters, as the last run left it."""
        return sum(row.failed for row in self.standing.sources.values())

    def look(self) -> bool:
        """Take one look; return whether there is nothing to do. One round trip, and nothing is written."""
        self._see(self._looked())
        if self.standing.live is None or not self.standing.live.there:
            return False
        self.model.require_same()
        return all(self._unchanged(one, cut[0]) for one, cut in zip(self.scans, self._chunkers, strict=True))

    def nothing(self) -> IndexResult:
        """Return the result of a run that had nothing to do."""
        scanned, live = sum(len(one.listed) for one in self.scans), self.standing.live
        numbers = Statistics(scanned=scanned, unchanged=scanned - self.failed, failed=self.failed)
        found: tuple = ()
        if self.failed and self.standing.index is not None and live is not None:
            names = [one.source.name for one in self.scans]
            found = letters.failures(self.place.database, self.standing.index, live.number, names)
        return self._result(numbers, "", live.number if live else 0, found, ())

    def run(self, wants: Wants) -> IndexResult:
        """Do what is to be done, under the lease of the index."""
        database, shown, run_id = self.place.database, self.place.target.shown, new_run()
        if not self.standing.key:
            database.upgrade()
            self._see(self._looked())
        number = enroll(database, self.standing, shown)
        with held(database, number, run_id, "index", shown, wants.lease_s) as lease:
            # Another run may have ended between the look and the lease.
            self._see(self._looked())
            generation = self.standing.live or self._first(number, lease)
            self.place.open(generation.place)
            writer, statistics = Writer(database), Statistics()
            till = Till(database, lambda: self.model.embedder, statistics.embedded)
            run = Run(
                number, generation, self.place, database, lease, self.model, writer, till, wants.allow_mass_delete,
                wants.retry, wants.progress, statistics,
            )  # fmt: skip
            with (
                self.place.exclusive(),
                closing(writer),
                closing(till),
                recorded(database, run_id, number, generation.number, "index", run.statistics),
            ):
                self._sources(run)
            return self._result(run.statistics, run_id, generation.number, tuple(run.failures), tuple(run.notes))

    def close(self) -> None:
        """Release the model and the connections."""
        self.model.close()
        self.place.close()

    def _looked(self) -> Standing | None:
        return look(self.place.database, self.place.target, [one.source.name for one in self.scans])

    def _see(self, standing: Standing | None) -> None:
        self.standing = standing or Standing()
        if self.model.live != self.standing.live:
            self.model.close()
            self.model = Model(self._wish, self.standing.live, self.place.target.shown)
        rows = self.standing.sources
        self._chunkers = [chunker_of(self._chunker, rows.get(o.source.name), o.source) for o in self.scans]

    def _unchanged(self, one: Scan, chunker: Chunker) -> bool:
        row = self.standing.sources.get(one.source.name)
        if row is None or row.clean is None or not one.complete or row.scan_fp != one.fingerprint:
            return False
        if row.recipe_fp != recipe_fp(one.source.parser, chunker.identity):
            return False
        return contents_of(one.unsure(row.read_from_ns, set(row.unread))) == row.unsure_fp

    def _first(self, index: int, lease: Lease) -> Generation:
        """Make the first generation of an index."""
        space, spec = self.model.space, self.model.spec
        with self.place.database.begin() as connection:
            lease.require(connection)
            place, relation = self.place.make(connection, space)
            open_generation(connection, index, 1, "live", spec, space, place, relation)
            connection.execute("UPDATE wherry.indexes SET live = 1 WHERE id = $1", [index])
        return Generation(1, "live", spec, space, place)

    def _sources(self, run: Run) -> None:
        before = self.model.spent
        self.place.recover(run.database, run.lease, run.generation.number)
        dead = letters.letters(run.database, run.index, run.generation.number)
        parts = [SourceRun(run, one, cut, dead) for one, (cut, _) in zip(self.scans, self._chunkers, strict=True)]
        try:
            for part, (_, spec), origin in zip(parts, self._chunkers, self._origins, strict=True):
                part.look(spec, origin)
            for part in parts:
                part.go()
            self.place.finish(run.generation.space, _chunks(run))
            for part in parts:
                part.finish()
        except WherryError as error:
            error.left = "; ".join(filter(None, (error.left, _left(run))))
            raise
        finally:
            run.statistics.tokens, run.statistics.cost = self.model.spent_since(before)
            state = "done" if sys.exc_info()[0] is None else "failed"
            metrics.observe(self.place.target.shown, run.statistics, state, time.monotonic() - self.started)

    def _result(
        self, numbers: Statistics, run: str, generation: int, failures: tuple, notes: tuple[str, ...]
    ) -> IndexResult:
        return result_of(
            numbers,
            seconds=round(time.monotonic() - self.started, 4),
            run=run,
            into=self.place.target.shown,
            embedder=self.model.spec,
            generation=generation,
            failures=failures,
            notes=(
                *notes,
                *(f"{one.source.name}: {_words(one.failure)}" for one in self.scans if one.failure),
                # A source may have something to tell that is no failure: what it left out.
                *(note for one in self.scans for note in getattr(one.source, "notes", ())),
            ),
            complete=all(one.complete for one in self.scans),
        )


def _words(error: Exception) -> str:
    return error.what if isinstance(error, WherryError) else str(error)


def _left(run: Run) -> str:
    done = run.statistics.changed
    return f"{done:,} documents of this run are in place, every other one serves as before; what was embedded is kept"


def _chunks(run: Run) -> int:
    rows = run.database.ask(
        'SELECT coalesce(sum(chunks), 0) FROM wherry.documents WHERE "index" = $1 AND generation = $2',
        [run.index, run.generation.number],
    )
    return int(rows[0][0])
