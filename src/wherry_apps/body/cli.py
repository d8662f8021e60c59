"""`wherry body`: its arguments. What the commands do is in `acts.py` and `operating.py`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from wherry_apps.body import acts, operating

Job = Callable[[], int]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print a traceback when something goes wrong.")]
Url = Annotated[
    str | None, typer.Option("--db-url", metavar="URL", help="A PostgreSQL server of your own.", show_default=False)
]
User = Annotated[int, typer.Option("--user-id", metavar="ID", help="The person.", show_default=False)]
Model = Annotated[
    str | None,
    typer.Option("--model", metavar="MODEL", help="What writes; the rules by default.", show_default=False),
]
Embedders = Annotated[
    list[str] | None,
    typer.Option("--embedder", metavar="SPEC", help="What embeds; may be given several times.", show_default=False),
]
Embedder = Annotated[
    str | None, typer.Option("--embedder", metavar="SPEC", help="What embeds the question.", show_default=False)
]
Source = Annotated[str, typer.Option(help="Where the sheet comes from.", metavar="WORD")]


def _file(name: str, what: str) -> typer.models.OptionInfo:
    return typer.Option(name, metavar="FILE", help=what, show_default=False)


commands = typer.Typer(rich_markup_mode=None, no_args_is_help=True)


@commands.command("init")
def init(db_url: Url = None, json: Json = False, debug: Debug = False) -> Job:
    """Make the tables, and person 1 in a database that has nobody yet."""
    return partial(operating.init, db_url, json)


@commands.command("check")
def check(db_url: Url = None, json: Json = False, debug: Debug = False) -> Job:
    """Say whether the database answers, and whether extension, tables and indexes are there."""
    return partial(operating.check, db_url, json)


@commands.command("user-add")
def user_add(
    username: Annotated[str, typer.Argument(metavar="USERNAME", show_default=False)],
    email: Annotated[str, typer.Argument(metavar="EMAIL", show_default=False)],
    owner: Annotated[str, typer.Option(help="The tenant whose keys see this person.", metavar="TENANT")] = "local",
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Make a person."""
    return partial(operating.user_add, username, email, owner, db_url, json)


@commands.command("user-list")
def user_list(db_url: Url = None, json: Json = False, debug: Debug = False) -> Job:
    """List the persons."""
    return partial(operating.user_list, db_url, json)


@commands.command("validate")
def validate(
    measurements_file: Annotated[Path | None, _file("--measurements-file", "A sheet as JSON.")] = None,
    measurements_json: Annotated[str | None, typer.Option(help="A sheet.", metavar="JSON", show_default=False)] = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Read a sheet and say what its fields mean; store nothing."""
    return partial(acts.validate, measurements_file, measurements_json, json)


@commands.command("analyze")
def analyze(
    user_id: User,
    measurements_file: Annotated[Path | None, _file("--measurements-file", "A sheet as JSON.")] = None,
    measurements_json: Annotated[str | None, typer.Option(help="A sheet.", metavar="JSON", show_default=False)] = None,
    record_id: Annotated[
        int | None, typer.Option(help="A sheet that is stored already.", metavar="ID", show_default=False)
    ] = None,
    model: Model = None,
    enable_embedding: Annotated[
        bool, typer.Option("--enable-embedding", help="Store vectors with the report.")
    ] = False,
    embedder: Embedders = None,
    output_file: Annotated[Path | None, _file("--output-file", "Where the result goes; text for .txt.")] = None,
    source: Source = "manual",
    force: Annotated[bool, typer.Option("--force", help="Write another report of the same sheet.")] = False,
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Store a sheet, name the body type, write the report.

    \b
    Example:
      wherry body analyze --user-id 1 --measurements-file s.json --enable-embedding --output-file r.json
    """
    wish = acts.Analysis(user_id, model, enable_embedding, tuple(embedder or ()), source, force)
    return partial(acts.analyze, wish, measurements_file, measurements_json, record_id, output_file, db_url, json)


@commands.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="One sheet per line, as JSON.", show_default=False)],
    user_id: Annotated[
        int | None, typer.Option("--user-id", metavar="ID", help="Of lines that name nobody.", show_default=False)
    ] = None,
    enable_embedding: Annotated[bool, typer.Option("--enable-embedding", help="Store vectors too.")] = False,
    embedder: Embedders = None,
    source: Source = "import",
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Store many sheets with their reports; lines that cannot be taken are listed (exit 5)."""
    return partial(acts.import_, file, user_id, enable_embedding, tuple(embedder or ()), source, db_url, json)


@commands.command("search")
def search(
    user_id: User,
    query: Annotated[str, typer.Option(help="What to look for.", metavar="TEXT", show_default=False)],
    top_k: Annotated[int, typer.Option(help="How many reports.", metavar="N")] = 3,
    embedder: Embedder = None,
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Find a person's own reports that fit a question.

    \b
    Example:
      wherry body search --user-id 1 --query "상체 근육 부족" --top-k 3
    """
    return partial(acts.search, user_id, query, top_k, embedder, db_url, json)


