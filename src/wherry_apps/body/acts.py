"""What the commands for sheets, reports, plans and questions do."""

from __future__ import annotations

import json as jsons
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import wherry
from wherry_apps.body.dates import read_date
from wherry_apps.body.plans import lines_of
from wherry_apps.body.service import Body
from wherry_apps.body.service.importing import open_lines
from wherry_apps.body.service.reports import failed, require_written
from wherry_apps.body.settings import chat_spec
from wherry_apps.body.wishes import read_goals, read_preferences

_MOST_BYTES = 4_000_000
Place = tuple[Path | None, str | None]


@dataclass(frozen=True)
class Analysis:
    """What `analyze` is asked for. embedders: those of the settings when none is named."""

    user_id: int
    model: str | None
    embed: bool
    embedders: tuple[str, ...]
    source: str
    force: bool


@dataclass(frozen=True)
class Week:
    """What `plan` is asked for."""

    user_id: int
    week_number: int | None
    start_date: str | None
    model: str | None
    embedder: str | None
    use_ollama: bool


def validate(file: Path | None, text: str | None, json: bool) -> int:
    """Read a sheet; print what it means."""
    from wherry_apps.body.rules import Limits, body_types
    from wherry_apps.body.sheets import read_sheet

    limits = Limits.configured()
    sheet = read_sheet(read_json((file, text), "measurements"), limits)
    types = body_types(sheet.measurements, limits)
    lines = [
        *(f"{name}: {value}" for name, value in sheet.to_dict()["measurements"].items()),
        *(f"null: {name}" for name in sheet.nulls),
        *(f"ignored: {name}" for name in sheet.ignored),
        *(f"warning: {warning}" for warning in sheet.warnings),
    ]
    return wherry.put_result(sheet.to_dict() | {"types": types.to_dict()}, lines, json)


def analyze(
    wish: Analysis,
    file: Path | None,
    text: str | None,
    record: int | None,
    output: Path | None,
    url: str | None,
    json: bool,
) -> int:
    """Store a sheet with its report; write the output file only when that is done."""
    raw = None if record is not None else read_json((file, text), "measurements")
    _require_folder(output)
    model = chat_spec(wish.model) if wish.model else None
    with Body(url) as body:
        embedders = (wish.embedders or body.settings.embedders) if wish.embed or wish.embedders else ()
        sheet = None if record is not None else body.records.read(raw)
        body.require_tables()
        if record is not None:
            _require_own(body, wish.user_id, record)
            done = body.reports.analyse(None, record, model, embedders, wish.force)
        else:
            assert sheet is not None
            done = body.reports.analyse_sheet(None, wish.user_id, sheet, wish.source, model, embedders)
    if output is not None:
        write_result(output, done, done["llm_output"])
    lines = [
        f"record {done['record_id']}, report {done['id']} ({done['model_version']})",
        f"{done['types']['body_type1']}, {done['types']['body_type2']}",
        *(f"null: {name}" for name in done.get("nulls", [])),
        *(f"warning: {warning}" for warning in done["warnings"]),
        *(
            f"embedded by {spec}: {how.get('stored', 'failed, ' + str(how.get('error')))}"
            for spec, how in done["embedding"].items()
        ),
        "",
        done["llm_output"],
    ]
    wherry.put_result(done, lines, json)
    if failed(done["embedding"]):
        wherry.tell("some vectors are missing; run: wherry body embed")
    return require_written(done)


def _require_own(body: Body, user_id: int, record: int) -> None:
    whose = body.records.get(None, record)["user_id"]
    if whose != user_id:
        raise wherry.Refused(f"record {record} is not of person {user_id}", where="record", left="nothing")


def import_(
    file: Path, user_id: int | None, embed: bool, embedders: tuple[str, ...], source: str, url: str | None, json: bool
) -> int:
    """Store many sheets."""
    with Body(url) as body:
        body.require_tables()
        chosen = (embedders or body.settings.embedders) if embed or embedders else ()
        done = body.importing.lines(None, open_lines(file), user_id, source, chosen)
    lines = [f"{done.records} sheets stored, {done.failed} not taken"]
    lines += [f"line {one['line']}: {one['why']}" for one in done.failures[:20]]
    wherry.put_result(done.to_dict(), lines, json)
    return done.exit_code


