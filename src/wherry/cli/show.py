"""Results as a person reads them: the verdict first, then what supports it, then what to run next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from wherry.cli.words import command, duration, rate, records, safe, size

if TYPE_CHECKING:
    from rich.console import RenderableType

    from wherry.doctor import Health
    from wherry.moving.results import Difference, Loss, Plan, SyncResult, Verification
    from wherry.record import Reject

_FIRST = 20
_FRAMEWORKS = {"llamaindex", "langchain"}
# Columns whose words stay on one line; what is long (addresses, details) folds instead.
_WHOLE = ("kind", "severity", "records", "reason", "engine", "usable")
_REACHED = {
    "deep": "deep: every record of the target was read back and compared value by value",
    "digests": "digests: what this run wrote was read back and compared value by value; the rest equals the "
    "digests recorded when earlier runs wrote it",
    "ids": "ids: the target lists the right ids; no value was read back",
    "counted": "counted: the target says it holds the right number; nothing was read back",
}
_COMPARED = {
    "deep": "deep: both sides were read and compared value by value",
    "digests": "digests: the source was compared with what was recorded when the target was written; the "
    "target's values were not read",
    "ids": "ids: the ids of both sides were compared; no value was read",
    "counted": "counted: the numbers of records were compared; nothing was read",
}


def plan(result: Plan, more: Sequence[str] = ()) -> list[RenderableType]:
    """Show a plan; the last line is the command to run next. more: what else a sync is to be given."""
    lossy = any(loss.severity == "lossy" for loss in result.losses)
    free = "unknown" if result.disk_free is None else size(result.disk_free)
    about = [
        ("source", safe(result.source)),
        ("target", safe(result.target) + (" (will be created)" if result.creates else "")),
        *([("layout", " -> ".join(result.layouts))] if not _FRAMEWORKS.isdisjoint(result.layouts) else []),
        ("records", f"{result.rows:,}, about {size(result.bytes)}"),
        ("to do", _to_do(result)),
        ("disk", f"about {size(result.disk_needed)} needed, {free} free"),
        ("time", _about(result.seconds)),
        *([("ranges", f"{len(result.parts)}, of about {result.parts[0].rows:,} records")] if result.parts else []),
    ]
    title = "Nothing to do: the target is equal." if result.empty else "What sync would do; nothing was written."
    parts: list[RenderableType] = [Text(title, style="bold"), pairs(about)]
    parts += losses(result.losses) + _notes(result.notes)
    parts += quarantine(result.quarantine, result.quarantined or 0, "wherry plan --json lists them")
    if lossy:
        parts.append("Run this only if you can do without what is lost:")
    act = "verify" if result.empty else "sync"
    flags = [] if result.empty else [*more, *(["--accept-losses"] if lossy else [])]
    parts.append("next: " + command("wherry", act, result.source, result.target, *flags))
    return parts


def sync(result: SyncResult) -> list[RenderableType]:
    """Show what a sync did."""
    counts = [
        ("read", f"{result.read:,}"),
        ("written", f"{result.written:,} ({result.created:,} new, {result.changed:,} changed)"),
        ("unchanged", f"{result.unchanged:,}"),
        ("deleted", f"{result.deleted:,}"),
        ("quarantined", f"{result.quarantined:,}"),
        ("checked", _REACHED[result.verified] if result.equal else f"{result.verified}, not equal"),
        ("run", result.run),
        ("time", ", ".join(filter(None, (duration(result.seconds), rate(result.read, result.seconds))))),
    ]
    parts: list[RenderableType] = [_verdict(sync_verdict(result), result.exit_code), pairs(counts)]
    parts += losses(result.losses) + _notes(result.notes)
    parts += quarantine(result.quarantine, result.quarantined, f"wherry runs show {result.run}")
    if result.quarantined:
        again = command("wherry", "sync", result.source, result.target)
        parts.append(f"next: mend these records at the source, then {again}")
    elif not result.equal:
        parts.append("next: " + command("wherry", "verify", result.source, result.target))
    return parts


def sync_verdict(result: SyncResult) -> str:
    """Return the outcome of a sync in one sentence."""
    said = []
    if result.written:
        checked = ", read back and equal" if result.verified in ("deep", "digests") else ", not read back"
        said.append(f"{result.written:,} written{checked}")
    if result.unchanged:
        # Under deep everything unchanged was read as well, and only then may it be said.
        looked = " (read again, equal)" if result.verified == "deep" else ""
        said.append(f"{result.unchanged:,} unchanged{looked}")
    if result.deleted:
        said.append(f"{result.deleted:,} deleted at the target")
    if result.quarantined:
        said.append(f"{result.quarantined:,} could not cross and are in quarantine")
    if result.equal and not (result.written or result.deleted):
        proof = "every record was read again" if result.verified == "deep" else f"by {result.verified}"
        said = [f"nothing to do, the target is equal ({proof})"]
    sentence = f"{records(result.read)}: {'; '.join(said) or 'nothing to do'}."
    if not result.equal and not result.quarantined:
        sentence += " The target does not hold what it should, all the same."
    return sentence


def verification(result: Verification) -> list[RenderableType]:
    """Show what a comparison found."""
    counts = [
        ("A", f"{safe(result.source)}, {records(result.source_count)}"),
        ("B", f"{safe(result.target)}, {records(result.target_count)}"),
        ("level", _COMPARED[result.level]),
        ("tolerance", safe(result.tolerance)),
        ("time", ", ".join(filter(None, (duration(result.seconds), rate(result.compared, result.seconds))))),
    ]
    parts: list[RenderableType] = [_verdict(verify_verdict(result), result.exit_code), pairs(counts)]
    parts += _differences(result)
    parts += losses(result.losses) + _notes(result.notes)
    if not result.equal:
        parts.append("next: " + command("wherry", "sync", result.source, result.target))
    return parts


def verify_verdict(result: Verification) -> str:
    """Return the outcome of a comparison in one sentence."""
    if result.equal:
        word = "verified, nothing differs" if result.verdict == "verified" else result.verdict
        return f"{records(result.source_count)}: {word}."
    found = [
        f"{number:,} {words}"
        for number, words in (
            (result.different, "different"),
            (result.missing, "missing in B"),
            (result.extra, "only in B"),
            (result.unreadable, "unreadable"),
        )
        if number
    ]
    return f"{records(result.source_count)} in A, {result.target_count:,} in B: {', '.join(found)}."


def health(found: Health) -> list[RenderableType]:
    """Show what `doctor` found."""
    engines = table(
        ("engine", "usable", "detail"),
        [(p.engine, "yes" if p.usable else "no", p.detail) for p in found.engines],
    )
    title = "Ready." if found.usable else "Something has to be put right."
    parts: list[RenderableType] = [_verdict(title, found.exit_code), engines, pairs(_machine(found))]
    parts += [Text(f"problem: {safe(words)}", style="red") for words in found.problems]
    parts += [Text(f"warning: {safe(words)}", style="yellow") for words in found.warnings]
    return parts


def _machine(found: Health) -> list[tuple[str, str]]:
    memory = f"{size(found.memory_total)}, {size(found.memory_available)} available"
    disk = f"{size(found.disk_total)}, {size(found.disk_free)} free"
    return [
        ("wherry", found.wherry),
        ("python", found.python),
        ("memory", memory),
        ("state folder", f"{safe(found.state_folder)}, {found.journals} journals"),
        ("its disk", disk),
        ("WHERRY_DATABASE_URL", safe(found.database_url or "not set: the built-in PostgreSQL is used")),
    ]


def losses(found: Sequence[Loss]) -> list[RenderableType]:
    """Show losses, the gravest first."""
    if not found:
        return []
    order = {"lossy": 0, "rounding": 1, "kept": 2}
    rows = []
    for loss in sorted(found, key=lambda one: order.get(one.severity, 0)):
        number = "may be any" if loss.records is None else f"{loss.records:,}"
        examples = f" (such as {', '.join(loss.examples[:3])})" if loss.examples else ""
        rows.append((loss.severity, number, loss.words + examples))
    return ["losses:", table(("severity", "records", "what"), rows)]


def quarantine(first: Sequence[Reject], total: int, rest: str) -> list[RenderableType]:
    """Show the first records that could not cross; `rest` says where the others are."""
    if not total:
        return []
    rows = [(r.id, r.reason, r.detail) for r in first[:_FIRST]]
    parts: list[RenderableType] = ["quarantine:", table(("id", "reason", "detail"), rows)]
    if total > len(rows):
        parts.append(f"… and {total - len(rows):,} more: {rest}")
    return parts


def _differences(result: Verification) -> list[RenderableType]:
    found: Sequence[Difference] = result.differences
    if not found:
        return []
    rows = [(d.id, d.kind, d.field, d.detail) for d in found[:_FIRST]]
    parts: list[RenderableType] = ["differences:", table(("id", "kind", "field", "detail"), rows)]
    # A record can differ in several fields, so the records counted are not the lines listed.
    if len(found) > _FIRST:
        parts.append(f"… and more: the first {len(found):,} are in the output of --json")
    return parts


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Return a table whose cells fold and never lose a character."""
    shown = Table(box=None, padding=(0, 0, 0, 2), header_style="bold")
    for name in head:
        shown.add_column(name, overflow="fold", no_wrap=name in _WHOLE)
    for row in rows:
        shown.add_row(*(Text(safe(cell)) for cell in row))
    return shown


def pairs(rows: Iterable[tuple[str, str]]) -> Table:
    """Return lines of a name and a value."""
    shown = Table(box=None, padding=(0, 0, 0, 2), show_header=False)
    shown.add_column(style="dim", no_wrap=True)
    shown.add_column(overflow="fold")
    for name, value in rows:
        shown.add_row(name, Text(value))
    return shown


def _to_do(result: Plan) -> str:
    counts = (
        ("new", result.new),
        ("changed", result.changed),
        ("unchanged", result.unchanged),
        ("deleted", result.deleted),
        ("quarantined", result.quarantined),
    )
    return ", ".join(f"{'?' if number is None else format(number, ',')} {name}" for name, number in counts)


def _about(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    return "under a second" if seconds < 1 else f"about {duration(seconds)}"


def _notes(notes: Sequence[str]) -> list[RenderableType]:
    return [f"note: {safe(note)}" for note in notes]


def _verdict(sentence: str, code: int) -> Text:
    return Text(sentence, style="bold green" if code == 0 else "bold yellow" if code == 5 else "bold red")
