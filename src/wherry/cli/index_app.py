"""`wherry index`: paths given right away are indexed; a word of the list below is a command of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

Job = Callable[[], int]

Into = Annotated[str, typer.Argument(metavar="ADDRESS", help="Collection that is indexed into.", show_default=False)]
Paths = Annotated[
    list[str],
    typer.Argument(metavar="PATH...", help="Files and folders, or a name of wherry.toml.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print a traceback when something goes wrong.")]
Embedder = Annotated[
    str | None, typer.Option(metavar="SPEC", help="Model: hash:1024, openai:..., ollama:...", show_default=False)
]
Chunker = Annotated[
    str | None, typer.Option(metavar="SPEC", help="How documents are cut, for example markdown.", show_default=False)
]
Include = Annotated[list[str], typer.Option(metavar="PATTERN", help="Only files like this.", show_default=False)]
Exclude = Annotated[list[str], typer.Option(metavar="PATTERN", help="No files like this.", show_default=False)]
MassDelete = Annotated[bool, typer.Option("--allow-mass-delete", help="Delete even a large part of the documents.")]
Deep = Annotated[bool, typer.Option("--deep", help="Read every text and vector again.")]
Target = Annotated[
    str | None, typer.Option("--into", metavar="ADDRESS", help="Collection to index into.", show_default=False)
]


class _PathsFirst(TyperGroup):
    """Takes anything but a command's name for the paths to index."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name of the hidden command in front of paths and options."""
        first = args[0] if args else "--help"
        if first not in self.commands and first not in ("--help", "-h"):
            args = ["paths", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_PathsFirst,
    rich_markup_mode=None,
    help="""Make a collection true to its documents: wherry index PATH... --into ADDRESS

    Run it again at any time: what did not change costs nothing, what was paid for is never paid for again, and
    readers see each document old or new. A file named like a command is written ./status.

    \b
    Options: wherry index paths --help

    \b
    Example:
      wherry index docs/ --into pgvector:#docs
      wherry index status pgvector:#docs
    """,
)


@app.command(hidden=True)
def paths(
    paths: Paths,
    into: Target = None,
    embedder: Embedder = None,
    chunker: Chunker = None,
    include: Include = [],  # noqa: B006
    exclude: Exclude = [],  # noqa: B006
    allow_mass_delete: MassDelete = False,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Index files and folders, or an index that wherry.toml names.

    \b
    Example:
      wherry index docs/ --into pgvector:#docs --embedder hash:1024
    """
    from wherry.cli import index as acts

    wants = {"embedder": embedder, "chunker": chunker, "include": include, "exclude": exclude}
    return partial(acts.make, paths, into, wants, allow_mass_delete, json)


@app.command()
def plan(
    paths: Paths,
    into: Target = None,
    embedder: Embedder = None,
    chunker: Chunker = None,
    include: Include = [],  # noqa: B006
    exclude: Exclude = [],  # noqa: B006
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Say what a run would do, embed and cost; spend and write nothing.

    \b
    Example:
      wherry index plan docs/ --into pgvector:#docs
    """
    from wherry.cli import index as acts

    wants = {"embedder": embedder, "chunker": chunker, "include": include, "exclude": exclude}
    return partial(acts.plan, paths, into, wants, json)


@app.command()
def status(into: Into, json: Json = False, debug: Debug = False) -> Job:
    """Say what an index covers, what waits, and what ran last.

    \b
    Example:
      wherry index status pgvector:#docs
    """
    from wherry.cli import index as acts

    return partial(acts.status, into, json)


@app.command()
def verify(into: Into, deep: Deep = False, json: Json = False, debug: Debug = False) -> Job:
    """Find rows and vectors that were lost or changed behind the index's back.

    \b
    Example:
      wherry index verify pgvector:#docs --deep
    """
    from wherry.cli import index as acts

    return partial(acts.verify, into, deep, json)


@app.command()
def repair(into: Into, deep: Deep = False, json: Json = False, debug: Debug = False) -> Job:
    """Mend what verify finds: mark it, then index the same sources again.

    \b
    Example:
      wherry index repair pgvector:#docs
    """
    from wherry.cli import index as acts

    return partial(acts.repair, into, deep, json)


@app.command()
def retry(into: Into, embedder: Embedder = None, json: Json = False, debug: Debug = False) -> Job:
    """Try documents again that failed.

    \b
    Example:
      wherry index retry pgvector:#docs
    """
    from wherry.cli import index as acts

    return partial(acts.retry, into, embedder, json)


@app.command()
def rebuild(
    into: Into,
    embedder: Annotated[str, typer.Option(metavar="SPEC", help="The new model.", show_default=False)],
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Embed everything again with another model, beside what readers use; switch when it is complete.

    \b
    Example:
      wherry index rebuild pgvector:#docs --embedder hash:512
    """
    from wherry.cli import index as acts

    return partial(acts.rebuild, into, embedder, json)


@app.command()
def rollback(into: Into, json: Json = False, debug: Debug = False) -> Job:
    """Let readers see the generation before the live one again.

    \b
    Example:
      wherry index rollback pgvector:#docs
    """
    from wherry.cli import index as acts

    return partial(acts.rollback, into, json)


@app.command()
def prune(into: Into, json: Json = False, debug: Debug = False) -> Job:
    """Drop the generations that serve nobody; there is no way back to them.

    \b
    Example:
      wherry index prune pgvector:#docs
    """
    from wherry.cli import index as acts

    return partial(acts.prune, into, json)


@app.command()
def watch(
    paths: Paths,
    into: Target = None,
    embedder: Embedder = None,
    chunker: Chunker = None,
    include: Include = [],  # noqa: B006
    exclude: Exclude = [],  # noqa: B006
    every: Annotated[float, typer.Option(metavar="SECONDS", help="Time between two looks.")] = 2.0,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Index, and again whenever the files change, until Ctrl-C; with --json one object per line.

    \b
    Example:
      wherry index watch docs/ --into pgvector:#docs
    """
    from wherry.cli import index as acts

    wants = {"embedder": embedder, "chunker": chunker, "include": include, "exclude": exclude}
    return partial(acts.watch, paths, into, wants, every, json)
