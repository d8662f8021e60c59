"""What the commands of the move do."""

from __future__ import annotations

from typing import Any

from wherry import Usage, put_result
from wherry_apps.tutor import older
from wherry_apps.tutor.acts import LISTED, table
from wherry_apps.tutor.comparing import Bars, Comparing, require_two
from wherry_apps.tutor.service import database, open_service
from wherry_apps.tutor.switches import named


def move(
    source: str, target: str, collection: str | None, embedder: str | None, graph: bool, url: str | None, json: bool
) -> int:
    """Move a collection and prove it."""
    with open_service(url, check=False) as tutor:
        found = tutor.moving.move(source, target, collection, embedder, graph)
    how = "copied" if found.copied else f"made anew by {found.embedder}"
    lines = [
        f"{found.source} -> {found.target}",
        f"{found.read} read, {found.written} written, {found.unchanged} unchanged, {len(found.failed)} failed; "
        f"vectors {how}, dimension {found.dimension}, {found.zero} zero",
        f"checked: {found.verified}, {'equal' if found.equal else 'NOT equal'}",
        *([f"overlap@10 of {found.sample} questions: {found.overlap:.3f}"] if found.overlap is not None else []),
        *(f"failed: {point}: {why}" for point, why in list(found.failed.items())[:LISTED]),
        f"{found.seconds:.1f} s",
        f"next: wherry tutor benchmark --old {named(source)} --new {named(target)}",
    ]
    put_result(found.to_dict(), lines, json)
    return found.exit_code


def switch(
    llm: str | None, store: str | None, embedder: str | None, threshold: list[str] | None, url: str | None, json: bool
) -> int:
    """Use another model, store or embedder."""
    least = None if not threshold else dict(map(_threshold, threshold))
    with open_service(url, check=False) as tutor:
        found = tutor.moving.switch(llm=llm, store=store, embedder=embedder, thresholds=least)
    return put_result(found, _settings(found), json)


def settings(url: str | None, json: bool) -> int:
    """Show what is in use."""
    with open_service(url, check=False) as tutor:
        now = tutor.resources.switches()
        kinds = ("question", "document", "drafting")
        found = {
            **now.stored(), "thresholds": {kind: now.threshold(kind) for kind in kinds},
            "overruled": list(now.overruled),
        }  # fmt: skip
    return put_result(found, _settings(found), json)


def compare_llm(old: str, new: str, bars: dict[str, Any], wishes: dict[str, Any], url: str | None, json: bool) -> int:
    """Compare two chat models; exit code 1 when the new one misses a bar."""
    require_two(old, new)
    with open_service(url, check=False) as tutor:
        found = Comparing(tutor.resources, tutor.moving).llm(old, new, bars=Bars(**bars), **wishes)
    names = ("answered", "median_s", "p95_s", "parseable", "agreement", "errors", "cost_usd", "cost_usd_per_month")
    rows = [(name, *(_said(found[side][name]) for side in ("old", "new"))) for name in names]
    given = found["given"]
    rows.append(("won a month, as given", _said(given["old_won_per_month"]), _said(given["new_won_per_month"])))
    verdict = "passed" if found["passed"] else f"not passed: {'; '.join(found['missed'])}"
    lines = [
        f"{found['questions']} questions to {old} and {new}: {verdict}",
        table(("", old, new), rows),
        f"next: wherry tutor retire {old}" if found["passed"] else f"next: keep {old}",
    ]
    put_result(found, lines, json)
    return 0 if found["passed"] else 1


def benchmark(old: str, new: str, k: int, min_recall: float, url: str | None, json: bool) -> int:
    """Compare two stores; exit code 1 when the new one misses the bar."""
    require_two(old, new)
    with open_service(url, check=False) as tutor:
        found = Comparing(tutor.resources, tutor.moving).stores(old, new, k=k, min_recall=min_recall)
    rows = []
    for side, letter in (("old", "a"), ("new", "b")):
        times = found["measured"][letter]["search_ms"]
        recall = found[side]["recall"]
        rows.append(
            (found[side]["store"], found[side]["records"], _mean(recall), _mean(times["p50"]), _mean(times["p95"]))
        )
    lines = [
        f"{found['questions']} questions, {'passed' if found['passed'] else 'not passed'}",
        table(("store", "records", f"recall@{k}", "p50 ms", "p95 ms"), rows),
    ]
    put_result(found, lines, json)
    return 0 if found["passed"] else 1


def create(name: str, stage: str, url: str | None, json: bool) -> int:
    """Write a checkpoint."""
    with open_service(url, check=False) as tutor:
        found = tutor.moving.checkpoint(name, stage)
    lines = [f"checkpoint {name}: {found['points']} points of {found['store']}, tables at {found['revision']}"]
    return put_result(found, [*lines, f"next: wherry tutor rollback {name} returns to it"], json)


def list_checkpoints(url: str | None, json: bool) -> int:
    """List the checkpoints."""
    with open_service(url, check=False) as tutor:
        found = tutor.moving.checkpoints()
    rows = [(c["name"], c["stage"], c["points"], c["revision"], c["created_at"]) for c in found]
    return put_result({"checkpoints": found}, [table(("name", "stage", "points", "tables", "made"), rows)], json)


def rollback(name: str, url: str | None, json: bool) -> int:
    """Return to a checkpoint."""
    with open_service(url, check=False) as tutor:
        found = tutor.moving.rollback(name)
    lines = [
        f"back at {name}: {found['points']} points, {found['verified']}, tables at {found['revision']}",
        *_settings(found["settings"] | {"overruled": found["overruled"]}),
    ]
    return put_result(found, lines, json)


def retire(old: str, url: str | None, json: bool) -> int:
    """End the use of a model or a store."""
    with open_service(url, check=False) as tutor:
        found = tutor.moving.retire(old)
    return put_result(
        found, [f"{old} is retired; {found['in_use']} is in use (comparison {found['comparison']})"], json
    )


def migrate(table_name: str | None, url: str | None, json: bool) -> int:
    """Bring an older table to today's; exit code 5 where rows could not be mapped."""
    db = database(url)
    try:
        found = older.migrate(db, table_name)
    finally:
        db.close()
    if found is None:
        return put_result({"table": None}, ["nothing to do: there is no table of an earlier version"], json)
    lines = [
        f"{found.table}: {found.total} rows = {found.questions} questions + {found.documents} documents + "
        f"{len(found.unmappable)} that cannot be mapped; {found.moved} brought now",
        *(f"row {one['id']}: {one['reason']}" for one in found.unmappable[:LISTED]),
        "next: wherry tutor index",
    ]
    put_result(found.to_dict(), lines, json)
    return found.exit_code


def _threshold(pair: str) -> tuple[str, float]:
    kind, _, value = pair.partition("=")
    try:
        return kind, float(value)
    except ValueError:
        raise Usage(f"{pair!r} is no threshold", next="write KIND=VALUE, such as question=0.5") from None


def _settings(found: dict[str, Any]) -> list[Any]:
    names = ("llm", "store", "embedder", "collection", "thresholds", "retired")
    note = [f"the environment overrules: {', '.join(found['overruled'])}"] if found.get("overruled") else []
    return [table(("setting", "value"), [(name, found[name]) for name in names]), *note]


def _mean(interval: Any) -> str:
    return "not measured" if interval is None else f"{interval['mean']:.3f}"


def _said(value: Any) -> str:
    return "not known" if value is None else str(value)
