"""`wherry tutor ...`: arguments. What each command does is in `acts.py`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from wherry_apps.tutor import cli_moving

Job = Callable[[], int]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print a traceback when something goes wrong.")]
Url = Annotated[
    str | None, typer.Option("--db-url", metavar="URL", help="Database, instead of DATABASE_URL.", show_default=False)
]
Department = Annotated[str | None, typer.Option(metavar="NAME", show_default=False)]
Subject = Annotated[str | None, typer.Option(metavar="NAME", show_default=False)]
User = Annotated[str, typer.Option(metavar="NAME", help="Whose session it is.")]

commands = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
tests = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Diagnostic tests and sessions.")
documents = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Study documents.")
checkpoints = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Points to go back to.")
commands.add_typer(tests, name="test")
commands.add_typer(documents, name="document")
commands.add_typer(checkpoints, name="checkpoint")


@commands.command()
def hardware(json: Json = False, debug: Debug = False) -> Job:
    """Say which tier of the plan this machine reaches, and which local models fit."""
    from wherry_apps.tutor import acts

    return partial(acts.show_hardware, json)


@commands.command("import")
def import_files(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", show_default=False)],
    department: Department = None,
    allow_incomplete: Annotated[
        bool, typer.Option("--allow-incomplete", help="Take a file with fewer questions than it declares.")
    ] = False,
    accept_warnings: Annotated[
        bool, typer.Option("--accept-warnings", help="Take a file whose answer keys look skewed.")
    ] = False,
    url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Import exam files: each whole or not at all.

    \b
    Example:
      wherry tutor import 2030.json --department 물리치료학과
    """
    from wherry_apps.tutor import acts

    return partial(acts.import_files, files, department, allow_incomplete, accept_warnings, url, json)


