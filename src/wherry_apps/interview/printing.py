"""Results of commands as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from wherry_apps.interview.service.bulk import Bulk
from wherry_apps.interview.service.jobs import NEXT, Uploaded

_LONGEST = 80


def setup(found: dict[str, Any]) -> list[Any]:
    """Return what init found and made."""
    lines: list[Any] = [
        f"database   {found['database']} (PostgreSQL {found['postgresql']})",
        f"extension  vector {found['pgvector']}",
        f"schema     {found['schema']}, revision {found['revision']}",
        *(f"table      {name}" for name in found["tables"]),
        *(f"index      {name}" for name in found["indexes"] if "hnsw" in name),
    ]
    return [*lines, "made now" if found["changed"] else "everything was there already"]


def migration(report: dict[str, Any]) -> list[Any]:
    """Return what a migration did, or would do."""
    if not report["tables"]:
        return ["there are no older tables; nothing to do"]
    lines: list[Any] = ["this would happen:" if report["dry_run"] else "done:"]
    lines += [
        f"  {one['table']}: {one['before']} rows before, {one['after']} after, {one['set_aside']} set aside"
        for one in report["tables"]
    ]
    lines += [f"  made: {one}" for one in report["made"]]
    lines += [f"  set aside: {one['table']} {one['row_id']}: {one['reason']}" for one in report["set_aside"]]
    return lines


def uploaded(found: Uploaded) -> list[Any]:
    """Return what became of a post."""
    head = f"job {found.job_id}: {found.embedded} chunks embedded, {found.failed} failed ({found.index_status})"
    lines = [head, f"analysed by {found.analysis_source}"]
    if found.existing:
        lines.append("the same file was there already; --force takes it in again")
    if found.note:
        lines.append(f"{found.note['asked']} could not analyse it: {found.note['why']}")
    lines += [f"  chunk {one['chunk_index']}: {one['error']}" for one in found.errors]
    return [*lines, f"next: {NEXT}"] if found.failed else list(lines)


def bulk(found: Bulk) -> list[Any]:
    """Return what became of many posts."""
    fresh = sum(not one.existing for one in found.uploaded)
    chunks = sum(one.chunks for one in found.uploaded)
    head = f"{fresh} posts taken in, {len(found.uploaded) - fresh} were there already; {chunks} chunks"
    lines = [head, *(f"  {one['file']}: {one['error']}" for one in found.refused)]
    return [*lines, f"next: {NEXT}"] if any(one.failed for one in found.uploaded) else list(lines)


def hits(found: Sequence[dict[str, Any]]) -> list[Any]:
    """Return chunks as a table."""
    if not found:
        return ["nothing was found"]
    measure = next(name for name in found[0] if name in ("similarity", "l2_distance", "negative_inner_product"))
    table = _table("chunk", "job", "index", measure, "text")
    for one in found:
        table.add_row(
            str(one["chunk_id"]),
            str(one["job_id"]),
            str(one["chunk_index"]),
            f"{one[measure]:.4f}",
            short(one["chunk_text"]),
        )
    return [table]


def listed(kind: str, found: Sequence[dict[str, Any]]) -> list[Any]:
    """Return records as a table of their most telling columns."""
    columns = {
        "companies": ("id", "name", "blind_mode"),
        "applicants": ("id", "name", "interviews", "mean_score"),
        "jobs": ("id", "company_id", "title", "index_status"),
        "questions": ("id", "job_id", "question_type", "question_text"),
        "sessions": ("id", "applicant_id", "job_id", "status", "current_question_index"),
        "results": ("id", "interview_id", "overall_score", "question_text"),
    }[kind]
    table = _table(*columns)
    for one in found:
        table.add_row(*("" if one.get(name) is None else short(str(one[name])) for name in columns))
    return [table] if found else [f"there are no {kind} yet"]


def fields(found: dict[str, Any]) -> list[Any]:
    """Return one record, a field a line."""
    return [f"{name}: {value}" for name, value in found.items() if value not in (None, [], {})]


def questions(found: Sequence[dict[str, Any]]) -> list[Any]:
    """Return questions, a line each."""
    return [f"{one['id']}  [{one['question_type']}] {one['question_text']}" for one in found]


def question(found: dict[str, Any]) -> list[Any]:
    """Return the question that is asked now."""
    asked = found["question"]
    if asked is None:
        return [f"interview {found['id']} is {found['status']}"]
    kind = "follow-up" if asked["follow_up"] else f"question {asked['index'] + 1} of {asked['of']}"
    return [f"{kind}: {asked['question_text']}"]


def results(found: dict[str, Any]) -> list[Any]:
    """Return the results of an interview."""
    lines: list[Any] = [*_summary(found["summary"])]
    for one in found["results"]:
        lines += ["", f"Q{one['id']}  {one['question_text']}", f"A   {short(one['stt_full_text'], 300)}"]
        score = "not scored" if one["overall_score"] is None else f"{one['overall_score']:g} ({one['band']})"
        lines.append(f"    overall {score}, by {one['scored_by'] or 'nobody yet'}")
        lines += _keywords(one["keywords"])
        lines += [f"    + {_quoted(told)}" for told in one["strengths"]]
        lines += [f"    - {_quoted(told)}" for told in one["weaknesses"]]
        reason = one["metadata"].get("not_scored")
        lines += [f"    {reason}"] if reason else []
    return lines


def comparison(found: dict[str, Any]) -> list[Any]:
    """Return applicants side by side."""
    if not found["applicants"]:
        return [f"nobody was evaluated for job {found['job_id']} yet"]
    dimensions = list(found["applicants"][0]["dimensions"])
    table = _table("interview", "applicant", "score", "band", *dimensions, "scored", "unscored")
    for one in found["applicants"]:
        who = one["applicant"].get("name") or f"applicant {one['applicant']['id']}"
        shown = [_number(one["dimensions"].get(name)) for name in dimensions]
        counts = (str(one["scored"]), str(one["unscored"]))
        table.add_row(str(one["interview_id"]), who, _number(one["score"]), one["band"] or "", *shown, *counts)
    return [f"job {found['job_id']}: {found['title']}", table]


def short(text: str, longest: int = _LONGEST) -> str:
    """Return a text on one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _summary(found: dict[str, Any]) -> list[Any]:
    score = "not scored" if found["score"] is None else f"{found['score']:g} ({found['band']})"
    by = f", by {', '.join(found['scored_by'])}" if found["scored_by"] else ""
    return [f"score {score}: {found['scored']} of {found['answers']} answers scored{by}"]


def _keywords(found: dict[str, Any]) -> list[Any]:
    told = [f"{name} {', '.join(words)}" for name, words in found.items() if words]
    return [f"    keywords: {'; '.join(told)}"] if told else []


def _quoted(told: Any) -> str:
    return told if isinstance(told, str) else f"{told['text']}: “{told['quote']}”"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