@commands.command("plan")
def plan(
    user_id: User,
    goals_file: Annotated[Path | None, _file("--goals-file", "Goals as JSON.")] = None,
    goals_json: Annotated[str | None, typer.Option(help="Goals.", metavar="JSON", show_default=False)] = None,
    preferences_file: Annotated[Path | None, _file("--preferences-file", "Preferences as JSON.")] = None,
    preferences_json: Annotated[
        str | None, typer.Option(help="Preferences.", metavar="JSON", show_default=False)
    ] = None,
    week_number: Annotated[
        int | None, typer.Option(help="The next one by default.", metavar="N", show_default=False)
    ] = None,
    start_date: Annotated[
        str | None, typer.Option(help="A Monday; the next by default.", metavar="DATE", show_default=False)
    ] = None,
    model: Model = None,
    embedder: Embedder = None,
    use_ollama_rag: Annotated[bool, typer.Option("--use-ollama-rag", help="Embed the question by Ollama.")] = False,
    output_file: Annotated[Path | None, _file("--output-file", "Where the plan goes; text for .txt.")] = None,
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Write and store a plan for seven days, grounded in the person's own reports.

    \b
    Example:
      wherry body plan --user-id 1 --goals-json '[{"goal_type": "체중감량"}]'
    """
    wish = acts.Week(user_id, week_number, start_date, model, embedder, use_ollama_rag)
    goals, wishes = (goals_file, goals_json), (preferences_file, preferences_json)
    return partial(acts.plan, wish, goals, wishes, output_file, db_url, json)


@commands.command("chat")
def chat(
    message: Annotated[str, typer.Argument(metavar="MESSAGE", help="A question, or a number of the menu.")] = "",
    report: Annotated[int | None, typer.Option(help="About a report.", metavar="ID", show_default=False)] = None,
    plan: Annotated[int | None, typer.Option(help="About a plan.", metavar="ID", show_default=False)] = None,
    model: Model = None,
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Ask about a report or a plan; without a message, show what was said and the menu.

    \b
    Example:
      wherry body chat --report 1 "내장지방은 어때?"
    """
    return partial(acts.chat, message, report, plan, model, db_url, json)


@commands.command("migrate")
def migrate(
    db_url: Url = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change; change nothing.")] = False,
    rename_duplicates: Annotated[
        bool, typer.Option("--rename-duplicates", help="Give a user another name where one stands twice.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Bring an earlier program's database to this version, in place, in one transaction.

    \b
    Example:
      wherry body migrate --db-url postgresql://me@host/explainmybody --dry-run
    """
    return partial(operating.migrate, db_url, dry_run, rename_duplicates, json)


@commands.command("embed")
def embed(
    embedder: Embedders = None,
    every: Annotated[
        float | None, typer.Option(help="Look again after so many seconds, until stopped.", metavar="SECONDS")
    ] = None,
    batch: Annotated[int, typer.Option(help="Reports at a time.", metavar="N")] = 64,
    again: Annotated[bool, typer.Option("--again", help="Replace vectors that another model made, too.")] = False,
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Store the vectors that are missing; run it again after a kill and it goes on."""
    return partial(operating.embed, tuple(embedder or ()), every, batch, again, db_url, json)


@commands.command("bench")
def bench(
    column: Annotated[str, typer.Option(help="embedding_1536 or embedding_1024.", metavar="COLUMN")] = "embedding_1024",
    recall: Annotated[float, typer.Option(help="The part of the true nearest to find.", metavar="PART")] = 0.95,
    k: Annotated[int, typer.Option("-k", help="How many nearest are asked for.", metavar="K")] = 6,
    rows: Annotated[int, typer.Option(help="Reports in the sample.", metavar="N")] = 20_000,
    questions: Annotated[int, typer.Option(help="How many questions are asked.", metavar="N")] = 50,
    apply: Annotated[bool, typer.Option("--apply", help="Build the chosen index.")] = False,
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Measure recall and time of the vector index for each setting of m and ef."""
    return partial(operating.bench, column, recall, k, rows, questions, apply, db_url, json)


@commands.command("demo")
def demo(json: Json = False, debug: Debug = False) -> Job:
    """Play the whole story with three invented persons: no key, no network."""
    from wherry_apps.body.demo import demo as story

    return partial(story, json)
