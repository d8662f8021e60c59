"""What the commands of an operator do: tables, older databases, vectors that are missing, the index."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from sqlalchemy import text

import wherry
from wherry_apps.body import upgrading
from wherry_apps.body.service import Body, database
from wherry_apps.body.settings import BULK_PATIENCE_S, Settings
from wherry_apps.body.tables import COLUMNS


def init(url: str | None, json: bool) -> int:
    """Make the tables."""
    with Body(url) as body:
        earlier = upgrading.foreign_tables(body.db)
        if earlier:
            raise wherry.Refused(
                f"there are tables of an earlier program ({', '.join(earlier)})",
                where=body.db.server.shown,
                left="nothing was changed",
                next="run: wherry body migrate --dry-run, then wherry body migrate",
            )
        body.db.upgrade()
        first = body.people.first()
        found = body.check()
    lines = [f"tables: {', '.join(found['tables'])}"]
    lines += [f"person {first['id']} ({first['username']})"] if first else []
    return wherry.put_result(found | {"person": first}, lines, json)


def check(url: str | None, json: bool) -> int:
    """Print connection, extension and indexes; exit 3 where something is missing."""
    with Body(url) as body:
        found = body.check() | {"drift": body.db.drift()}
    missing = [*found["missing_tables"], *found["missing_indexes"]]
    lines = [
        f"connection: {found['database']} (PostgreSQL {found['postgresql']}, schema {found['schema']})",
        f"extension vector: {found['pgvector'] or 'missing'}",
        f"revision: {found['revision'] or 'none'}",
        *(f"index: {name}" for name in found["indexes"]),
        *(f"missing: {name}" for name in missing),
        *(f"other than the models: {difference}" for difference in found["drift"]),
    ]
    wherry.put_result(found, lines, json)
    return wherry.Refused.exit_code if missing or found["drift"] or found["pgvector"] is None else 0


def user_add(username: str, email: str, owner: str, url: str | None, json: bool) -> int:
    """Make a person."""
    with Body(url) as body:
        made = body.require_tables().people.add(owner, username, email)
    return wherry.put_result(made, [f"person {made['id']} ({made['username']})"], json)


def user_list(url: str | None, json: bool) -> int:
    """List the persons."""
    with Body(url) as body:
        found = body.require_tables().people.all(None, limit=1_000)
    lines = [f"{one['id']}  {one['username']}  {one['email']}" for one in found]
    return wherry.put_result({"users": found}, lines or ["nobody yet"], json)


def migrate(url: str | None, dry_run: bool, rename_duplicates: bool, json: bool) -> int:
    """Bring a database up in place."""
    db = database(url)
    try:
        done = upgrading.migrate(db, dry_run=dry_run, rename_duplicates=rename_duplicates)
    finally:
        db.close()
    would = "would change" if dry_run else "changed"
    lines = [
        *(f"{would}: {change}" for change in done.changes),
        *(f"{table}: {before} rows before, {after} after" for table, (before, after) in done.counts.items()),
        *(f"unreadable vector of report {one.report} ({one.column} {one.why}): left null" for one in done.unread),
    ]
    return wherry.put_result(done.to_dict() | {"dry_run": dry_run}, lines or ["nothing to do"], json)


def embed(embedders: tuple[str, ...], every: float | None, batch: int, again: bool, url: str | None, json: bool) -> int:
    """Fill missing vectors, once or again and again."""
    if batch < 1 or (every is not None and not every > 0):
        raise wherry.Usage("--batch is at least 1 and --every above 0", where="embed")
    settings = Settings.from_environment()
    patient = replace(settings, patience_s=max(settings.patience_s, BULK_PATIENCE_S))
    with Body(url, patient) as body:
        body.require_tables()
        while True:
            done = body.embedding.fill(
                embedders or None, batch, lambda count: wherry.tell(f"{count} vectors stored"), again
            )
            lines = [f"{spec}: {count} vectors stored" for spec, count in done.stored.items()]
            lines += [f"report {one['report_id']}: {one['why']}" for one in done.failures]
            wherry.put_result(done.to_dict(), lines, json)
            if every is None:
                return done.exit_code
            _wait(every)


def _wait(seconds: float) -> None:
    """Wait; ends early by Ctrl-C or SIGTERM, which `wherry` turns into exit 130."""
    threading.Event().wait(seconds)


def bench(
    column: str, recall: float, k: int, rows: int, questions: int, apply: bool, url: str | None, json: bool
) -> int:
    """Measure the vector index on a sample; with `apply` build what was chosen."""
    if column not in COLUMNS.values():
        raise wherry.Usage(
            f"there is no column {column!r}", where="--column", next=f"use {', '.join(COLUMNS.values())}"
        )
    with Body(url) as body:
        address = body.require_tables().vectors.address(column)
        found = wherry.tune(address, recall, k, rows=rows, questions=questions, apply=apply)
        if found.applied:
            _named_again(body, column)
    lines = [f"{found.rows} of {found.of} reports, exact search {found.exact_ms:.2f} ms"]
    lines += [_tried(one) for one in found.tried]
    if found.chosen is None:
        lines.append(f"nothing reaches a recall of {recall:g}")
    else:
        lines.append(f"chosen: {_tried(found.chosen)}")
    wherry.put_result(found.to_dict(), lines, json)
    return found.exit_code


def _tried(one: Any) -> str:
    return (
        f"m={one.m} ef_construction={one.ef_construction} ef_search={one.ef_search} ({one.form}): "
        f"recall {one.recall:.3f}, {one.ms:.2f} ms, p95 {one.p95_ms:.2f} ms"
    )


def _named_again(body: Body, column: str) -> None:
    """Give the index that was built the name the tables know it by, so that autogenerate finds no difference."""
    asked = (
        "SELECT ic.relname FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid "
        "JOIN pg_am am ON am.oid = ic.relam "
        "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = :column "
        "JOIN pg_depend d ON d.objid = i.indexrelid AND d.refobjid = i.indrelid AND d.refobjsubid = a.attnum "
        "WHERE i.indrelid = 'analysis_reports'::regclass AND am.amname = 'hnsw'"
    )
    wanted = f"idx_analysis_reports_{column}_hnsw"
    with body.db.begin() as connection:
        names = [row[0] for row in connection.execute(text(asked), {"column": column})]
        if names and wanted not in names:
            connection.execute(text(f'ALTER INDEX "{names[0]}" RENAME TO {wanted}'))
