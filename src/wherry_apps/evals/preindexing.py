"""`preindex`: guide, further documents and runs brought into the index, and nothing done twice.

A place that was read to its end is marked; while the mark stays, nothing of it is read again. Where it changed, each
run is known by the fingerprint of its raw rows, and only what differs is composed and compared by hash and count.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path

import wherry
from wherry import BadRecord, NoSuchCollection, Usage, WherryError
from wherry_apps.evals import logs, metrics, stored
from wherry_apps.evals.composing import VERSION, documents_of
from wherry_apps.evals.embedding import BATCH, Choice, RunEmbedder, chosen, recorded
from wherry_apps.evals.facts import facts_of
from wherry_apps.evals.filling import Filling, Tally, Wanted
from wherry_apps.evals.guide import FEWEST, chunker, chunks_of, read_text
from wherry_apps.evals.index import Index, Known
from wherry_apps.evals.reading import Raw, RunSource, configured, open_runs
from wherry_apps.evals.reading.marks import mark_of
from wherry_apps.evals.rules import canonical, stored_differs, totals
from wherry_apps.evals.runs import Json, run_of
from wherry_apps.evals.settings import Settings
from wherry_apps.evals.tables import LOCAL, SHARED

GUIDE = "user_guide"
_GUARDED, _GUARDED_SHARE = 10, 0.2
_MOST_BATCH = 512
_TEXTS = (".md", ".markdown", ".txt", ".rst")
Progress = Callable[[str, int], None]


@dataclass(frozen=True)
class Wish:
    """What `preindex` was asked for. None: as the settings say. owner: whose the runs of the database are.

    lenient: a database of runs that nobody named and that is not there is no error.
    """

    source_db: str | None = None
    model: str | None = None
    dim: int | None = None
    guide_limit: int | None = None
    limit_runs: int | None = None
    skip_guide: bool = False
    skip_runs: bool = False
    batch: int = BATCH
    docs: tuple[str, ...] = ()
    recreate: bool = False
    owner: str = LOCAL
    lenient: bool = False

    def require(self) -> None:
        """Raise Usage for a number that cannot be."""
        for name, value, least in (
            ("--limit-runs", self.limit_runs, 1), ("--matryoshka-dim", self.dim, 1),
            ("--user-guide-limit", self.guide_limit, 0), ("--batch-size", self.batch, 1),
        ):  # fmt: skip
            if value is not None and value < least:
                raise Usage(f"{name} is {value}", where=name, next=f"use {least} or more")
        if self.batch > _MOST_BATCH:
            raise Usage(f"--batch-size is {self.batch}", where="--batch-size", next=f"use {_MOST_BATCH} or fewer")
        if self.skip_guide and self.skip_runs and not self.docs:
            raise Usage("there is nothing to index: guide and runs are both left out")


@dataclass(frozen=True)
class Preindexed:
    """What a run over the index did; names and numbers as those of `wherry index`, where both have them."""

    tally: Tally
    embedder: Json
    into: str
    seconds: float
    sources: dict[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 done, 5 when sources failed."""
        return 5 if self.tally.failed else 0

    def to_dict(self) -> Json:
        """Return the JSON object that `--json` prints."""
        tally = self.tally
        return {
            "scanned": tally.scanned, "new": tally.new, "modified": tally.modified, "metadata_only": 0, "renamed": 0,
            "deleted": tally.deleted, "unchanged": tally.unchanged, "failed": tally.failed,
            "indexed": tally.new + tally.modified, "skipped": tally.unchanged,
            "chunks_embedded": tally.embedded, "chunks_reused": tally.reused,
            "tokens": tally.tokens, "cost": tally.cost, "seconds": self.seconds,
            "into": self.into, "embedder": self.embedder,
            "sources": self.sources, "failures": tally.failures, "notes": tally.notes,
        }  # fmt: skip


