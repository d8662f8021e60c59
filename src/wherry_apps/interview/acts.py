"""What the commands of `wherry interview` do: call the service, print what came back."""

from __future__ import annotations

import json as jsons
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import wherry
from wherry_apps.interview import printing
from wherry_apps.interview.forms import SessionForm
from wherry_apps.interview.service import bulk, jobs, records, results, searching, sessions, transcripts
from wherry_apps.interview.service import questions as asking
from wherry_apps.interview.service.intake import MOST_BYTES
from wherry_apps.interview.service.opened import Interview

Models = tuple[str | None, str | None, str | None]


@contextmanager
def opened(models: Models) -> Iterator[Interview]:
    """Open the service. models: database URL, embedder, chat; None takes each from the environment."""
    on = Interview(*models)
    try:
        yield on
    finally:
        on.close()


def init(db_url: str | None, json: bool) -> int:
    """Make the tables and list what is there."""
    from wherry_apps.interview.service.setup import initialise

    with opened((db_url, None, None)) as on:
        found = initialise(on)
    return wherry.put_result(found, printing.setup(found), json)


def migrate(dry_run: bool, embedder: str | None, db_url: str | None, json: bool) -> int:
    """Bring older tables over; 5 when something had to be set aside."""
    from wherry_apps.interview.carrying.act import migrate as carry

    with opened((db_url, None, None)) as on:
        report = carry(on, dry_run, embedder)
    wherry.put_result(report, printing.migration(report), json)
    return 5 if report["set_aside"] else 0


def upload(
    company_id: int,
    title: str,
    pdf: Path | None,
    text: Path | None,
    force: bool,
    models: Models,
    json: bool,
) -> int:
    """Take in a post; 5 when a chunk has no vector."""
    path = _one_of(pdf, text, "--pdf-file or --text-file")
    data = _bytes(path)
    with opened(models) as on:
        found = jobs.upload(on, None, company_id, title, data, path.name, force)
    wherry.put_result(found.to_dict(), printing.uploaded(found), json)
    return found.exit_code


def upload_folder(folder: Path, company_id: int, workers: int, models: Models, json: bool) -> int:
    """Take in a folder; 5 when a file is no post or a chunk has no vector."""
    if not folder.is_dir():
        raise wherry.Usage("there is no such folder", where=str(folder), left="nothing was stored")
    if workers < 1:
        raise wherry.Usage("workers is 1 or more", where="--workers")
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    posts = ((path.stem, str(path.relative_to(folder)), _bytes(path)) for path in paths)
    with opened(models) as on:
        found = bulk.upload_all(on, None, company_id, posts, workers)
    wherry.put_result(found.to_dict(), printing.bulk(found), json)
    return found.exit_code


def search(query: str, top_k: int, job_id: int | None, metric: str, models: Models, json: bool) -> int:
    """Print the nearest chunks."""
    with opened(models) as on:
        found = searching.told(on, None, query, top_k, job_id, metric)
    return wherry.put_result(found, printing.hits(found["hits"]), json)


def reembed(job_id: int | None, everything: bool, models: Models, json: bool) -> int:
    """Embed what has no vector; 5 when some still have none."""
    with opened(models) as on:
        found = jobs.reembed(on, None, job_id, everything)
    line = f"{found['embedded']} chunks of {found['jobs']} jobs embedded, {found['failed']} failed"
    wherry.put_result(found, [line, *([] if found["complete"] else [f"next: {jobs.NEXT}"])], json)
    return 0 if found["complete"] else 5


def add(kind: str, content: dict[str, Any], db_url: str | None, json: bool) -> int:
    """Store a record."""
    with opened((db_url, None, None)) as on:
        found = records.create(on, None, kind, content)
    return wherry.put_result(found, [f"{kind}: {found['id']}"], json)


def listed(kind: str, limit: int, db_url: str | None, json: bool) -> int:
    """List records."""
    _require_kind(kind)
    with opened((db_url, None, None)) as on:
        found = records.listed(on, None, kind, {}, limit)
    return wherry.put_result({kind: found}, printing.listed(kind, found), json)


def show(kind: str, id: int, db_url: str | None, json: bool) -> int:
    """Show a record."""
    _require_kind(kind)
    with opened((db_url, None, None)) as on:
        found = records.one(on, None, kind, id)
    return wherry.put_result(found, printing.fields(found), json)


