"""What the commands of Tutor do: call the service, print what it returned, return an exit code."""

from __future__ import annotations

import json as jsons
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from wherry import BadRecord, Refused, StoreError, Usage, WherryError, put_result
from wherry_apps.tutor import documents as study
from wherry_apps.tutor.hardware import hardware
from wherry_apps.tutor.service import open_service

LISTED = 20


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """Return a table for people."""
    made = Table(*heads, box=None, pad_edge=False)
    for row in rows:
        made.add_row(*("" if value is None else str(value) for value in row))
    return made


def show_hardware(json: bool) -> int:
    """Print what this machine is and what fits."""
    found = hardware()
    lines: list[Any] = [
        f"memory {_size(found['ram_bytes'])}, {_size(found['ram_free_bytes'])} free",
        *(f"graphics card {gpu['name']}, {_size(gpu['bytes'])}" for gpu in found["gpus"]),
        *([] if found["gpus"] else ["no NVIDIA graphics card was found"]),
        f"tier: {found['tier']}",
        table(
            ("model", "fits", "where", "memory", "disk", "why"),
            [
                (m["model"], "yes" if m["fits"] else "no", m["place"], _size(m["memory_bytes"]), _size(m["disk_bytes"]),
                 m["reasons"][-1])
                for m in found["models"]
            ],
        ),
    ]  # fmt: skip
    return put_result(found, lines, json)


def import_files(
    files: Sequence[Path],
    department: str | None,
    allow_incomplete: bool,
    accept_warnings: bool,
    url: str | None,
    json: bool,
) -> int:
    """Import each file by itself; those that are refused are named, and the others are done."""
    done: list[dict[str, Any]] = []
    failed: list[WherryError] = []
    with open_service(url, check=False) as tutor:
        for path in files:
            try:
                done.append(tutor.import_file(path, department, allow_incomplete, accept_warnings))
            except (BadRecord, Refused) as error:
                failed.append(error)
    bad = [error for error in failed if isinstance(error, BadRecord)] or failed
    lines: list[Any] = [
        f"{one['file']}: {one['added']} new, {one['unchanged']} there already"
        + (f", {len(one['differs'])} there and different: {one['differs']}" if one["differs"] else "")
        + (f", test {one['test']}" if one["test"] else "")
        for one in done
    ]
    lines += [f"warning: {words}" for one in done for words in one["warnings"]]
    lines += [f"refused: {error}" for error in failed]
    if not failed:
        lines.append("next: wherry tutor approve --file NAME")
    put_result({"imported": done, "failed": [error.to_dict() for error in failed]}, lines, json)
    return bad[0].exit_code if bad else 0


def questions(department: str | None, status: str | None, limit: int, after: int, url: str | None, json: bool) -> int:
    """List questions."""
    with open_service(url, check=False) as tutor:
        found = tutor.bank.list(False, status, limit, after, department=department)
    rows = [
        (q["id"], q["approval_status"], q["department"], q["area"], q["difficulty"], q["content"][:60])
        for q in found["questions"]
    ]
    heads = ("id", "status", "department", "area", "difficulty", "content")
    return put_result(found, [f"{found['total']} questions", table(heads, rows)], json)


def approve(ids: Sequence[int], test: int | None, file: str | None, by: str, url: str | None, json: bool) -> int:
    """Approve questions; exit code 4 where one has no stored vector."""
    if not ids and test is None and file is None:
        raise Usage("which questions?", next="name their numbers, --test ID or --file NAME")
    with open_service(url, check=False) as tutor:
        chosen = [*ids, *(tutor.bank.pending(test, file) if test is not None or file is not None else [])]
        found = tutor.approve(chosen, by)
    return _approved(found, f"{len(found['approved'])} approved", json)


def reject(ids: Sequence[int], archive: bool, url: str | None, json: bool) -> int:
    """Reject or archive questions; exit code 4 where the store could not be told."""
    status = "archived" if archive else "rejected"
    with open_service(url, check=False) as tutor:
        found = tutor.reject(ids, status)
    return _approved(found, f"{len(found[status])} {status}", json)