def search(user_id: int, query: str, top_k: int, embedder: str | None, url: str | None, json: bool) -> int:
    """Print the reports of a person that fit a question."""
    with Body(url) as body:
        found = body.require_tables().retrieval.find(None, user_id, query, top_k, embedder)
    lines = [f"note: {note}" for note in found.notes]
    for one in found.reports:
        similarity = "-" if one.similarity is None else f"{one.similarity:.3f}"
        lines.append(
            f"ID: {one.report_id}, Similarity: {similarity}, {one.report_date.date().isoformat()} ({one.retrieval})"
        )
    return wherry.put_result(found.to_dict(), lines or ["nothing was analysed yet"], json)


def plan(wish: Week, goals: Place, wishes: Place, output: Path | None, url: str | None, json: bool) -> int:
    """Write and store a week."""
    wanted = read_goals(read_json(goals, "goals", needed=False))
    given = read_json(wishes, "preferences", needed=False)
    preferred = None if given is None else read_preferences(given)
    start: date | None = read_date(wish.start_date, "start_date") if wish.start_date else None
    _require_folder(output)
    model = chat_spec(wish.model) if wish.model else None
    with Body(url) as body:
        embedder = wish.embedder or (body.settings.ollama_embedder if wish.use_ollama else None)
        done = body.require_tables().plans.generate(
            None, wish.user_id, wanted or None, preferred, wish.week_number, start, model, embedder
        )
    text = "\n".join(lines_of(done["plan"]))
    if output is not None:
        write_result(output, done, text)
    grounds = done["grounds"]
    cited = ", ".join(str(one["report_id"]) for one in grounds["reports"])
    lines = [
        f"plan {done['id']}: week {done['week_number']}, {done['start_date']} to {done['end_date']}",
        f"written by {done['model_version']}",
        *(f"warning: {warning}" for warning in done["warnings"]),
        *(f"note: {note}" for note in grounds["notes"]),
        f"grounded in reports {cited} ({grounds['retrieval']})",
        text,
    ]
    return wherry.put_result(done, lines, json)


def chat(message: str, report: int | None, plan: int | None, model: str | None, url: str | None, json: bool) -> int:
    """Ask about a report or a plan, or show what was said."""
    if (report is None) == (plan is None):
        raise wherry.Usage("say what it is about", where="chat", next="name --report ID or --plan ID")
    subject, number = ("report", report) if report is not None else ("plan", plan)
    assert number is not None
    with Body(url) as body:
        body.require_tables()
        if not message.strip():
            found = body.talks.history(None, "report" if subject == "report" else "plan", number)
            lines = [*(f"{turn['role']}: {turn['content']}" for turn in found["turns"]), *found["menu"]]
            return wherry.put_result(found, lines, json)
        spec = chat_spec(model) if model else None
        done = body.talks.say(None, "report" if subject == "report" else "plan", number, message, spec)
    return wherry.put_result(done, [done["answer"]], json)


def read_json(place: Place, name: str, needed: bool = True) -> Any:
    """Return the JSON of a file or a text; None where neither is given. Raises Usage, BadRecord naming the field."""
    file, text = place
    if file is not None and text is not None:
        raise wherry.Usage(f"{name} are given twice", where=name, next=f"name a file or the {name} themselves")
    if file is None and text is None:
        if needed:
            raise wherry.Usage(f"no {name} are given", where=name, next=f"name --{name}-file or --{name}-json")
        return None
    try:
        return jsons.loads(_contents(file) if file is not None else str(text))
    except (ValueError, RecursionError):
        raise wherry.BadRecord(
            f"the {name} are no JSON", where=str(file or name), fields=[name], left="nothing", next="correct the JSON"
        ) from None


def write_result(path: Path, value: Mapping[str, Any], text: str) -> None:
    """Write a result as JSON, or as text into a .txt file, whole or not at all."""
    shown = text if path.suffix == ".txt" else jsons.dumps(value, ensure_ascii=False, indent=1, default=str)
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(shown + "\n", encoding="utf-8")
    beside.replace(path)


def _contents(file: Path) -> str:
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise wherry.BadRecord("the file is too large for one sheet", where=str(file), left="nothing")
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise wherry.BadRecord("the file is no UTF-8", where=str(file), left="nothing") from None
    except OSError as error:
        raise wherry.Usage(f"the file cannot be read: {error.strerror}", where=str(file), left="nothing") from None


def _require_folder(output: Path | None) -> None:
    if output is not None and not output.absolute().parent.is_dir():
        raise wherry.Usage("the folder of the output file is not there", where=str(output), left="nothing")