class Preindex:
    """One call of `preindex`."""

    def __init__(self, index: Index, wish: Wish, progress: Progress | None = None) -> None:
        wish.require()
        self.index, self.settings, self.wish = index, index.settings, wish
        self.tally = Tally()
        self._progress = progress
        self._told: dict[str, str] = {}

    def run(self) -> Preindexed:
        """Do it. Raises Usage, Refused, Busy, StoreError; failures of single sources are in the result."""
        started = time.perf_counter()
        choice = model_of(self.index, self.wish)
        with closing(RunEmbedder(choice, self.wish.batch)) as embedder, self.index.exclusive():
            record = record_of(self.index, choice, embedder)
            if self.wish.recreate:
                # A model that does not answer must not cost the index that there is.
                embedder.embed(["wherry"])
                self.index.clear()
            self.index.require_embedder(record)
            filling = Filling(self.index, embedder, record, self.tally)
            try:
                for part in self._parts(filling):
                    part()
                    filling.flush()
            finally:
                self._observe(started)
            changed = bool(self.tally.new + self.tally.modified + self.tally.deleted or self.wish.recreate)
            self.index.finish(changed)
            if changed:
                publish(self.index)
            self.tally.tokens, self.tally.cost = embedder.spent
        seconds = round(time.perf_counter() - started, 3)
        return Preindexed(self.tally, record, str(self.index.address), seconds, self._told)

    def _parts(self, filling: Filling) -> Iterator[Callable[[], None]]:
        if not self.wish.skip_guide:
            yield partial(self._guide, filling)
        for path in documents_named(self.settings, self.wish.docs):
            yield partial(self._docs, filling, path)
        if not self.wish.skip_runs:
            for owner, runs in self._places():
                yield partial(self._runs, filling, owner, runs)

    def _places(self) -> Iterator[tuple[str, RunSource]]:
        """Yield where runs are: the database that was named, or the configured one and those stored here."""
        place = self.wish.source_db or configured(self.settings)
        try:
            yield self.wish.owner, open_runs(place)
        except NoSuchCollection:
            if self.wish.source_db or self.settings.names_runs or not self.wish.lenient:
                raise
            logs.info("no database of runs at the usual path", path=place)
        # What `--recreate` removed has to come back from everywhere.
        if self.wish.source_db is None or self.wish.recreate:
            for owner in stored.owners(self.index.database):
                yield owner, stored.StoredRuns(self.index.database, owner)

    def _guide(self, filling: Filling) -> None:
        path = Path(self.settings.guide)
        if not path.is_file():
            self.tally.note(f"the guide {path} is not there (EVALVAULT_RAG_USER_GUIDE names another)")
            return
        self._file(filling, path, GUIDE, "guide", guide_limit(self.settings, self.wish.guide_limit))

    def _docs(self, filling: Filling, root: Path) -> None:
        for source, path in files_of(root):
            self._file(filling, path, source, "doc", 0)

    def _file(self, filling: Filling, path: Path, source: str, kind: str, limit: int) -> None:
        """Index one file, unless its mark and the recipe are those of the last time."""
        self.tally.scanned += 1
        place, cutter = str(path.resolve()), chunker(self.settings.plain)
        recipe, mark = recipe_of(filling.record, cutter, limit), mark_of(path)
        if self._stands(SHARED, place, mark, recipe) is not None:
            self.tally.unchanged += 1
            self._told[source] = "unchanged"
            kept_count = self.index.known(SHARED, [source])[source].doc_count
            if kept_count < FEWEST and kept_count != limit:
                self.tally.note(_few(path, kept_count))
            return
        try:
            chunks = chunks_of(read_text(path), kind, path.name, self.settings.plain)
        except (OSError, BadRecord) as error:
            words = error if isinstance(error, WherryError) else BadRecord(f"the file cannot be read: {error}")
            filling.fail(SHARED, source, place, words)
            return
        kept = chunks[:limit] if limit else chunks
        self._told[source] = f"{len(kept)} of {len(chunks)} indexed"
        if len(chunks) < FEWEST:
            self.tally.note(_few(path, len(chunks)))
        known = self.index.known(SHARED, [source]).get(source)
        filling.put(Wanted(SHARED, source, kept, cutter, limit, place, mark or ""), known)
        filling.flush()
        self.index.keep_place(SHARED, place, kind=kind, mark=mark, recipe=recipe, sources=1)

    def _runs(self, filling: Filling, owner: str, runs: RunSource) -> None:
        limit = self.wish.limit_runs
        with closing(runs):
            mark, recipe = runs.mark(), recipe_of(filling.record, run_cutter(self.settings), None)
            there = self._stands(owner, runs.place, mark, recipe)
            if there is not None:
                count = min(there, limit or there)
                self.tally.scanned += count
                self.tally.unchanged += count
                self._told[runs.place] = f"{count} runs, unchanged"
                return
            # Looked at before reading: a run that is saved meanwhile is none that is gone.
            stood = self.index.of_place(owner, runs.place)
            failed, found = self.tally.failed, self._read(filling, owner, runs, recipe)
            self._told[runs.place] = f"{len(found)} runs read"
            if limit is None:
                self._purge(owner, runs.place, stood, stood - found)
                mark = mark if self.tally.failed == failed else None
                self.index.keep_place(owner, runs.place, kind="runs", mark=mark, recipe=recipe, sources=len(found))

    def _stands(self, owner: str, place: str, mark: str | None, recipe: str) -> int | None:
        """Return how many sources a place has when nothing changed there nor in the index, None otherwise."""
        seen = self.index.place(owner, place)
        if mark is None or seen is None or (seen.mark, seen.recipe) != (mark, recipe):
            return None
        # Another place may have taken sources over since.
        return seen.sources if self.index.intact(owner, place) == seen.sources else None

    def _read(self, filling: Filling, owner: str, runs: RunSource, recipe: str) -> set[str]:
        """Bring every run of a place into the index; return the sources it has."""
        found = set[str]()
        for page in runs.pages(self.wish.limit_runs):
            sources = [f"run:{raw.run_id}" for raw in page]
            known = self.index.known(owner, sources)
            removed = self.index.removed(owner, sources)
            if removed:
                self.tally.note("runs that were deleted here are left out, although their database has them")
            for raw, source in zip(page, sources, strict=True):
                if source in found:
                    self.tally.note(f"{source} is given twice; the first one is indexed")
                elif source not in removed:
                    found.add(source)
                    self._run(filling, owner, runs.place, raw, recipe, known.get(source))
            filling.flush()
            logs.info("runs indexed", place=runs.place, runs=len(found), embedded=self.tally.embedded)
            if self._progress is not None:
                self._progress(runs.place, len(found))
        return found

    def _run(self, filling: Filling, owner: str, place: str, raw: Raw, recipe: str, known: Known | None) -> None:
        self.tally.scanned += 1
        if known is not None and known.whole and known.fingerprint == fingerprint_of(raw, recipe):
            self.tally.unchanged += 1
        else:
            put_run(filling, owner, place, raw, recipe, known)

    def _purge(self, owner: str, place: str, stood: set[str], gone: set[str]) -> None:
        """Remove what a place has no more; a large part of it only by `purge`, which says so itself."""
        if len(gone) > max(_GUARDED, _GUARDED_SHARE * len(stood)):
            self.tally.note(f"{len(gone)} of {len(stood)} runs are gone from {place}; wherry evals purge removes them")
        elif gone:
            self.tally.deleted += self.index.remove(owner, gone)

    def _observe(self, started: float) -> None:
        seconds = round(time.perf_counter() - started, 3)
        metrics.observe(self.tally, seconds)
        if self.tally.embedded:
            self.index.spend(self.tally.embedded, seconds)
        told = {name: getattr(self.tally, name) for name in ("new", "modified", "unchanged", "deleted", "failed")}
        logs.info("preindex ended", **told, embedded=self.tally.embedded, seconds=seconds)


