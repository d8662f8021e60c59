"""The move: a collection to another store, points to go back to, and the end of what was left behind.

Nothing is deleted on the way. The old side stays as it is until `retire`, which asks for measured figures first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from sqlalchemy import select

import wherry
from wherry import (
    Address,
    BadRecord,
    Conflict,
    Index,
    Integrity,
    NotFound,
    NotVerified,
    Refused,
    Usage,
)
from wherry_apps.tutor.reembedding import reembed
from wherry_apps.tutor.renumbering import renumbered
from wherry_apps.tutor.resources import Resources
from wherry_apps.tutor.switches import STORES, THRESHOLDS, Switches, address_of, folder, named, require_open
from wherry_apps.tutor.tables import Checkpoint, Comparison

LLM, STORE = "llm", "store"
_SAMPLE, _K, _LEAST_OVERLAP = 50, 10, 0.95
_NEAR = 1e-5
_NAME = "letters, digits, '-', '_' and '.', at most 60"


@dataclass(frozen=True)
class Moved:
    """What a move did. copied: vectors were copied; else they were made anew by `embedder`.

    verified: the word of the weakest check that covers the whole target (`deep`: both sides value by value;
    `texts`: ids, texts and payloads, where vectors were made anew).
    renumbered: points of earlier versions that were given their question's number. zero: vectors of length zero.
    overlap: mean share of the same ten nearest, over `sample` questions.
    """

    source: str
    target: str
    embedder: str
    copied: bool
    read: int
    written: int
    unchanged: int
    failed: dict[str, str]
    verified: str
    equal: bool
    dimension: int
    zero: int
    overlap: float | None
    sample: int
    seconds: float
    renumbered: int = 0

    @property
    def exit_code(self) -> int:
        """0 moved and proved, 5 some texts failed, 1 the target differs."""
        if self.failed:
            return BadRecord.exit_code
        return 0 if self.equal else 1

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {**self.__dict__, "equal": self.equal}


class Moving:
    """Moves, checkpoints and retires."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._db = resources.db

    def move(
        self,
        source: str,
        target: str,
        collection: str | None = None,
        embedder: str | None = None,
        graph: bool = False,
    ) -> Moved:
        """Make the collection of one store equal in another, and prove it; run it again to resume or to follow up.

        source, target: of `STORES`, or addresses. embedder: of the target; the same one copies the vectors, another
        makes them anew from the texts. graph: a new collection gets an approximate index; without one every search
        looks at every vector, which is right by construction and quick enough for a question bank. The source is only
        read. Raises SpaceMismatch where the target holds others' vectors, Refused, Unreachable and the like.
        """
        now = self._resources.switches()
        for one in (source, target):
            now.require_in_use(one)
        name = collection or now.collection
        ends = [address_of(one, name, self._db) for one in (source, target)]
        with renumbered(ends[0]) as (found, count):
            moved = self._moved((found, ends[1]), embedder, now, graph)
        return replace(moved, source=str(ends[0]), renumbered=count)

    def switch(
        self,
        *,
        llm: str | None = None,
        store: str | None = None,
        embedder: str | None = None,
        thresholds: Mapping[str, float] | None = None,
    ) -> dict[str, Any]:
        """Use another chat model, store or embedder from now on; it is looked at first.

        thresholds: `question`, `document`, `drafting` -> the least similarity; those left out are the usual ones.
        Raises Refused for a retired one, SpaceMismatch where the collection in the store is of another embedder.
        """
        wanted = {name: value for name, value in ((LLM, llm), (STORE, store), ("embedder", embedder)) if value}
        if not wanted and thresholds is None:
            raise Usage("nothing to switch", next="name --llm, --store, --embedder or --threshold")
        for kind, least in (thresholds or {}).items():
            if kind not in THRESHOLDS or not -1 <= least <= 1:
                raise Usage(f"{kind}={least} is no threshold", next=f"use {', '.join(THRESHOLDS)} with a value up to 1")
        if store is not None:
            require_open(store)
        for value in wanted.values():
            self._resources.switches().require_in_use(value)
        if llm is not None:
            self._resources.chat(llm)
        if store or embedder:
            self._resources.points(store, embedder).check()
        more = {} if thresholds is None else {"thresholds": dict(thresholds)}
        now = self._resources.board.set(**wanted, **more)
        return {**now.stored(), "overruled": list(now.overruled)}

    def checkpoint(self, name: str, stage: str = "") -> dict[str, Any]:
        """Write a point to go back to: switches, the collection as a sealed archive, the revision of the tables.

        Raises Conflict for a name that is taken.
        """
        if not name or len(name) > 60 or not all(c.isalnum() or c in "-_." for c in name) or name.startswith("."):
            raise Usage(f"{name!r} cannot be the name of a checkpoint", next=f"use {_NAME}")
        with self._db.session() as session:
            if session.get(Checkpoint, name) is not None:
                raise Conflict(f"there is a checkpoint {name!r} already", next="choose another name")
        now, points = self._resources.switches(), self._resources.points()
        require_open(now.store)
        count, archive = points.check(), folder() / "checkpoints" / f"{name}.parquet"
        if count:
            archive.parent.mkdir(parents=True, exist_ok=True)
            done = wherry.sync(points.address, archive, level="deep", allow_mass_delete=True)
            if not done.equal:
                raise Integrity("the archive does not hold what the collection holds", where=str(archive))
        made = {
            "name": name, "stage": stage or f"{now.llm}, {now.store}", "settings": now.stored(), "store": now.store,
            "archive": str(archive) if count else None, "points": count, "revision": self._db.revision() or "",
        }  # fmt: skip
        with self._db.session() as session:
            session.add(Checkpoint(**made))
        return made

    def checkpoints(self) -> list[dict[str, Any]]:
        """Return the checkpoints, oldest first."""
        with self._db.session() as session:
            return [_shown(one) for one in session.scalars(select(Checkpoint).order_by(Checkpoint.created_at))]

    def rollback(self, name: str) -> dict[str, Any]:
        """Return to a checkpoint: the collection in its store, the switches, at the same revision; and verify it.

        Raises NotFound, Refused where the tables are of another revision, Integrity where the archive is damaged or
        the collection does not verify; the switches are then as they were.
        """
        with self._db.session() as session:
            known = session.get(Checkpoint, name)
            if known is None:
                raise NotFound(f"there is no checkpoint {name!r}", next="wherry tutor checkpoint list")
            kept = _shown(known)
        revision = self._db.revision()
        if revision != kept["revision"]:
            raise Refused(
                f"the tables are at revision {revision}, the checkpoint was made at {kept['revision']}",
                left="nothing was changed",
                next="return with the version of Wherry that made the checkpoint",
            )
        settings = kept["settings"]
        address = address_of(settings["store"], settings["collection"], self._db)
        verdict = "empty"
        if kept["archive"]:
            wherry.sync(kept["archive"], address, allow_mass_delete=True, accept_losses=True)
            proof = wherry.verify(kept["archive"], address)
            if not proof.equal:
                # What differs was noted: this mends it.
                wherry.sync(kept["archive"], address, allow_mass_delete=True, accept_losses=True)
                proof = wherry.verify(kept["archive"], address)
            if not proof.equal:
                raise Integrity(f"{address} does not hold what the checkpoint holds", left="the switches are unchanged")
            verdict = proof.verdict
        elif ids := _points_of(self._resources, settings).ids():
            _points_of(self._resources, settings).remove(sorted(ids))
        now = self._resources.board.restore(settings)
        return {
            "checkpoint": name, "settings": settings, "points": kept["points"], "verified": verdict,
            "revision": revision, "overruled": list(now.overruled),
        }  # fmt: skip

    def retire(self, old: str) -> dict[str, Any]:
        """End the use of a chat model or a store; its data stays where it is, but Tutor no longer reads it.

        Raises Refused while it is in use, NotVerified without a passed comparison of it with what is in use.
        """
        now = self._resources.switches()
        kind, current = (STORE, named(now.store)) if _is_store(old) else (LLM, now.llm)
        old = named(old) if kind == STORE else old
        if old == current:
            raise Refused(f"{old} is in use", left="nothing was retired", next=f"wherry tutor switch --{kind} ANOTHER")
        with self._db.session() as session:
            query = select(Comparison).where(Comparison.kind == kind, Comparison.old == old, Comparison.new == current)
            found = session.scalars(query.order_by(Comparison.id.desc()).limit(1)).one_or_none()
            passed = found is not None and found.passed
            number = found.id if found is not None else None
        if not passed:
            act = (
                f"compare-llm --old {old} --new {current}" if kind == LLM else f"benchmark --old {old} --new {current}"
            )
            what = "was not passed" if number is not None else "was not made"
            raise NotVerified(
                f"the comparison of {old} with {current} {what}", left="nothing was retired", next=f"wherry tutor {act}"
            )
        self._resources.board.set(retired=tuple(sorted({*now.retired, old})))
        return {"retired": old, "kind": kind, "in_use": current, "comparison": number}

    def note(self, kind: str, old: str, new: str, passed: bool, result: dict[str, Any]) -> int:
        """Write a measured comparison down and return its number."""
        with self._db.session() as session:
            made = Comparison(kind=kind, old=old, new=new, passed=passed, result=result)
            session.add(made)
            session.flush()
            return made.id

    def _moved(self, ends: Sequence[Address], embedder: str | None, now: Switches, graph: bool) -> Moved:
        with _opened(ends[0]) as from_:
            space = from_.describe().space
        made = self._resources.embedder(embedder or now.embedder)
        if _same_space(space, made.space()):
            if not graph:
                _made_flat(ends, space)
            return self._copied(ends, made.spec)
        if embedder is None and space.model is not None:
            raise Refused(
                f"the vectors of {ends[0]} are of {space.model}, those in use of {made.spec}",
                left="nothing was moved",
                next="name the embedder of the target with --embedder: its vectors are made anew from the texts",
            )
        return self._made_anew(ends, made)

    def _copied(self, ends: Sequence[Address], spec: str) -> Moved:
        done = wherry.sync(ends[0], ends[1])
        looked = _looked(ends, deep=done.verified != "deep")
        if not looked.equal:
            # What differs was noted: this mends it.
            done = wherry.sync(ends[0], ends[1])
            looked = _looked(ends, deep=True)
        failed = {reject.id: f"{reject.reason} {reject.detail}".strip() for reject in done.quarantine}
        return Moved(
            str(ends[0]), str(ends[1]), spec, True, done.read, done.written, done.unchanged, failed, "deep",
            done.equal and looked.good, looked.dimension, looked.zero, looked.overlap, looked.sample, done.seconds,
        )  # fmt: skip

    def _made_anew(self, ends: Sequence[Address], embedder: Any) -> Moved:
        started = datetime.now(UTC)
        found = reembed(ends[0], ends[1], embedder, self._resources.switches().batch)
        with _opened(ends[1]) as to:
            dimension, zero = _facts(to)
        return Moved(
            str(ends[0]), str(ends[1]), embedder.spec, False, found.read, found.written, found.unchanged,
            found.failed, "texts", found.equal and not zero, dimension, zero, None, 0,
            (datetime.now(UTC) - started).total_seconds(),
        )  # fmt: skip


