"""The acts of an index and how they are shown; every function returns the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from wherry import out
from wherry.cli.bars import listening
from wherry.cli.show import pairs
from wherry.cli.words import command, duration, safe
from wherry.errors import Usage
from wherry.indexing import checking, generations, planning
from wherry.indexing import status as standing
from wherry.indexing.act import index
from wherry.indexing.again import refresh
from wherry.indexing.config import find_file, is_named, named_index
from wherry.indexing.opening import named_source
from wherry.indexing.watching import Worker

if TYPE_CHECKING:
    from rich.console import RenderableType

    from wherry.indexing.checking import Finding
    from wherry.indexing.opening import Documents
    from wherry.indexing.results import Failure, IndexResult, Rebuild
    from wherry.indexing.watching import WorkerState

_FIRST = 20
_LOOK_S = 1.0
_COUNTS = ("new", "modified", "metadata_only", "renamed", "deleted", "unchanged", "failed")


def make(paths: Sequence[str], into: str | None, wants: dict[str, Any], allow_mass_delete: bool, json: bool) -> int:
    """Index files and folders."""
    documents, target, wants = _meant(paths, into, wants)
    with listening(json, target) as progress:
        result = index(documents, target, **wants, allow_mass_delete=allow_mass_delete, progress=progress)
    return _told(result, json)


def plan(paths: Sequence[str], into: str | None, wants: dict[str, Any], json: bool) -> int:
    """Work out what a run would do and cost."""
    documents, target, wants = _meant(paths, into, wants)
    with listening(json, target):
        result = planning.plan(documents, target, **wants)
    if json:
        out.put_json(result.to_dict())
        return 0
    about = [
        ("into", safe(result.into)),
        ("model", safe(result.embedder)),
        ("documents", f"{result.new:,} new, {result.changed:,} changed, {result.deleted:,} deleted, "
         f"{result.unchanged:,} unchanged, {result.failed:,} that cannot be read"),
        ("chunks", f"{result.chunks:,}, of which {result.to_embed:,} have to be embedded"),
        ("tokens", f"about {result.tokens:,}"),
        ("cost", _money(result.cost)),
        ("time", "unknown" if result.minutes is None else f"about {duration(result.minutes * 60)}"),
    ]  # fmt: skip
    out.put_all([Text("What a run would do; nothing was spent.", style="bold"), pairs(about), *_notes(result.notes)])
    return 0


def status(into: str, json: bool) -> int:
    """Print how an index stands."""
    into = _address(into)
    with listening(json, into):
        result = standing.status(into)
    if json:
        out.put_json(result.to_dict())
        return result.exit_code
    last, running = result.last_run, result.running
    about = [
        ("index", safe(result.into)),
        ("model", f"{safe(result.embedder)}, {result.dimension} components, generation {result.generation}"),
        ("documents", f"{result.documents:,} in {result.chunks:,} chunks, {result.coverage:.1%} as last seen"),
        ("waiting", f"{result.backlog:,}" + _since(result.oldest_pending_s)),
        ("rows", "the collection is gone" if result.rows is None else f"{result.rows:,}, index: {result.index}"),
        ("at work", f"{running['act']} on {running['host']} since {running['since']}" if running else "nobody"),
        ("last run", f"{last['act']} {last['run']}: {last['state']}" if last else "none"),
    ]
    parts: list[RenderableType] = [pairs(about)]
    parts += [safe(f"  source {s.name}: {s.documents:,} documents, {s.failed:,} failed") for s in result.sources]
    parts += [
        safe(f"  generation {number}: {state}, {embedder}" + (f", {share:.1%} built" if state == "building" else ""))
        for number, state, embedder, share in result.generations
    ]
    out.put_all([*parts, *_failures(result.failures)])
    return result.exit_code


def verify(into: str, deep: bool, json: bool) -> int:
    """Compare an index with its manifest."""
    into = _address(into)
    with listening(json, into):
        result = checking.verify(into, deep=deep)
    if json:
        out.put_json(result.to_dict())
        return result.exit_code
    verdict = "sound" if result.sound else "different"
    parts: list[RenderableType] = [
        Text(
            f"{verdict}: {result.documents:,} documents, {result.chunks:,} chunks, {result.rows:,} rows", style="bold"
        ),
        f"compared: {'every text, metadata and vector' if deep else 'every id, and the vectors of a sample'}",
        *_findings(result.findings),
    ]
    if result.strangers:
        parts.append(f"{result.strangers:,} rows belong to no document of this index")
    if not result.sound:
        parts.append("next: " + command("wherry", "index", "repair", into))
    out.put_all(parts)
    return result.exit_code


def repair(into: str, deep: bool, json: bool) -> int:
    """Mark what is wrong and index its sources again."""
    into = _address(into)
    with listening(json, into) as progress:
        marked = checking.repair(into, deep=deep)
        result = refresh(into, progress=progress)
    if json:
        out.put_json({**result.to_dict(), "repaired": marked.to_dict()})
        return result.exit_code
    what = f"{marked.marked:,} documents had to be mended" + (", the table was made again" if marked.remade else "")
    out.put_all([Text(what, style="bold"), *_findings(marked.findings)])
    return _told(result, json)


def retry(into: str, embedder: str | None, json: bool) -> int:
    """Try documents again that failed."""
    into = _address(into)
    with listening(json, into) as progress:
        result = refresh(into, embedder=embedder, retry=True, progress=progress)
    return _told(result, json)


def rebuild(into: str, embedder: str, json: bool) -> int:
    """Build another generation and switch to it."""
    into = _address(into)
    with listening(json, into) as progress:
        result = generations.rebuild(into, embedder, progress=progress)
    return _switched(result, json)


def rollback(into: str, json: bool) -> int:
    """Switch back."""
    into = _address(into)
    with listening(json, into):
        result = generations.rollback(into)
    return _switched(result, json)


def prune(into: str, json: bool) -> int:
    """Drop the generations that serve nobody."""
    into = _address(into)
    with listening(json, into):
        dropped = generations.prune(into)
    if json:
        out.put_json({"into": into, "dropped": dropped})
    else:
        out.put(f"{dropped} generations dropped")
    return 0


def watch(paths: Sequence[str], into: str | None, wants: dict[str, Any], every_s: float, json: bool) -> int:
    """Index whenever the files change, until someone ends it."""
    documents, target, wants = _meant(paths, into, wants)
    with Worker(documents, target, **wants, every_s=every_s, told=_Told(json)) as worker:
        while worker.state.state != "stopped":
            worker.finished(_LOOK_S)
    return 0


class _Told:
    """Prints what a worker did, and what is wrong, once each."""

    def __init__(self, json: bool) -> None:
        self._json = json
        self._last: WorkerState | None = None

    def __call__(self, state: WorkerState) -> None:
        before, self._last = self._last, state
        if state.error and (before is None or before.error != state.error):
            out.tell(f"{state.state}: {safe(state.error)}")
        if state.last is not None and (before is None or before.last is not state.last):
            if self._json:
                out.put_json(state.last.to_dict())
            else:
                _told(state.last, False)


def _meant(paths: Sequence[str], into: str | None, wants: dict[str, Any]) -> tuple[Documents, str, dict[str, Any]]:
    """Return documents, address and wishes: as given, or as wherry.toml has them under the name that was given."""
    if into is not None:
        return list(paths), into, wants
    if len(paths) == 1 and is_named(paths[0]):
        entry = named_index(paths[0])
        said = {key: wants[key] or getattr(entry, key) for key in ("embedder", "chunker")}
        return named_source(entry.name, str(find_file())), entry.into, said
    raise Usage(
        "it is not said what to index into",
        next="add --into ADDRESS, for example pgvector:#docs, or name an index of wherry.toml",
    )


def _address(into: str) -> str:
    """Return the address of an index that wherry.toml names, else what was given."""
    return named_index(into).into if ":" not in into and is_named(into) else into


def _told(result: IndexResult, json: bool) -> int:
    if json:
        out.put_json(result.to_dict())
        return result.exit_code
    if not result.run:
        title = f"Nothing to do: {result.scanned:,} documents are as they were."
    else:
        title = f"{result.scanned:,} documents, {result.changed:,} changed, in {duration(result.seconds)}."
    about = [
        ("into", safe(result.into)),
        ("model", f"{safe(result.embedder)}, generation {result.generation}"),
        ("documents", ", ".join(f"{getattr(result, name):,} {name.replace('_', ' ')}" for name in _COUNTS)),
        ("chunks", f"{result.chunks_embedded:,} embedded, {result.chunks_reused:,} reused"),
        ("cost", f"{_money(result.cost)}, {result.tokens:,} tokens"),
    ]
    parts: list[RenderableType] = [Text(title, style="bold"), pairs(about), *_notes(result.notes)]
    parts += _failures(result.failures)
    if result.failures:
        parts.append("next: " + command("wherry", "index", "retry", result.into) + " when they are mended")
    out.put_all(parts)
    return result.exit_code


def _switched(result: Rebuild, json: bool) -> int:
    if json:
        out.put_json(result.to_dict())
        return 0
    about = [
        ("index", safe(result.into)),
        ("serving", f"generation {result.serving} ({safe(result.embedder)}), before {result.before}"),
        ("documents", f"{result.documents:,} in {result.chunks:,} chunks"),
        ("chunks", f"{result.chunks_embedded:,} embedded, {result.chunks_reused:,} reused"),
        ("cost", f"{_money(result.cost)}, {result.tokens:,} tokens"),
    ]
    out.put_all([pairs(about), *_notes(result.notes)])
    return 0


def _money(cost: float | None) -> str:
    return "price unknown" if cost is None else f"${cost:,.4f}"


def _since(seconds: float | None) -> str:
    return "" if seconds is None else f", the oldest for {duration(seconds)}"


def _notes(notes: Sequence[str]) -> list[RenderableType]:
    return [safe(f"note: {note}") for note in notes]


def _failures(failures: Sequence[Failure]) -> list[RenderableType]:
    shown: list[RenderableType] = [
        safe(f"failed: {f.document} ({f.error}): {f.message}, tried {f.attempts}x") for f in failures[:_FIRST]
    ]
    return shown + ([f"and {len(failures) - _FIRST:,} more"] if len(failures) > _FIRST else [])


def _findings(findings: Sequence[Finding]) -> list[RenderableType]:
    shown: list[RenderableType] = [safe(f"{f.kind}: {f.document}, {f.chunks} chunks") for f in findings[:_FIRST]]
    return shown + ([f"and {len(findings) - _FIRST:,} more"] if len(findings) > _FIRST else [])