@commands.command()
def questions(
    department: Department = None,
    status: Annotated[str | None, typer.Option(help="pending, approved, ...", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    after: Annotated[int, typer.Option(min=0, help="Questions behind this number.")] = 0,
    url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """List the questions of the bank."""
    from wherry_apps.tutor import acts

    return partial(acts.questions, department, status, limit, after, url, json)


@commands.command()
def approve(
    ids: Annotated[list[int] | None, typer.Argument(metavar="ID...", show_default=False)] = None,
    test: Annotated[int | None, typer.Option(help="All pending questions of a test.", show_default=False)] = None,
    file: Annotated[str | None, typer.Option(help="All pending questions of a file.", show_default=False)] = None,
    by: Annotated[str, typer.Option(help="Who approves.")] = "local",
    url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Approve questions: they are indexed, and students see them.

    \b
    Example:
      wherry tutor approve 1 2 3
      wherry tutor approve --file 2030.json
    """
    from wherry_apps.tutor import acts

    return partial(acts.approve, ids or [], test, file, by, url, json)


@commands.command()
def reject(
    ids: Annotated[list[int], typer.Argument(metavar="ID...", show_default=False)],
    archive: Annotated[bool, typer.Option("--archive", help="Archive instead of reject.")] = False,
    url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Reject questions: they leave the collection, and students no longer see them."""
    from wherry_apps.tutor import acts

    return partial(acts.reject, ids, archive, url, json)


@commands.command()
def index(url: Url = None, json: Json = False, debug: Debug = False) -> Job:
    """Bring the collection in line with the approved questions and the study documents."""
    from wherry_apps.tutor import acts

    return partial(acts.index, url, json)


@commands.command()
def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", show_default=False)],
    department: Department = None,
    subject: Subject = None,
    difficulty: Annotated[int | None, typer.Option(min=1, max=5, show_default=False)] = None,
    year: Annotated[int | None, typer.Option(show_default=False)] = None,
    documents: Annotated[bool, typer.Option("--documents", help="Search study documents.")] = False,
    threshold: Annotated[float | None, typer.Option(help="Least similarity.", show_default=False)] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=50)] = 5,
    url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Find questions that are similar to a text.

    \b
    Example:
      wherry tutor search "무릎 관절" --department 물리치료학과
    """
    from wherry_apps.tutor import acts

    wanted = {"department": department, "subject": subject, "difficulty": difficulty, "year": year}
    return partial(acts.search, query, wanted, documents, threshold, k, url, json)


@tests.command("list")
def list_tests(url: Url = None, json: Json = False, debug: Debug = False) -> Job:
    """List the tests."""
    from wherry_apps.tutor import acts

    return partial(acts.list_tests, url, json)


@tests.command()
def activate(
    number: Annotated[int, typer.Argument(metavar="TEST")], url: Url = None, json: Json = False, debug: Debug = False
) -> Job:
    """Open a test to students."""
    from wherry_apps.tutor import acts

    return partial(acts.activate, number, url, json)


@tests.command()
def start(
    number: Annotated[int, typer.Argument(metavar="TEST")],
    user: User = "local",
    url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Start a test, or go on with the session that runs."""
    from wherry_apps.tutor import acts

    return partial(acts.start, number, user, url, json)


@tests.command()
def submit(
    session: Annotated[int, typer.Argument(metavar="SESSION")],
    answers: Annotated[
        list[str] | None,
        typer.Argument(metavar="QUESTION=KEY...", help="Answers, such as 12=3.", show_default=False),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--answers", help='JSON: {"12": "3"} or {"answers": ..., "seconds": ...}.', show_default=False),
    ] = None,
    user: Annotated[str | None, typer.Option(help="Only if it is theirs.", show_default=False)] = None,
    url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Submit the answers of a session: it is graded, and similar questions are recommended.

    \b
    Example:
      wherry tutor test submit 1 --answers answers.json
    """
    from wherry_apps.tutor import acts

    return partial(acts.submit, session, answers or [], file, user, url, json)


@commands.command()
def recommend(
    user: User = "local",
    session: Annotated[int | None, typer.Option(show_default=False)] = None,
    k: Annotated[int, typer.Option("-k", min=1, max=50)] = 5,
    url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Recommend questions after a finished test, each with its reason."""
    from wherry_apps.tutor import acts

    return partial(acts.recommend, user, session, k, url, json)


@commands.command()
def explain(
    number: Annotated[int, typer.Argument(metavar="ID")],
    anew: Annotated[bool, typer.Option("--anew", help="Ask the model again.")] = False,
    url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Explain a question."""
    from wherry_apps.tutor import acts

    return partial(acts.explain, number, anew, url, json)


@commands.command()
def generate(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", show_default=False)],
    department: Department = None,
    subject: Subject = None,
    difficulty: Annotated[int, typer.Option(min=1, max=5)] = 3,
    by: Annotated[str, typer.Option(help="Who drafts.")] = "local",
    url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Draft a question about a topic from the study documents; it waits for approval."""
    from wherry_apps.tutor import acts

    return partial(acts.generate, topic, by, department, subject, difficulty, url, json)


@documents.command("add")
def add_document(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)],
    title: Annotated[str | None, typer.Option(show_default=False)] = None,
    department: Department = None,
    subject: Subject = None,
    url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Add a study document, replacing the one of its title."""
    from wherry_apps.tutor import acts

    return partial(acts.add_document, file, title, department, subject, url, json)


@documents.command("list")
def list_documents(url: Url = None, json: Json = False, debug: Debug = False) -> Job:
    """List the study documents."""
    from wherry_apps.tutor import acts

    return partial(acts.list_documents, url, json)


@documents.command("remove")
def remove_document(
    number: Annotated[int, typer.Argument(metavar="ID")], url: Url = None, json: Json = False, debug: Debug = False
) -> Job:
    """Delete a study document and its points."""
    from wherry_apps.tutor import acts

    return partial(acts.remove_document, number, url, json)


@commands.command()
def demo(json: Json = False, debug: Debug = False) -> Job:
    """Play the whole story on a small question bank: no key, no network."""
    from wherry_apps.tutor import demo as story

    return partial(story.play, json)


cli_moving.register(commands, checkpoints)
