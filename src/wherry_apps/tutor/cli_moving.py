"""`wherry tutor ...`: the commands of the move, from paid models and pgvector to local ones and Qdrant."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

Job = Callable[[], int]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print a traceback when something goes wrong.")]
Url = Annotated[
    str | None, typer.Option("--db-url", metavar="URL", help="Database, instead of DATABASE_URL.", show_default=False)
]
Old = Annotated[str, typer.Option("--old", metavar="NAME", help="What is in use now.", show_default=False)]
New = Annotated[str, typer.Option("--new", metavar="NAME", help="What shall take its place.", show_default=False)]
Name = Annotated[str, typer.Argument(metavar="NAME", show_default=False)]


def register(commands: typer.Typer, checkpoints: typer.Typer) -> None:
    """Add these commands to those of Tutor."""
    for name, function in (
        ("move", move), ("switch", switch), ("compare-llm", compare_llm), ("benchmark", benchmark),
        ("rollback", rollback), ("retire", retire), ("migrate", migrate), ("settings", settings),
    ):  # fmt: skip
        commands.command(name)(function)
    checkpoints.command("create")(create)
    checkpoints.command("list")(list_checkpoints)


def move(
    source: Annotated[str, typer.Option("--from", metavar="STORE", help="pgvector, qdrant, ..., or an address.")],
    target: Annotated[str, typer.Option("--to", metavar="STORE", help="The same.")],
    collection: Annotated[str | None, typer.Option(help="questions by default.", show_default=False)] = None,
    embedder: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="Of the target; another one makes vectors anew.", show_default=False),
    ] = None,
    graph: Annotated[bool, typer.Option("--graph", help="Build an approximate index in a new collection.")] = False,
    url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Make a collection equal in another store, and prove it; the source is only read.

    \b
    Example:
      wherry tutor move --from pgvector --to qdrant --collection questions
    """
    from wherry_apps.tutor import acts_moving as acts

    return partial(acts.move, source, target, collection, embedder, graph, url, json)


def switch(
    llm: Annotated[str | None, typer.Option(metavar="SPEC", help="Chat model.", show_default=False)] = None,
    store: Annotated[str | None, typer.Option(metavar="STORE", show_default=False)] = None,
    embedder: Annotated[str | None, typer.Option(metavar="SPEC", show_default=False)] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND=VALUE", help="question, document or drafting, such as question=0.5."),
    ] = None,
    url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Use another chat model, store or embedder from now on.

    \b
    Example:
      wherry tutor switch --llm ollama:llama3.1:8b --store qdrant
    """
    from wherry_apps.tutor import acts_moving as acts

    return partial(acts.switch, llm, store, embedder, threshold, url, json)


def settings(url: Url = None, json: Json = False, debug: Debug = False) -> Job:
    """Show what is in use: chat model, store, embedder, thresholds."""
    from wherry_apps.tutor import acts_moving as acts

    return partial(acts.settings, url, json)


def compare_llm(
    old: Old,
    new: New,
    count: Annotated[int, typer.Option("--questions", min=1, max=1000)] = 30,
    explained: Annotated[int, typer.Option(min=0, max=100, help="Questions both explain from passages.")] = 3,
    per_month: Annotated[int, typer.Option(min=0, help="Questions a month that costs are worked out for.")] = 10_000,
    parseable: Annotated[float, typer.Option(min=0, max=1, help="Least share of parseable answers.")] = 0.9,
    errors: Annotated[float, typer.Option(min=0, max=1, help="Most share of errors.")] = 0.05,
    behind: Annotated[float, typer.Option(min=0, max=1, help="How far agreement may fall behind.")] = 0.05,
    p95: Annotated[float | None, typer.Option(help="Most seconds of the 95th of 100.", show_default=False)] = None,
    old_won: Annotated[int | None, typer.Option(help="The old bill, won a month.", show_default=False)] = None,
    new_won: Annotated[int | None, typer.Option(help="The new bill, won a month.", show_default=False)] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE.html", show_default=False)] = None,
    url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Ask an old and a new chat model the same questions; the exit code is 1 when the new one misses a bar.

    \b
    Example:
      wherry tutor compare-llm --old openai:gpt-4o-mini --new ollama:llama3.1:8b --report llm.html
    """
    from wherry_apps.tutor import acts_moving as acts

    bars = {"parseable": parseable, "errors": errors, "behind": behind, "p95_s": p95}
    wishes = {
        "count": count,
        "explained": explained,
        "per_month": per_month,
        "bills": (old_won, new_won),
        "report": report,
    }
    return partial(acts.compare_llm, old, new, bars, wishes, url, json)


def benchmark(
    old: Old,
    new: New,
    k: Annotated[int, typer.Option("-k", min=1, max=100)] = 10,
    min_recall: Annotated[float, typer.Option(min=0, max=1)] = 0.95,
    url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Ask two stores for the neighbours of the same vectors: recall, p50, p95.

    \b
    Example:
      wherry tutor benchmark --old pgvector --new qdrant
    """
    from wherry_apps.tutor import acts_moving as acts

    return partial(acts.benchmark, old, new, k, min_recall, url, json)


def create(
    name: Name,
    stage: Annotated[str, typer.Option(help="What it is a checkpoint of.")] = "",
    url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Write a point to go back to: settings, the collection, the revision of the tables."""
    from wherry_apps.tutor import acts_moving as acts

    return partial(acts.create, name, stage, url, json)


def list_checkpoints(url: Url = None, json: Json = False, debug: Debug = False) -> Job:
    """List the checkpoints."""
    from wherry_apps.tutor import acts_moving as acts

    return partial(acts.list_checkpoints, url, json)


def rollback(name: Name, url: Url = None, json: Json = False, debug: Debug = False) -> Job:
    """Return to a checkpoint, and verify that everything is as it was."""
    from wherry_apps.tutor import acts_moving as acts

    return partial(acts.rollback, name, url, json)


def retire(old: Name, url: Url = None, json: Json = False, debug: Debug = False) -> Job:
    """End the use of an old chat model or store; refused without a passed comparison.

    \b
    Example:
      wherry tutor retire openai:gpt-4o-mini
    """
    from wherry_apps.tutor import acts_moving as acts

    return partial(acts.retire, old, url, json)


def migrate(
    table: Annotated[
        str | None, typer.Option(metavar="SCHEMA.TABLE", help="An older table elsewhere.", show_default=False)
    ] = None,
    url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Bring the `questions` table of an earlier version to today's; its rows and vectors stay beside it."""
    from wherry_apps.tutor import acts_moving as acts

    return partial(acts.migrate, table, url, json)
