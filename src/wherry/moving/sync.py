"""Making a target equal to a source, in one run that is safe to repeat.

Running it again is how it resumes, how it updates and how it repairs: it asks what the target holds,
reads the source, writes the differences, deletes what the source no longer has, and reads back what
it wrote. See `conveyor.py` for the steps of a batch and docs/crashes.md for what a crash leaves.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pyarrow as pa

from wherry.errors import Interrupted, WherryError
from wherry.moving.census import census, differing, require_few
from wherry.moving.census import doomed as count_doomed
from wherry.moving.conveyor import fitting_rows
from wherry.moving.crew import assembled, hiring, share_out
from wherry.moving.crossing import Crossed, Crossing, Terms
from wherry.moving.cutting import cut, require
from wherry.moving.gathering import Gathering
from wherry.moving.journal import Journal
from wherry.moving.ledger import Ledger
from wherry.moving.opening import Source, Target, address_of, is_place, reading, writing
from wherry.moving.partition import Job, Part
from wherry.moving.plan import Outline, data_losses
from wherry.moving.progress import Progress, silent
from wherry.moving.proofs import Marks, Proof
from wherry.moving.results import LISTED, Level, Loss, SyncResult
from wherry.moving.retry import retrying
from wherry.moving.sorting import Sorter
from wherry.moving.standing import Rest, Standing, mark_of, rest_of, stock_of, written_by_others
from wherry.moving.streams import ahead, beside
from wherry.record import Page, Reject
from wherry.state import locked
from wherry.stores.base import PAGE_ROWS, Others, Publishing, Range, Readable, Shared, Writable, glance

# A batch costs its target a transaction: many records share one, as long as they do not fill the memory.
WRITE_ROWS = 4096
WRITE_BYTES = 16 << 20
# One that only stages it has none to pay, and smaller batches take less memory.
STAGED_BYTES = 4 << 20


@dataclass(frozen=True)
class Wishes:
    """What the user asked for. level: how thoroughly the target is checked (see `sync`)."""

    level: Level = Level.DIGESTS
    accept_losses: bool = False
    allow_mass_delete: bool = False
    workers: int = 1
    engine: str = "local"
    ray_address: str | None = None

    @property
    def shared(self) -> bool:
        """Whether the journal has to be where other machines reach it."""
        return self.engine == "ray"


def sync(
    source: Source,
    target: Target,
    *,
    level: str | Level = Level.DIGESTS,
    accept_losses: bool = False,
    allow_mass_delete: bool = False,
    workers: int = 1,
    engine: str = "local",
    ray_address: str | None = None,
    progress: Progress = silent,
) -> SyncResult:
    """Make `target` hold exactly what `source` holds.

    level: `digests` (default) reads back what this run writes and trusts what earlier runs read
    back; `deep` reads all of the target and mends what differs; `ids` and `counted` read nothing
    back and end with a listing or a count. accept_losses: go on although the plan lists losses.
    allow_mass_delete: delete more than a fifth of the target.

    workers: how many bring the records over, each some ranges of keys; where that cannot be, one does and a note
    says why. engine: `local` (processes of this machine) or `ray`, which keeps the journal in PostgreSQL.
    ray_address: of a running Ray cluster, None = one that is started here.

    Raises Refused (losses, mass deletion, spaces that do not mix, no room), Busy, StoreError,
    Integrity and Interrupted; whatever was written by then stays and the same call goes on from there.
    """
    require(workers, engine, ray_address)
    wishes = Wishes(_level(level), accept_losses, allow_mass_delete, workers, engine, ray_address)
    ends = (source, target)
    opened_here = is_place(source) and is_place(target)

    reached = False

    def attempt() -> SyncResult:
        nonlocal reached
        # The target is held before the source is opened: checking a large file can take minutes.
        with writing(target) as to, locked(to.identity, to.address), reading(source) as from_:
            outline = Outline(from_, to, probe=False)
            reached = True
            return _sync_open(outline, wishes, progress, ends)

    # An open store belongs to the caller, who alone can open it again; and what could not be reached
    # even once is more likely mistyped than down.
    return retrying(
        attempt,
        worth=lambda: opened_here and reached,
        heard=lambda error, wait: progress(f"waiting {wait:.0f} s: {error.what}", 0, None),
    )


def _sync_open(outline: Outline, wishes: Wishes, progress: Progress, ends: tuple[Source, Target]) -> SyncResult:
    started = time.perf_counter()
    source, target = outline.source, outline.target
    losses = data_losses(outline)
    outline.require_accepted(losses, wishes.accept_losses)
    outline.require_room()
    shares = cut(source, target, outline.from_.count, wishes.workers, not all(map(is_place, ends)))
    with ExitStack() as stack:
        journal = stack.enter_context(Journal.of(target.identity, wishes.shared))
        run = journal.begin("sync", source.address, target.address, outline.plan(losses, shares).to_dict())
        attempt = _Run(source, target, outline, losses, wishes, journal, run, progress)
        attempt.ranges, attempt.ends = shares.ranges, ends
        attempt.notes += shares.notes
        with _recorded(attempt, source.address, target.address):
            target.prepare(outline.space, outline.from_.index, outline.from_.count)
            stack.enter_context(target.exclusive())
            attempt.go()
        result = attempt.result(time.perf_counter() - started)
        journal.end(run, "done", result.to_dict())
        return result


class _Run:
    """One run of sync. ranges: what workers bring over, none where this process does it all."""

    def __init__(
        self,
        source: Readable,
        target: Writable,
        outline: Outline,
        losses: tuple[Loss, ...],
        wishes: Wishes,
        journal: Journal,
        run: str,
        progress: Progress,
    ) -> None:
        self.source, self.target, self.outline, self.losses = source, target, outline, losses
        self.wishes, self.journal, self.run, self.progress = wishes, journal, run, progress
        self.ledger = Ledger(journal)
        self.batch = _batch_rows(target, outline.row_bytes)
        self.crossing = Crossing(
            source, target, self.ledger, Terms(run, outline.space, self.batch, wishes.level >= Level.DIGESTS)
        )
        self.tally = self.crossing.tally
        self.verified = Level.COUNTED
        self.balanced = False
        self.copying = 0.0
        self.ranges: tuple[Range, ...] = ()
        self.ends: tuple[Source, Target] = (source, target)
        self.notes = [*outline.from_.notes, *outline.to.notes]

    def go(self) -> None:
        """Do all of it; the order of the steps is the crash table in docs/crashes.md."""
        at, standing = time.time(), Standing.recall(self.journal)
        self.ledger.settle(read_back=self.wishes.level >= Level.DIGESTS)
        if self.wishes.level is Level.DEEP:
            self.ledger.doubt_all()
        # Before the source is read: what is committed while it is being read counts as touched later.
        mark, target_mark = mark_of(self.source), mark_of(self.target)
        stock = stock_of(self.target, self.ledger, standing)
        self.crossing.ids, held = stock.ids, self.ledger.count()
        rest = rest_of(self.source, self.ledger, standing, stock)
        with self.crossing.open():
            sorter, began = self.crossing.sorter, time.perf_counter()
            if rest is None and self.ranges:
                began = self._share_out(held)
            else:
                for rejects in self.crossing.cross(self._pages(sorter, rest, held)):
                    self._set_aside(rejects)
                    self.progress("sync", self.tally.read, self.outline.from_.count)
            self.tally.require_conserved()
            self._delete(sorter, held)
            self.copying = time.perf_counter() - began
        # What was not written to holds what it held when its stock was taken.
        others = Others(self.crossing.ids.count, [])
        # Counting takes as long as reading on many engines; the target builds its index meanwhile.
        with beside(lambda: self._offered(rest)) as offered:
            if standing is None or self.tally.moved:
                self.progress("finish", 0, None)
                self.target.finish(self.outline.space, self.outline.from_.index)
                # In this order: what somebody writes between the two is seen now and once more next time.
                before, target_mark = target_mark, mark_of(self.target)
                others = written_by_others(self.target, self.ledger, self.run, before, stock.ids.count)
            self._check(offered(), others.count)
        self._doubt(others.ids)
        if self.balanced and not self.tally.quarantined:
            Standing(self.crossing.ids, self.source.identity, mark, target_mark).remember(self.journal)
            if self.verified is Level.DEEP:
                Proof.of(self.source, self.target, others.count, at, Marks(mark, target_mark)).remember(self.journal)

    def _share_out(self, held: int) -> float:
        """Let workers bring the partitions over, and take what they did into account; return when they began."""
        self._require_few_doomed(held)
        assert isinstance(self.target, Shared)
        wishes, job = self.wishes, self._job(first_copy=held == 0)
        parts = [Part(number, part) for number, part in enumerate(self.ranges)]
        with (
            hiring(wishes.engine, job, wishes.workers, wishes.ray_address) as crew,
            Gathering(self.target) as gathering,
        ):
            team = assembled(crew, min(wishes.workers, len(parts)))
            began = time.perf_counter()
            taken_over = share_out(crew, team, parts, lambda crossed: self._hear(crossed, gathering))
            crew.let_go()
            gathering.end()
        if taken_over:
            # What a lost worker wrote before its end is in the target, and nobody has counted it.
            self.crossing.ids = census(self.target.ids())
            self.crossing.know_writes(None)
            self.notes.append(f"{taken_over:,} partitions were taken over from workers that were lost")
        return began

    def _job(self, first_copy: bool) -> Job:
        found, terms = self.outline.from_, self.crossing.terms
        source, target = map(address_of, self.ends)
        return Job(
            source,
            target,
            self.run,
            self.outline.space,
            found.index,
            found.layout,
            found.count,
            self.batch,
            terms.read_back,
            first_copy,
            self.wishes.shared,
        )

    def _hear(self, crossed: Crossed, gathering: Gathering) -> None:
        gathering.begin(crossed.part)
        self.crossing.absorb(crossed)
        self._set_aside(crossed.rejects)
        self.progress("sync", self.tally.read, self.outline.from_.count)

    def _pages(self, sorter: Sorter, rest: Rest | None, held: int) -> Generator[Page, None, None]:
        """Read the source: all of it, or only what it cannot prove unchanged.

        Before the first page is handed out it is known how many records would be deleted.
        """
        if rest is not None:
            yield from self._rest(sorter, rest, held)
            return
        self._require_few_doomed(held)
        with ahead(self.source.scan(PAGE_ROWS)) as pages:
            yield from pages

    def _require_few_doomed(self, held: int) -> None:
        """Raise MassDelete before anything is read when the source lacks too much of what the target holds."""
        if held and census(self.source.ids()) != self.crossing.ids:
            self._require_few(count_doomed(self.ledger, self.source.ids()), held)

    def _rest(self, sorter: Sorter, rest: Rest, held: int) -> Generator[Page, None, None]:
        shown = (page.to_pylist() for page in self.source.ids()) if rest.listing else None
        known = sorter.take_for_granted(shown, rest.ids)
        self._require_few(sorter.walk.missing() - known, held)
        looked = 0
        for start in range(0, len(rest.ids), self.batch):
            page = self.source.fetch(pa.array(rest.ids[start : start + self.batch], type=pa.string()))
            looked += page.read
            yield page
        self.tally.read += rest.count - looked
        self.tally.unchanged += rest.count - looked

    def _set_aside(self, rejects: list[Reject]) -> None:
        if rejects:
            self.journal.quarantine(self.run, rejects)
            self.tally.rejects += rejects[: LISTED - len(self.tally.rejects)]

    def _delete(self, sorter: Sorter, held: int) -> None:
        parts = [self._gone(part) for part in sorter.unmet()]
        self._require_few(sum(map(len, parts)), held)
        for part in parts:
            self.ledger.forget(part)
            self.crossing.ids = self.crossing.ids.without(part)
            for start in range(0, len(part), self.batch):
                self.target.delete(pa.array(part[start : start + self.batch], type=pa.string()))
            self.tally.deleted += len(part)
            self.progress("delete", self.tally.deleted, None)

    def _gone(self, ids: list[str]) -> list[str]:
        """Return the ids that the source really does not have: a scan may miss what moves about."""
        held: set[str] = set()
        for start in range(0, len(ids), self.batch):
            page = self.source.fetch(pa.array(ids[start : start + self.batch], type=pa.string()))
            held.update(page.ids.to_pylist(), (r.id for r in page.rejects))
        if held:
            self.notes.append(f"the scan of the source missed {len(held):,} records; the target keeps them")
        return [i for i in ids if i not in held]

    def _require_few(self, deletions: int, held: int) -> None:
        require_few(deletions, held, self.wishes.allow_mass_delete, self.source.address, self.target.address)

    def _offered(self, rest: Rest | None) -> int:
        """Return how many records the source holds now."""
        return glance(self.source).count if rest is None else rest.count

    def _check(self, offered: int, found: int) -> None:
        """Compare what both sides say they hold with what was done, and name the level that was reached."""
        if offered != self.tally.read:
            self.notes.append(f"{self.tally.read:,} records were read; the source now counts {offered:,}")
        kept, held = self.tally.read - self.tally.quarantined, self.ledger.count()
        # Quarantine may keep an older record in the target; without it all counts are one number.
        self.balanced = found == held and offered == self.tally.read and kept <= held
        self.balanced = self.balanced and (kept == held or self.tally.quarantined > 0)
        if self.wishes.level is Level.IDS:
            missing, extra = differing(self.ledger, self.target.ids())
            self.balanced = self.balanced and not missing and not extra
        looked_at_all = self.tally.looked + self.tally.created + self.tally.changed == self.ledger.count()
        if self.wishes.level < Level.DIGESTS:
            self.verified = self.wishes.level
        else:
            self.verified = Level.DEEP if looked_at_all else Level.DIGESTS

    def _doubt(self, others: list[str] | None) -> None:
        """Doubt what somebody else wrote at the target while this run was at work. others: ids, None = very many."""
        if others is None:
            self.ledger.doubt_all()
            number = "very many"
        elif others:
            self.ledger.doubt(others)
            number = f"{len(others):,}"
        else:
            return
        self.balanced = False
        self.notes.append(f"{number} records of the target were written by somebody else meanwhile")

    def _losses(self) -> tuple[Loss, ...]:
        """Return what was announced, and what the records of this run brought with them."""
        counted = {loss.code: loss for loss in self.crossing.projection.found(list(self.outline.losses))}
        announced = {loss.code: loss for loss in self.losses}
        return tuple({**announced, **counted}.values())

    def result(self, seconds: float) -> SyncResult:
        """Return what the run did."""
        return SyncResult(
            source=self.source.address,
            target=self.target.address,
            **self.tally.to_dict(),
            losses=self._losses(),
            verified=self.verified.word,
            equal=self.balanced and not self.tally.quarantined,
            seconds=round(seconds, 3),
            copying=round(self.copying, 3),
            run=self.run,
            created=self.tally.created,
            changed=self.tally.changed,
            notes=tuple(self.notes),
            quarantine=tuple(self.tally.rejects),
        )


def _batch_rows(target: Writable, row_bytes: float) -> int:
    """Return how many records of about `row_bytes` bytes a batch holds."""
    size = STAGED_BYTES if isinstance(target, Publishing) else WRITE_BYTES
    return min(WRITE_ROWS, fitting_rows(size, row_bytes), target.capabilities.max_batch or WRITE_ROWS)


@contextmanager
def _recorded(attempt: _Run, source: str, target: str) -> Iterator[None]:
    """Note in the journal how a run ends that does not end well."""
    journal, run, tally = attempt.journal, attempt.run, attempt.tally
    try:
        yield
    except KeyboardInterrupt:
        journal.end(run, "interrupted", tally.to_dict())
        raise Interrupted(
            f"interrupted after {tally.read:,} records were read",
            where=f"{source} -> {target}",
            left="what was written is in the target and noted in the journal",
            next=f"wherry sync {source} {target}",
        ) from None
    except sqlite3.DatabaseError:
        # The journal itself failed and cannot be told; leaving it gives the error its name.
        raise
    except WherryError as error:
        journal.end(run, "failed", {**tally.to_dict(), "error": error.to_dict()})
        raise
    except Exception as error:
        journal.end(run, "failed", {**tally.to_dict(), "error": {"error": type(error).__name__}})
        raise


def _level(level: str | Level) -> Level:
    return level if isinstance(level, Level) else Level.parse(level)
