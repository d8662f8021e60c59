"""The commands of `wherry evals`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

Job = Callable[[], int]

commands = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="""Evaluation runs and guides, indexed before anyone asks.

    \b
    Example:
      wherry evals preindex --source-db data/db/evalvault.db
      wherry evals ask "which runs failed faithfulness last week and why?"
    """,
)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print a traceback when something goes wrong.")]
Url = Annotated[
    str | None, typer.Option("--db-url", metavar="URL", help="PostgreSQL of the index.", show_default=False)
]
SourceDb = Annotated[
    str | None,
    typer.Option("--source-db", metavar="PLACE", help="Runs: SQLite, JSON, or postgresql://...", show_default=False),
]
Run = Annotated[str | None, typer.Option("--run-id", metavar="ID", help="The selected run.", show_default=False)]
Owner = Annotated[str | None, typer.Option("--owner", metavar="TENANT", help="Whose runs.", show_default=False)]


@commands.command()
def preindex(
    source_db: SourceDb = None,
    embedding_model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="A model of Ollama, or hash:1024, openai:...", show_default=False),
    ] = None,
    matryoshka_dim: Annotated[
        int | None, typer.Option(metavar="N", help="Keep the first N components.", show_default=False)
    ] = None,
    user_guide_limit: Annotated[
        int | None, typer.Option(metavar="N", help="Pieces of the guide; 0 for all.", show_default=False)
    ] = None,
    limit_runs: Annotated[
        int | None, typer.Option(metavar="N", help="Only the newest N runs.", show_default=False)
    ] = None,
    skip_user_guide: Annotated[bool, typer.Option("--skip-user-guide", help="Leave out the guide.")] = False,
    skip_runs: Annotated[bool, typer.Option("--skip-runs", help="Leave out the runs.")] = False,
    batch_size: Annotated[int, typer.Option(metavar="N", help="Texts of one request to the model.")] = 32,
    docs: Annotated[list[str], typer.Option(metavar="PATH", help="A further file or folder.", show_default=False)] = [],  # noqa: B006
    recreate: Annotated[bool, typer.Option("--recreate", help="Empty the index first.")] = False,
    owner: Annotated[str, typer.Option(metavar="TENANT", help="Whose the runs are.")] = "local",
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Bring the guide and all runs into the index; what did not change costs nothing.

    \b
    Example:
      wherry evals preindex --source-db runs.db --embedding-model qwen3-embedding:8b --matryoshka-dim 1024
    """
    from wherry_apps.evals import acts
    from wherry_apps.evals.preindexing import Wish

    wish = Wish(
        source_db, embedding_model, matryoshka_dim, user_guide_limit, limit_runs, skip_user_guide, skip_runs,
        batch_size, tuple(docs), recreate, owner,
    )  # fmt: skip
    return partial(acts.preindex, wish, db_url, json)


@commands.command()
def status(source_db: SourceDb = None, db_url: Url = None, json: Json = False, debug: Debug = False) -> Job:
    """Say per source whether it is indexed as it is today.

    \b
    Example:
      wherry evals status
    """
    from wherry_apps.evals import acts

    return partial(acts.status, source_db, db_url, json)


@commands.command()
def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="What to look for.", show_default=False)],
    k: Annotated[int, typer.Option("-k", help="How many hits.")] = 5,
    run_id: Run = None,
    case_id: Annotated[str | None, typer.Option(metavar="ID", help="Only this case.", show_default=False)] = None,
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help="Only test_case, run_summary, ...", show_default=False)
    ] = None,
    metric: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only what failed this metric.", show_default=False)
    ] = None,
    owner: Owner = None,
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Search guide and runs.

    \b
    Example:
      wherry evals search faithfulness --json
    """
    from wherry_apps.evals import acts

    filters = {"case_id": case_id, "kind": kind, "failed_metrics": metric}
    return partial(acts.search, query, owner, run_id, k, filters, db_url, json)


@commands.command()
def ask(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="What you want to know.", show_default=False)],
    run_id: Run = None,
    category: Annotated[
        str | None, typer.Option(metavar="NAME", help="What the question is about.", show_default=False)
    ] = None,
    chat: Annotated[
        str | None, typer.Option(metavar="SPEC", help="Model that writes: ollama:..., offline.", show_default=False)
    ] = None,
    owner: Owner = None,
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Answer a question from guide and runs; numbers are computed, not guessed.

    \b
    Example:
      wherry evals ask "실패한 케이스는?" --run-id r-01
    """
    from wherry_apps.evals import acts

    return partial(acts.ask, question, run_id, category, chat, owner, db_url, json)


@commands.command()
def runs(
    limit: Annotated[int, typer.Option(metavar="N", help="How many.")] = 20,
    owner: Owner = None,
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """List the runs that are indexed, newest first.

    \b
    Example:
      wherry evals runs
    """
    from wherry_apps.evals import acts

    return partial(acts.runs, owner, limit, db_url, json)


@commands.command()
def delete(
    run_id: Annotated[str, typer.Argument(metavar="RUN_ID", help="The run.", show_default=False)],
    owner: Owner = None,
    db_url: Url = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Remove a run from the index; the database it came from is left alone.

    \b
    Example:
      wherry evals delete r-01
    """
    from wherry_apps.evals import acts

    return partial(acts.delete, run_id, owner, db_url, json)


@commands.command()
def purge(source_db: SourceDb = None, db_url: Url = None, json: Json = False, debug: Debug = False) -> Job:
    """Remove the runs and files that are gone from where they were.

    \b
    Example:
      wherry evals purge
    """
    from wherry_apps.evals import acts

    return partial(acts.purge, source_db, db_url, json)


@commands.command()
def migrate(db_url: Url = None, json: Json = False, debug: Debug = False) -> Job:
    """Make the tables, or bring an older rag_documents along: its rows stay and count as stale.

    \b
    Example:
      wherry evals migrate --db-url postgresql://localhost/evalvault
    """
    from wherry_apps.evals import acts

    return partial(acts.migrate, db_url, json)


@commands.command()
def demo(json: Json = False, debug: Debug = False) -> Job:
    """Play the whole story offline, in a folder of its own.

    \b
    Example:
      wherry evals demo
    """
    from wherry_apps.evals import demo as story

    return partial(story.play, json)