def index(url: str | None, json: bool) -> int:
    """Bring the collection in line."""
    with open_service(url) as tutor:
        found = tutor.index()
    lines = [
        f"{found.address}: {found.embedded} embedded, {found.unchanged} unchanged, {found.removed} removed",
        *(f"failed: {point}: {why}" for point, why in list(found.failed.items())[:LISTED]),
    ]
    put_result(found.to_dict(), lines, json)
    return found.exit_code


def search(
    query: str,
    wanted: Mapping[str, Any],
    documents: bool,
    threshold: float | None,
    k: int,
    url: str | None,
    json: bool,
) -> int:
    """Search questions or passages."""
    with open_service(url) as tutor:
        found = tutor.searching.search(query, "document" if documents else "question", k, threshold, **wanted)
    rows = [
        (hit["id"], f"{hit['similarity']:.3f}", hit["payload"].get("department") or hit["payload"].get("source"),
         hit["payload"].get("difficulty"), (hit["text"] or "").splitlines()[0][:70])
        for hit in found["hits"]
    ]  # fmt: skip
    head = f"{len(rows)} found, similarity at least {found['threshold']:g} ({found['below_threshold']} were below)"
    return put_result(found, [head, table(("id", "similarity", "of", "difficulty", "text"), rows)], json)


def list_tests(url: str | None, json: bool) -> int:
    """List the tests."""
    with open_service(url, check=False) as tutor:
        found = tutor.diagnosis.tests()
    rows = [(t["id"], t["status"], t["title"], t["department"], t["questions"], t["time_limit"]) for t in found]
    heads = ("id", "status", "title", "department", "questions", "minutes")
    return put_result({"tests": found}, [table(heads, rows)], json)


def activate(number: int, url: str | None, json: bool) -> int:
    """Open a test to students."""
    with open_service(url, check=False) as tutor:
        found = tutor.diagnosis.activate(number)
    return put_result(found, [f"test {number} is open: {found['title']}"], json)


def start(number: int, user: str, url: str | None, json: bool) -> int:
    """Start a session and print its questions."""
    with open_service(url, check=False) as tutor:
        found = tutor.diagnosis.start(number, user)
    lines: list[Any] = [f"session {found['session']}, attempt {found['attempt']}: {found['title']}"]
    for question in found["questions"]:
        lines.append(f"[{question['id']}] {question['content']}")
        lines += [f"    {key}. {text}" for key, text in (question["options"] or {}).items()]
    lines.append(f"next: wherry tutor test submit {found['session']} QUESTION=KEY ...")
    return put_result(found, lines, json)


def submit(session: int, pairs: Sequence[str], file: Path | None, user: str | None, url: str | None, json: bool) -> int:
    """Grade a session, print the result and what to practise next."""
    answers, seconds = _answers(pairs, file)
    with open_service(url, check=False) as tutor:
        found = tutor.diagnosis.submit(session, answers, user, seconds)
        try:
            found["recommendations"] = tutor.searching.recommended(user, session)
        except StoreError as error:
            # The grade stands; what cannot be recommended now is said.
            found["recommendations"] = {"recommended": [], "note": error.what}
    return put_result(found, _graded(found), json)


def recommend(user: str, session: int | None, k: int, url: str | None, json: bool) -> int:
    """Print what to practise next."""
    with open_service(url) as tutor:
        found = tutor.searching.recommended(user, session, k)
    return put_result(found, _recommended(found), json)


def explain(number: int, anew: bool, url: str | None, json: bool) -> int:
    """Explain a question."""
    with open_service(url) as tutor:
        found = tutor.explain(number, None, anew=anew)
    note = [f"(by the rules: {found['why_offline']})"] if "why_offline" in found else []
    return put_result(found, [found["explanation"], *note, f"model: {found['model']}"], json)