def _few(path: Path, count: int) -> str:
    return f"{path} has {count} pieces only: nearly nothing to answer from"


def model_of(index: Index, wish: Wish) -> Choice:
    """Return the model: as asked for, else that of the index, else as the settings say. Raises Usage."""
    asked = wish.model is not None or wish.dim is not None or "profile" in index.settings.model_fields_set
    there = None if asked or wish.recreate else index.embedder()
    return chosen(wish.model, wish.dim, index.settings) if there is None else recorded(there, index.settings)


def record_of(index: Index, choice: Choice, embedder: RunEmbedder) -> Json:
    """Return what is kept of the embedder; its server is asked only where nothing else tells."""
    there = index.embedder()
    return there if there is not None and choice.fits(there) else embedder.record()


def put_run(filling: Filling, owner: str, place: str, raw: Raw, recipe: str, known: Known | None) -> None:
    """Compose one run and put it into the index; one that cannot be read is noted, and the others go on."""
    source, settings = f"run:{raw.run_id}", filling.index.settings
    try:
        run = run_of(raw.document())
        filling.tally.note(stored_differs(run, totals(run)))
        documents = documents_of(run, settings.document_characters)
    except BadRecord as error:
        filling.fail(owner, source, place, error)
        return
    told = (place, fingerprint_of(raw, recipe), facts_of(run, documents))
    filling.put(Wanted(owner, source, documents, run_cutter(settings), None, *told), known)


def publish(index: Index) -> None:
    """Bring the documents to the vector store that the settings name, where it is another than the table itself."""
    target = store_address(index.settings)
    if target is not None:
        wherry.sync(index.address, target, allow_mass_delete=True, accept_losses=True)


def recipe_of(record: Json, cutter: Json, limit: int | None) -> str:
    """Return what tells whether documents of an unchanged place would come out as they are indexed."""
    return canonical({"embedder": record, "chunker": cutter, "limit": limit}).decode()


def run_cutter(settings: Settings) -> Json:
    """Return how runs are composed and cut, as it is kept with them."""
    return {"kind": "run", "version": VERSION, "characters": settings.document_characters}


def guide_limit(settings: Settings, asked: int | None) -> int:
    """Return how many chunks of the guide are indexed: as asked for, else as the settings say; 0 for all."""
    return settings.guide_limit if asked is None else asked


def documents_named(settings: Settings, docs: tuple[str, ...] = ()) -> list[Path]:
    """Return the further files and folders: those asked for, and those of the settings."""
    named = [name.strip() for name in settings.docs.split(",") if name.strip()]
    return [Path(name) for name in dict.fromkeys([*docs, *named])]


def files_of(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the text files of a folder, or one file, each with its source. Raises NoSuchCollection."""
    if not root.exists():
        raise NoSuchCollection("there is no such file or folder", where=str(root), next="check --docs")
    base = root if root.is_dir() else root.parent
    paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in _TEXTS) if root.is_dir() else [root]
    for path in paths:
        yield f"doc:{path.relative_to(base).as_posix()}", path


def store_address(settings: Settings) -> str | None:
    """Return the address of the vector store that the settings name, None for the table itself."""
    name = settings.vector_store.strip()
    if name in ("", "pgvector"):
        return None
    return name if ":" in name else f"{name}:./{settings.index_dir.strip('/')}#rag_documents"


def fingerprint_of(raw: Raw, recipe: str) -> str:
    """Return what tells that a run and the way it is indexed are the same as before."""
    return raw.fingerprint + blake2b(recipe.encode(), digest_size=4).hexdigest()