@dataclass(frozen=True)
class _Looked:
    """What both sides show after a copy. equal: value by value, where that was asked for."""

    equal: bool
    dimension: int
    zero: int
    overlap: float | None
    sample: int

    @property
    def good(self) -> bool:
        """Whether nothing speaks against the copy."""
        return self.equal and not self.zero and (self.overlap is None or self.overlap >= _LEAST_OVERLAP)


def _looked(ends: Sequence[Address], deep: bool) -> _Looked:
    with _opened(ends[0]) as from_, _opened(ends[1]) as to:
        equal = not deep or wherry.verify(from_, to).equal
        return _Looked(equal, *_facts(to), *_overlap(from_, to))


def _made_flat(ends: Sequence[Address], space: wherry.Space) -> None:
    """Make the target without an index to be built, where it is not there yet."""
    with _opened(ends[0]) as from_, _opened(ends[1], wherry.open_target) as to:
        if not to.describe().exists:
            to.prepare(space, Index("flat"), from_.describe().count)


def _overlap(from_: Any, to: Any) -> tuple[float | None, int]:
    """Return the mean overlap of the ten nearest of up to 50 records, exact on the source, and how many were asked.

    What is as near as the tenth counts as found: equal vectors may come in any order.
    """
    asked = _sample(from_)
    shares = []
    for vector in asked:
        right = from_.search(vector, _K, exact=True)
        least = right[-1].similarity - _NEAR
        shares.append(sum(hit.similarity >= least for hit in to.search(vector, _K)) / len(right))
    return (round(float(np.mean(shares)), 4), len(asked)) if shares else (None, 0)