def generate(
    topic: str, by: str, department: str | None, subject: str | None, difficulty: int, url: str | None, json: bool
) -> int:
    """Draft a question."""
    with open_service(url) as tutor:
        found = tutor.drafting.draft(topic, by, department, subject, difficulty)
    lines = [
        f"question {found['id']}, pending, drafted by {found['model']}: {found['content']}",
        *(f"    {key}. {text}" for key, text in found["options"].items()),
        f"answer {found['correct_answer']}; passages of {', '.join(p['title'] for p in found['passages'])}",
        f"next: wherry tutor approve {found['id']}",
    ]
    return put_result(found, lines, json)


def add_document(
    file: Path, title: str | None, department: str | None, subject: str | None, url: str | None, json: bool
) -> int:
    """Add a study document; exit code 4 where its passages could not be indexed."""
    document = study.read(file)
    with open_service(url, check=False) as tutor:
        found = tutor.add_document(
            title or document.title or file.stem, document, path=str(file), department=department, subject=subject
        )
    words = f"document {found['id']}: {found['title']}, {found['passages']} passages"
    put_result(found, [words, *([] if found["indexed"] else [f"not indexed: {found['error']}"])], json)
    return 0 if found["indexed"] else StoreError.exit_code


def list_documents(url: str | None, json: bool) -> int:
    """List the study documents."""
    with open_service(url, check=False) as tutor:
        found = tutor.documents.list()
    rows = [(d["id"], d["title"], d["department"], d["passages"]) for d in found]
    return put_result({"documents": found}, [table(("id", "title", "department", "passages"), rows)], json)


def remove_document(number: int, url: str | None, json: bool) -> int:
    """Delete a study document and its points."""
    with open_service(url) as tutor:
        found = tutor.remove_document(number)
    return put_result(found, [f"document {number} is deleted, {found['points']} points with it"], json)


def _approved(found: dict[str, Any], words: str, json: bool) -> int:
    lines = [words if found["indexed"] else f"{words}, not indexed"]
    lines += [f"question {number}: {why}" for number, why in list(found["errors"].items())[:LISTED]]
    if not found["indexed"]:
        lines.append("next: see that the store and the embedder are there, then wherry tutor index")
    put_result(found, lines, json)
    return 0 if found["indexed"] else StoreError.exit_code


def _answers(pairs: Sequence[str], file: Path | None) -> tuple[dict[int, str | None], dict[int, int]]:
    """Return answers and seconds by question. Raises Usage."""
    try:
        held: Any = jsons.loads(file.read_text(encoding="utf-8")) if file is not None else {}
        given = held.get("answers", {} if "seconds" in held else held)
        answers = {int(number): None if key is None else str(key) for number, key in given.items()}
        seconds = {int(number): int(taken) for number, taken in (held.get("seconds") or {}).items()}
        for pair in pairs:
            number, _, key = pair.partition("=")
            answers[int(number)] = key or None
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise Usage(
            f"the answers cannot be read ({type(error).__name__})",
            left="nothing was graded",
            next='write QUESTION=KEY, such as 12=3, or a JSON file {"12": "3"}',
        ) from None
    return answers, seconds


def _graded(found: dict[str, Any]) -> list[Any]:
    areas = [(a["kind"], a["name"], a["items"], f"{a['share']:.0%}", a["verdict"]) for a in found["areas"]]
    return [
        f"session {found['session']}: {found['percentage']:g} %, {found['level']}",
        f"learning level {found['learning_level']:.2f} (with time {found['adjusted_level']:.2f}), "
        f"practise difficulty {found['recommended_difficulty']}",
        f"weak: {', '.join(found['weak']) or 'none'}",
        table(("kind", "area", "questions", "points", "verdict"), areas),
        *_recommended(found["recommendations"]),
    ]


def _recommended(found: dict[str, Any]) -> list[Any]:
    rows = [(q["id"], q["difficulty"], q["content"][:50], q["reason"]) for q in found["recommended"]]
    note = [found["note"]] if found.get("note") else []
    return [*note, table(("id", "difficulty", "practise next", "because"), rows)]


def _size(count: int | None) -> str:
    return "unknown" if count is None else f"{count / 1e9:.1f} GB"
