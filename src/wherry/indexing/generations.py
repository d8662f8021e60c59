"""Another model without downtime: a generation built beside the live one, one switch, and the way back.

Readers stay on the live generation until the new one holds every document and its index is built; then both
tables change names in one transaction. The old generation stays until the next rebuild or `prune`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from wherry.address import Address
from wherry.errors import BadRecord, Integrity, Refused, WherryError
from wherry.indexing import manifest
from wherry.indexing.diff import Known, compare
from wherry.indexing.fingerprints import chunk_ids, cut_fp, doc_fp, embed_fp, fingerprint, settings_fp
from wherry.indexing.lease import LEASE_S, Lease, held
from wherry.indexing.manifest import Generation, Manifest
from wherry.indexing.model import Model, Wish
from wherry.indexing.paying import Till
from wherry.indexing.place import Place, opened
from wherry.indexing.preparing import Piece, Prepared
from wherry.indexing.results import Rebuild, Statistics
from wherry.indexing.run import GROUP_CHUNKS
from wherry.indexing.runs import recorded
from wherry.indexing.writer import Writer
from wherry.postgres.database import Database
from wherry.state import new_run

_PAGE_DOCUMENTS = 64
_COPY_SOURCES = """
INSERT INTO wherry.sources SELECT "index", $3, name, chunker, origin, recipe_fp, clean, scan_fp, unsure_fp,
  unread, read_from_ns, documents, chunks, failed, finished_at
FROM wherry.sources WHERE "index" = $1 AND generation = $2
ON CONFLICT ("index", generation, name) DO UPDATE SET clean = EXCLUDED.clean, scan_fp = EXCLUDED.scan_fp,
  unsure_fp = EXCLUDED.unsure_fp, unread = EXCLUDED.unread, read_from_ns = EXCLUDED.read_from_ns,
  documents = EXCLUDED.documents, chunks = EXCLUDED.chunks, failed = EXCLUDED.failed,
  recipe_fp = EXCLUDED.recipe_fp, chunker = EXCLUDED.chunker
"""
_COPY_LETTERS = """
INSERT INTO wherry.dead_letters SELECT "index", $3, source, document, source_fp, recipe_fp, chunk_fp, error, message,
  attempts, first_at, last_at FROM wherry.dead_letters WHERE "index" = $1 AND generation = $2 ON CONFLICT DO NOTHING
"""
_COPY_STAMPS = """
UPDATE wherry.documents n SET size = o.size, mtime_ns = o.mtime_ns, inode = o.inode FROM wherry.documents o
WHERE n."index" = $1 AND n.generation = $3 AND o."index" = $1 AND o.generation = $2
  AND o.source = n.source AND o.id = n.id
"""
_COUNTS = """
SELECT generation, count(*), coalesce(sum(chunks), 0) FROM wherry.documents
WHERE "index" = $1 AND generation = ANY ($2::int[]) GROUP BY 1
"""
_BUILT = """
SELECT n.source, n.id, n.source_fp, n.recipe_fp, n.doc_fp, n.chunk_fps, n.meta_fps FROM wherry.documents n
WHERE n."index" = $1 AND n.generation = $2 AND (n.source, n.id) IN (SELECT * FROM unnest($3::text[], $4::text[]))
"""
_STALE = """
SELECT n.source, n.id FROM wherry.documents n LEFT JOIN wherry.documents o
  ON o."index" = n."index" AND o.generation = $2 AND o.source = n.source AND o.id = n.id
WHERE n."index" = $1 AND n.generation = $3 AND o.id IS NULL
"""
_CHANGED = """
SELECT count(*) FROM (SELECT source, id, source_fp FROM wherry.documents WHERE "index" = $1 AND generation = $2) a
FULL JOIN (SELECT source, id, source_fp FROM wherry.documents WHERE "index" = $1 AND generation = $3) b
  USING (source, id) WHERE a.source_fp IS DISTINCT FROM b.source_fp