def delete(kind: str, id: int, db_url: str | None, json: bool) -> int:
    """Delete a record."""
    _require_kind(kind)
    with opened((db_url, None, None)) as on:
        records.remove(on, None, kind, id)
    return wherry.put_result({"deleted": id, "kind": kind}, [f"{kind}: {id} is deleted"], json)


def questions(job_id: int, file: Path | None, models: Models, json: bool) -> int:
    """Make or read questions."""
    content = None if file is None else _json(file)
    with opened(models) as on:
        found = asking.make(on, None, job_id) if file is None else asking.read_file(on, None, job_id, content)
    return wherry.put_result({"questions": found}, printing.questions(found), json)


def start(applicant_id: int, job_ids: list[int], company_id: int | None, models: Models, json: bool) -> int:
    """Start an interview."""
    form = SessionForm(applicant_id=applicant_id, job_ids=job_ids[:3], company_id=company_id)
    if len(job_ids) > 3:
        raise wherry.Usage("an interview is for three jobs at most", where="--job-id")
    with opened(models) as on:
        found = sessions.start(on, None, form)
    return wherry.put_result(found, [f"interview {found['id']}", *printing.question(found)], json)


def answer(interview_id: int, text: str | None, file: Path | None, turn: int | None, models: Models, json: bool) -> int:
    """Answer the current question."""
    if (text is None) == (file is None):
        raise wherry.Usage("an answer is a TEXT or a --text-file", next="give one of the two")
    said = text if text is not None else _text(file or Path())
    with opened(models) as on:
        found = sessions.answer(on, None, interview_id, said, turn)
    return wherry.put_result(found, printing.question(found), json)


def evaluate(interview_id: int, force: bool, models: Models, json: bool) -> int:
    """Score an interview."""
    with opened(models) as on:
        found = results.evaluate(on, None, interview_id, force)
    return wherry.put_result(found, printing.results(found), json)


def results_of(interview_id: int, db_url: str | None, json: bool) -> int:
    """Show the results of an interview."""
    with opened((db_url, None, None)) as on:
        found = results.results(on, None, interview_id)
    return wherry.put_result(found, printing.results(found), json)


def compare(job_id: int, db_url: str | None, json: bool) -> int:
    """Compare applicants."""
    with opened((db_url, None, None)) as on:
        found = results.compare(on, None, job_id)
    return wherry.put_result(found, printing.comparison(found), json)


def import_transcript(
    file: Path, applicant_id: int | None, job_id: int | None, force: bool, models: Models, json: bool
) -> int:
    """Take in a transcript."""
    content = _json(file)
    with opened(models) as on:
        found = transcripts.import_transcript(on, None, content, applicant_id, job_id, force)
    state = "was there already" if found["existing"] else "stored"
    head = f"transcript {found['shape']} {state}: interview {found['interview_id']}"
    return wherry.put_result(found, [head, *printing.results(found)], json)


def demo(json: bool) -> int:
    """Play the story."""
    from wherry_apps.interview.demo import play

    return play(json)


def _require_kind(kind: str) -> None:
    if kind not in records.KINDS:
        raise wherry.Usage(f"{kind!r} is no kind of record", where="KIND", next=f"one of {', '.join(records.KINDS)}")


def _one_of(one: Path | None, other: Path | None, names: str) -> Path:
    given = [path for path in (one, other) if path is not None]
    if len(given) != 1:
        raise wherry.Usage(f"a post comes from {names}", next="give one of the two")
    return given[0]


def _bytes(path: Path) -> bytes:
    """Return a file, or as much of it as shows that it is too large."""
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise wherry.Usage(
            f"the file cannot be read: {error.strerror}", where=str(path), left="nothing was stored"
        ) from None


def _text(path: Path) -> str:
    try:
        return _bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        raise wherry.BadRecord("the file is no UTF-8 text", where=str(path), left="nothing was stored") from None


def _json(path: Path) -> Any:
    text = _text(path)
    try:
        return jsons.loads(text)
    except (ValueError, RecursionError) as error:
        what = error.args[0] if isinstance(error, jsons.JSONDecodeError) else type(error).__name__
        raise wherry.BadRecord(f"the file is no JSON: {what}", where=str(path), left="nothing was written") from None
