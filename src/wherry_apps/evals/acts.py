"""What the commands do: call the service, print what it returned."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from wherry import put_result, tell
from wherry_apps.evals import logs
from wherry_apps.evals.index import bring_up
from wherry_apps.evals.preindexing import Preindexed, Wish
from wherry_apps.evals.runs import Json
from wherry_apps.evals.service import Evals

if TYPE_CHECKING:
    from rich.table import Table

_LISTED = 10


def preindex(wish: Wish, url: str | None, json: bool) -> int:
    """Index, and print what was done."""
    wish.require()
    with _opened(url) as service:
        done = service.preindex(wish, _progress)
    put_result(done.to_dict(), _done_lines(done), json)
    return done.exit_code


def status(source_db: str | None, url: str | None, json: bool) -> int:
    """Print the state of the index."""
    with _opened(url) as service:
        found = plain(service.status(None, source_db))
    totals = found["totals"]
    table = _table("source", "state", "documents", "age", "error")
    for one in found["sources"]:
        age = "" if one["age_s"] is None else _age(one["age_s"])
        table.add_row(one["source"], one["state"], str(one["documents"]), age, one["error"] or "")
    embedder = totals["embedder"]
    model = f"{embedder['provider']}:{embedder['model']}, {embedder['dim']} components" if embedder else "no embedder"
    head = (
        f"{totals['sources']} sources, {totals['documents']} documents: {totals['ready']} ready,"
        f" {totals['stale']} stale, {totals['failed']} failed, {totals['indexing']} indexing,"
        f" {totals['missing']} missing; {model}"
    )
    return put_result(found, [head, *([table] if found["sources"] else []), *found["notes"]], json)


def search(
    query: str, owner: str | None, run_id: str | None, k: int, filters: Json, url: str | None, json: bool
) -> int:
    """Search, and print the hits."""
    with _opened(url) as service:
        found = service.search(query, owner, run_id, k, filters)
    lines = [f"{len(found.hits)} documents, {found.mode}"]
    for at, hit in enumerate(found.hits, 1):
        similarity = "" if hit["similarity"] is None else f"  similarity {hit['similarity']:.4f}"
        lines.append(f"{at}. {hit['source']}#{hit['doc_id']}  score {hit['score']:.5f}{similarity}")
        lines += [f"   {line}" for line in hit["content"].splitlines()[:3]]
    return put_result(found.to_dict(), [*lines, *found.notes], json)


def ask(
    question: str, run_id: str | None, category: str | None, chat: str | None, owner: str | None, url: str | None,
    json: bool,
) -> int:  # fmt: skip
    """Answer, and print the answer with where it stands."""
    from wherry_apps.evals.asking import Asked

    with _opened(url) as service:
        reply = service.ask(Asked(question, run_id, category, chat), owner)
    cited = dict.fromkeys(f"{one['source']}#{one['doc_id']}" for one in reply.citations)
    lines = [reply.text, *(["", "근거: " + ", ".join(cited)] if cited else []), *reply.notes]
    return put_result(reply.to_dict(), lines, json)


def runs(owner: str | None, limit: int, url: str | None, json: bool) -> int:
    """List runs."""
    with _opened(url) as service:
        found = plain(service.runs(owner, limit))
    table = _table("run", "dataset", "model", "started", "passed", "failed metrics")
    for one in found["runs"]:
        passed = f"{one['passed_test_cases']}/{one['total_test_cases'] - one['unevaluated']}"
        told = (one["run_id"], one["dataset_name"], one["model_name"], one["started_at"], passed)
        table.add_row(*(str(value or "-") for value in told), ", ".join(one["failed_metrics"]))
    more = ["... and more: raise --limit"] if found["next"] else []
    return put_result(found, [table, *more] if found["runs"] else ["no runs are indexed"], json)


def delete(run_id: str, owner: str | None, url: str | None, json: bool) -> int:
    """Remove a run."""
    with _opened(url) as service:
        done = service.delete(run_id, owner)
    return put_result(done, [f"run:{run_id} and its {done['documents']} documents are removed"], json)


def purge(source_db: str | None, url: str | None, json: bool) -> int:
    """Remove what is gone."""
    with _opened(url) as service:
        done = service.purge(None, source_db)
    return put_result(done, [f"{done['deleted']} sources removed", *done["sources"][:_LISTED], *done["notes"]], json)


def migrate(url: str | None, json: bool) -> int:
    """Bring the tables to this version."""
    logs.begin()
    service = Evals(url=url)
    try:
        before = service.database.revision()
        service.database.upgrade()
        after, totals = service.database.revision(), service.status()["totals"]
    finally:
        service.close()
    found = plain({"before": before, "after": after, "totals": totals})
    words = "the tables were up to date" if before == after else f"the tables are at revision {after}"
    return put_result(found, [f"{words}: {totals['documents']} documents, {totals['stale']} sources stale"], json)


def plain(value: Any) -> Any:
    """Return a value with times as text."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value.isoformat() if isinstance(value, datetime) else value


@contextmanager
def _opened(url: str | None) -> Iterator[Evals]:
    logs.begin()
    service = Evals(url=url)
    try:
        bring_up(service.database)
        yield service
    finally:
        service.close()


def _done_lines(done: Preindexed) -> list[str]:
    tally = done.tally
    lines = [
        f"{tally.scanned} sources: {tally.new + tally.modified} indexed, {tally.unchanged} skipped,"
        f" {tally.failed} failed, {tally.deleted} deleted; {tally.embedded} texts embedded, {tally.reused} reused,"
        f" {done.seconds:.1f} s"
    ]
    lines += [f"{source}: {words}" for source, words in done.sources.items()]
    lines += [f"failed: {one['source']}: {one['message']}" for one in tally.failures[:_LISTED]]
    if len(tally.failures) > _LISTED:
        lines.append(f"... and {len(tally.failures) - _LISTED} more: wherry evals status")
    return [*lines, *tally.notes[:_LISTED]]


def _progress(place: str, runs: int) -> None:
    if runs % 1000 == 0:
        tell(f"{runs:,} runs of {place}")


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column)
    return table


def _age(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