"""
_POINT = "UPDATE wherry.indexes SET live = $2 WHERE id = $1 AND live = $3"
_STATE = 'UPDATE wherry.generations SET state = $3, place = $4, switched_at = now() WHERE "index" = $1 AND number = $2'


@dataclass
class _Build:
    """A rebuild at work."""

    index: int
    live: Generation
    new: Generation
    place: Place
    beside: Place
    lease: Lease
    model: Model
    statistics: Statistics
    writer: Writer
    till: Till
    progress: Callable[[str, int, int | None], None] | None

    @property
    def database(self) -> Database:
        """Where the manifest is."""
        return self.place.database


def rebuild(
    into: str | os.PathLike[str] | Address,
    embedder: Wish,
    *,
    lease_s: float = LEASE_S,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> Rebuild:
    """Embed an index again with another model, from its stored texts, and let readers see it when it is complete.

    embedder: a spec or an embedder. A run that ended early is gone on with. Raises NoSuchCollection, Busy,
    Integrity when chunks are lost, and what stores and models raise; then the live generation serves as before.
    """
    started, run = time.monotonic(), new_run()
    with opened(into) as (place, index, live), opened(into) as (beside, _, _):
        model, statistics = Model(embedder, None, place.target.shown), Statistics()
        try:
            with held(place.database, index, run, "rebuild", place.target.shown, lease_s) as lease:
                new = _begun(beside, index, live, model, lease)
                writer = Writer(place.database)
                till = Till(place.database, lambda: model.embedder, statistics.embedded)
                build = _Build(index, live, new, place, beside, lease, model, statistics, writer, till, progress)
                with (
                    closing(writer),
                    closing(till),
                    recorded(place.database, run, index, new.number, "rebuild", statistics),
                ):
                    before = model.spent
                    documents, chunks = _built(build)
                    statistics.tokens, statistics.cost = model.spent_since(before)
                    _switch(place, index, live, new, lease)
                    _drop(place, index, lease, keep=live.number)
        finally:
            model.close()
        return Rebuild(
            place.target.shown, live.number, new.number, new.embedder, documents, chunks,
            statistics.chunks_embedded, statistics.chunks_reused, statistics.tokens, statistics.cost,
            round(time.monotonic() - started, 4), run,
            (f"generation {live.number} ({live.embedder}) is kept: wherry index rollback '{place.target.shown}'",),
        )  # fmt: skip


def rollback(into: str | os.PathLike[str] | Address, *, lease_s: float = LEASE_S) -> Rebuild:
    """Let readers see the generation before the live one again. Raises Refused when there is none."""
    started, run = time.monotonic(), new_run()
    with opened(into) as (place, index, live):
        found = manifest.generations(place.database, index)
        kept = [g for g in found if g.state == "retired" and g.there]
        if not kept:
            raise Refused(
                "there is no earlier generation to go back to",
                where=place.target.shown,
                left="the index serves as before",
                next=f"wherry index status '{place.target.shown}' lists its generations",
            )
        other = kept[-1]
        with held(place.database, index, run, "rollback", place.target.shown, lease_s) as lease:
            _switch(place, index, live, other, lease)
            # Documents may have changed since: the next run looks at all of them.
            place.database.tell(
                'UPDATE wherry.sources SET clean = NULL WHERE "index" = $1 AND generation = $2', [index, other.number]
            )
        changed = place.database.ask(_CHANGED, [index, live.number, other.number])[0][0]
        documents, chunks = _counts(place.database, index, other.number)
        notes = (f"{changed:,} documents changed since: index again to bring them up to date",) if changed else ()
        return Rebuild(
            place.target.shown, live.number, other.number, other.embedder, documents, chunks, 0, 0, 0, 0.0,
            round(time.monotonic() - started, 4), run, notes,
        )  # fmt: skip


def prune(into: str | os.PathLike[str] | Address, *, lease_s: float = LEASE_S) -> int:
    """Drop the generations that serve nobody; return how many. After it there is no way back."""
    with (
        opened(into) as (place, index, _),
        held(place.database, index, new_run(), "prune", place.target.shown, lease_s) as lease,
    ):
        return _drop(place, index, lease, keep=None)


def _begun(place: Place, index: int, live: Generation, model: Model, lease: Lease) -> Generation:
    """Return the generation to build: the one an earlier run began with this model, or a new one."""
    space = model.space
    found = manifest.generations(place.database, index)
    for one in found:
        if one.state == "building":
            if one.there and settings_fp(one.space) == settings_fp(space):
                place.open(one.place)
                return one
            _remove(place, index, one, lease)
    number = max(one.number for one in found) + 1
    with place.database.begin() as connection:
        lease.require(connection)
        where, relation = place.make_beside(connection, live.place, space, number)
        manifest.open_generation(connection, index, number, "building", model.spec, space, where, relation)
    place.open(where)
    return Generation(number, "building", model.spec, space, where)


def _built(build: _Build) -> tuple[int, int]:
    """Fill the new generation; return its documents and chunks."""
    documents, chunks = _counts(build.database, build.index, build.live.number)
    done = 0
    for page in manifest.each(build.database, build.index, build.live.number, _PAGE_DOCUMENTS):
        for part in _portions(page):
            _copy(build, part)
        done += len(page)
        if build.progress is not None:
            build.progress("rebuild", done, documents)
    build.writer.drain()
    _forget_stale(build)
    with build.database.begin() as connection:
        build.lease.require(connection)
        values = [build.index, build.live.number, build.new.number]
        for statement in (_COPY_STAMPS, _COPY_SOURCES, _COPY_LETTERS):
            connection.execute(statement, values)
    build.beside.finish(build.new.space, chunks)
    rows, state = build.beside.health()
    if _counts(build.database, build.index, build.new.number) != (documents, chunks) or rows < chunks:
        raise Integrity(
            f"the new generation holds {rows:,} of {chunks:,} chunks",
            where=build.lease.shown,
            left="readers stay on the old generation",
            next="run the same command again",
        )
    if state == "invalid":
        raise Integrity("the index of the new generation is invalid", left="readers stay on the old generation")
    return documents, chunks


def _portions(page: list[tuple[str, Known]]) -> list[list[tuple[str, Known]]]:
    """Cut a page where its chunks would be too many for one trip."""
    found: list[list[tuple[str, Known]]] = [[]]
    chunks = 0
    for entry in page:
        if found[-1] and chunks + len(entry[1].chunk_fps) > GROUP_CHUNKS:
            found.append([])
            chunks = 0
        found[-1].append(entry)
        chunks += len(entry[1].chunk_fps)
    return found


def _copy(build: _Build, page: list[tuple[str, Known]]) -> None:
    """Bring some documents into the new generation: texts from the live one, vectors of the new model."""
    settings = settings_fp(build.new.space)
    built = _already(build, page)
    prepared = _prepared(build, page, settings)
    wanted = {embed_fp(p.fp, settings): p.text for d in prepared for p in d.pieces}
    missing = build.till.order(wanted)
    build.statistics.chunks_reused += sum(len(d.pieces) for d in prepared) - len(missing)
    _, stored, fatal = build.till.pay(missing)
    if fatal is not None:
        stored()
        build.writer.drain()
        raise fatal
    if build.till.refused:
        raise _refused(build, prepared, settings, build.till.refused)
    build.writer.give(partial(_put, build, prepared, built, settings, stored))


def _put(
    build: _Build, prepared: list[Prepared], built: dict[tuple[str, str], Known], settings: bytes,
    stored: Callable[[], None], database: Database,
) -> None:  # fmt: skip
    stored()
    for source in {d.source for d in prepared}:
        mine = [d for d in prepared if d.source == source]
        changes = [compare(d, built.get((source, d.id))) for d in mine]
        with database.begin() as connection:
            build.lease.require(connection)
            manifest_of = Manifest(build.index, build.new.number, source)
            build.beside.change(connection, manifest_of, changes, settings)
            manifest_of.record(connection, changes)


def _prepared(build: _Build, page: list[tuple[str, Known]], settings: bytes) -> list[Prepared]:
    ids = [name for source, known in page for name in build.place.row_ids(source, known)]
    with build.database.begin() as connection:
        texts = build.place.texts(connection, ids)
    lost = [name for name in ids if name not in texts]
    if lost:
        raise Integrity(
            f"{len(lost):,} chunks are gone from the live generation",
            where=build.lease.shown,
            left="readers stay on the live generation",
            next=f"wherry index repair '{build.lease.shown}', then run the same command again",
        )
    return [_document(source, known, build.place.row_ids(source, known), texts, settings) for source, known in page]


def _document(
    source: str, known: Known, rows: list[str], texts: dict[str, tuple[str, str]], settings: bytes
) -> Prepared:
    names = chunk_ids(source, known.id, known.chunk_fps)
    pieces = tuple(
        Piece(name, *texts[row], key, meta)
        for name, row, key, meta in zip(names, rows, known.chunk_fps, known.meta_fps, strict=True)
    )
    embeds = [embed_fp(piece.fp, settings) for piece in pieces]
    metas = fingerprint("metas", *(piece.meta_fp for piece in pieces))
    content = known.source_fp or b""
    whole = doc_fp(cut_fp(content, known.recipe_fp), embeds, metas)
    return Prepared(known.id, source, None, content, known.recipe_fp, whole, pieces)


def _already(build: _Build, page: list[tuple[str, Known]]) -> dict[tuple[str, str], Known]:
    """Return what an earlier run built of these documents."""
    rows = build.database.ask(
        _BUILT, [build.index, build.new.number, [source for source, _ in page], [known.id for _, known in page]]
    )
    return {(row[0], row[1]): manifest.known_of(row[1:]) for row in rows}


def _forget_stale(build: _Build) -> None:
    """Remove what an earlier run built and the live generation no longer has."""
    rows = build.database.ask(_STALE, [build.index, build.live.number, build.new.number])
    for source in {row[0] for row in rows}:
        mine = Manifest(build.index, build.new.number, source)
        names = [row[1] for row in rows if row[0] == source]
        known = list(mine.known(build.database, names).values())
        with build.database.begin() as connection:
            build.lease.require(connection)
            build.beside.drop(connection, mine, known)
            mine.forget(connection, names)


def _refused(build: _Build, prepared: list[Prepared], settings: bytes, refused: dict[bytes, BadRecord]) -> WherryError:
    names = [d.id for d in prepared if any(embed_fp(p.fp, settings) in refused for p in d.pieces)]
    error = next(iter(refused.values()))
    return BadRecord(
        f"{build.model.spec} refuses a text of {', '.join(names[:3])}: {error.what}",
        where=build.lease.shown,
        left="readers stay on the live generation; what was embedded is kept",
        next="mend or remove the document and index again, or choose another model",
    )


def _switch(place: Place, index: int, live: Generation, other: Generation, lease: Lease) -> None:
    """Point readers at another generation: one transaction, old or new for everyone."""
    with place.database.begin() as connection:
        lease.require(connection)
        before, now = place.switch(connection, live, other)
        if connection.execute(_POINT, [index, other.number, live.number]).rowcount != 1:
            raise Refused("another generation went live meanwhile", left="the index serves as before")
        for one, state, where in ((live, "retired", before), (other, "live", now)):
            connection.execute(_STATE, [index, one.number, state, manifest.as_json(where)])


def _drop(place: Place, index: int, lease: Lease, keep: int | None) -> int:
    """Drop every generation that is neither live nor to be kept; return how many."""
    found = manifest.generations(place.database, index)
    gone = [one for one in found if one.state in ("retired", "building") and one.number != keep]
    for one in gone:
        _remove(place, index, one, lease)
    return len(gone)


def _remove(place: Place, index: int, one: Generation, lease: Lease) -> None:
    with place.database.begin() as connection:
        lease.require(connection)
        place.remove(connection, one.place)
        connection.execute('DELETE FROM wherry.generations WHERE "index" = $1 AND number = $2', [index, one.number])


def _counts(database: Database, index: int, generation: int) -> tuple[int, int]:
    rows = database.ask(_COUNTS, [index, [generation]])
    return (int(rows[0][1]), int(rows[0][2])) if rows else (0, 0)