def _sample(store: Any) -> list[np.ndarray]:
    """Return vectors that are spread over a collection, the same each time."""
    ids = sorted(
        (i for page in store.ids() for i in page.to_pylist()), key=lambda i: hashlib.sha256(i.encode()).digest()
    )
    if not ids:
        return []
    page = store.fetch(pa.array(sorted(ids[:_SAMPLE]), type=pa.string()))
    return [np.asarray(record.vector, dtype=np.float32) for record in wherry.to_records(page.records)]


def _facts(store: Any) -> tuple[int, int]:
    """Return the dimension of a collection and how many of its vectors are zero or not finite."""
    dimension, zero = int(store.describe().space.dimension or 0), 0
    for page in store.scan():
        flat = page.records.column("vector").flatten().to_numpy(zero_copy_only=False)
        lengths = np.linalg.norm(flat.reshape(page.records.num_rows, dimension), axis=1)
        zero += int((~(lengths > 0)).sum())
    return dimension, zero


def _same_space(held: wherry.Space, made: wherry.Space) -> bool:
    fields = ("provider", "model", "dimension")
    return all(getattr(held, name) == getattr(made, name) for name in fields)


def _points_of(resources: Resources, settings: dict[str, Any]) -> Any:
    return resources.points(settings["store"], settings["embedder"])


def _is_store(name: str) -> bool:
    return name in STORES or "#" in name


def _shown(one: Checkpoint) -> dict[str, Any]:
    names = ("name", "stage", "settings", "store", "archive", "points", "revision")
    return {name: getattr(one, name) for name in names} | {"created_at": one.created_at.isoformat()}


class _opened:
    """An open store, closed at the end."""

    def __init__(self, address: Address, opening: Callable[[Address], Any] = wherry.open_source) -> None:
        self._store = opening(address)

    def __enter__(self) -> Any:
        return self._store

    def __exit__(self, *error: object) -> None:
        self._store.close()
