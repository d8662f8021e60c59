"""`wherry runs`: its arguments."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

Job = Callable[[], int]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print a traceback when something goes wrong.")]

runs = typer.Typer(rich_markup_mode=None, invoke_without_command=True)


@runs.callback()
def list_runs(context: typer.Context, json: Json = False, debug: Debug = False) -> Job | None:
    """List the runs that were made here, latest first.

    \b
    Example:
      wherry runs
      wherry runs show 20260301-101500-3f9a
    """
    if context.invoked_subcommand is not None:
        return None
    from wherry.cli import runs as journals

    return partial(journals.list_all, json)


@runs.command("show")
def show_run(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="ID", show_default=False)],
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Show one run: its plan, its outcome, and every record in quarantine.

    \b
    Example:
      wherry runs show 20260301-101500-3f9a
    """
    from wherry.cli import runs as journals

    # `wherry runs --json show ID` means the same as `wherry runs show ID --json`.
    before = context.parent.params if context.parent else {}
    return partial(journals.show_one, run, json or bool(before.get("json")))
