"""The commands: each reads its arguments and returns the job that `main` runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from wherry.cli import later

Job = Callable[[], int]

Source = Annotated[str, typer.Argument(metavar="SOURCE", help="Address to read.", show_default=False)]
Target = Annotated[str, typer.Argument(metavar="TARGET", help="Address to write.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print a traceback when something goes wrong.")]
Level = Annotated[str, typer.Option(help="counted, ids, digests or deep.", metavar="LEVEL")]
Tolerance = Annotated[
    str, typer.Option(help="How vectors are compared: auto, exact, unit or half.", metavar="TOLERANCE")
]
Layout = Annotated[
    str | None,
    typer.Option(help="How TARGET is laid out: plain, llamaindex or langchain.", metavar="LAYOUT", show_default=False),
]

Workers = Annotated[
    int, typer.Option(help="How many bring records over, each some ranges of keys.", metavar="N", min=1, max=256)
]
Engine = Annotated[str, typer.Option(help="Where workers run: local or ray.", metavar="ENGINE")]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address", help="A running Ray: auto, HOST:PORT, ray://…", metavar="ADDRESS", show_default=False
    ),
]

# rich would double the time of --help.
app = typer.Typer(
    name="wherry",
    cls=later.Commands,
    rich_markup_mode=None,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"wherry {version('wherry')}")
        raise typer.Exit


@app.callback()
def wherry(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Move a collection between vector stores, and prove that nothing was lost.

    \b
    Addresses:
      export.json  dump.parquet  notes.jsonl   an archive file
      pgvector:#docs                           a table of the built-in PostgreSQL
      postgresql://user@host/db#docs           a table of any server
      chroma:./folder#docs                     a Chroma folder
      chroma+http://host:8000#docs             a Chroma server
      qdrant:./folder#docs                     Qdrant's engine in a folder
      qdrant+http://host:6333#docs             a Qdrant server
      faiss:./folder#docs                      a FAISS index with its documents, or a LangChain folder
      llamacloud:#docs                         a LlamaCloud pipeline, read only

    \b
    Exit codes:
      0 done  1 different  2 usage  3 refused  4 store unreachable  5 bad record
      6 integrity  7 busy  70 a bug of wherry  130 interrupted, resumable

    \b
    Example:
      wherry plan export.json pgvector:#docs
      wherry sync export.json pgvector:#docs
      wherry verify export.json pgvector:#docs
    """


def plan(
    source: Source,
    target: Target,
    layout: Layout = None,
    workers: Workers = 1,
    engine: Engine = "local",
    ray_address: RayAddress = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Say what a sync would do, lose and need; write nothing.

    \b
    Example:
      wherry plan export.json pgvector:#docs
    """
    from wherry.cli import acts

    hands = acts.Hands(workers, engine, ray_address)
    return partial(acts.plan, source, acts.laid_out(target, layout), hands, json)


def sync(
    source: Source,
    target: Target,
    level: Level = "digests",
    accept_losses: Annotated[
        bool, typer.Option("--accept-losses", help="Go on although the plan lists losses.")
    ] = False,
    allow_mass_delete: Annotated[
        bool, typer.Option("--allow-mass-delete", help="Delete even a large part of the target.")
    ] = False,
    layout: Layout = None,
    workers: Workers = 1,
    engine: Engine = "local",
    ray_address: RayAddress = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Make TARGET equal to SOURCE.

    Run it again to update, mend or resume. Whatever is written is read back and compared value by
    value. --level deep reads all of the target again, ids and counted read nothing back.

    \b
    Example:
      wherry sync export.json pgvector:#docs
      wherry sync pgvector:#docs faiss:./index#docs --workers 4
    """
    from wherry.cli import acts

    hands = acts.Hands(workers, engine, ray_address)
    return partial(
        acts.sync, source, acts.laid_out(target, layout), level, accept_losses, allow_mass_delete, hands, json
    )


def verify(
    source: Annotated[str, typer.Argument(metavar="A", help="Address to read.", show_default=False)],
    target: Annotated[str, typer.Argument(metavar="B", help="Address to compare.", show_default=False)],
    level: Level = "deep",
    tolerance: Tolerance = "auto",
    layout: Layout = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Compare two collections and name every difference.

    \b
    Example:
      wherry verify export.json pgvector:#docs
    """
    from wherry.cli import acts

    return partial(acts.verify, source, acts.laid_out(target, layout), level, tolerance, json)


def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="What to look for.", show_default=False)],
    in_: Annotated[str, typer.Option("--in", metavar="ADDRESS", help="Where to look.", show_default=False)],
    k: Annotated[int, typer.Option("-k", help="How many records to show.", metavar="K")] = 5,
    mode: Annotated[
        str | None,
        typer.Option(help="How to look: hybrid (the default), lexical or vector.", metavar="MODE", show_default=False),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            help="Only records whose metadata fits: page>=3 and tag in [a, b], or a JSON object.",
            metavar="CONDITION",
            show_default=False,
        ),
    ] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Compare every vector; use no approximate index.")] = False,
    embedder: Annotated[
        str | None,
        typer.Option(help="What embeds QUERY, if the collection names no model.", metavar="SPEC", show_default=False),
    ] = None,
    decay: Annotated[
        str | None,
        typer.Option(help="Newer hits first: the metadata key of a date.", metavar="KEY", show_default=False),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Find the records of a collection that are nearest to a question.

    \b
    Example:
      wherry search "공복 혈당이 높으면?" --in pgvector:#docs --where "page>=3"
    """
    from wherry.cli import search as asking

    return partial(asking.search, query, in_, k, mode, where, exact, embedder, decay, json)


def tune(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="The collection to tune.", show_default=False)],
    recall: Annotated[float, typer.Option(help="The part of the true nearest to find.", metavar="PART")] = 0.98,
    k: Annotated[int, typer.Option("-k", help="How many nearest are asked for.", metavar="K")] = 10,
    rows: Annotated[int, typer.Option(help="Records in the sample.", metavar="N")] = 20_000,
    questions: Annotated[int, typer.Option(help="How many questions are asked.", metavar="N")] = 100,
    apply: Annotated[bool, typer.Option("--apply", help="Build the chosen index and drop the former one.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Find the index settings that reach a recall in the least time.

    A sample of the collection is indexed in several ways and compared with exact search; the curve is
    written as JSON and as a plot. Nothing is changed without --apply.

    \b
    Example:
      wherry tune pgvector:#docs --recall 0.98
    """
    from wherry.cli import tune as tuning

    return partial(tuning.tune, address, recall, k, rows, questions, apply, json)


def demo(
    folder: Annotated[
        Path | None,
        typer.Option(help="Where its files go; a folder of the state folder by default.", show_default=False),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Play a whole move with a small knowledge base: no key, no network.

    \b
    Example:
      wherry demo --folder ./try
    """
    from wherry.cli import acts

    return partial(acts.demo, folder, json)


def doctor(
    model: Annotated[
        str | None,
        typer.Option("--for", help="Can MODEL run here? all: every known one.", metavar="MODEL", show_default=False),
    ] = None,
    context: Annotated[int, typer.Option(help="Tokens MODEL shall hold at once.", metavar="N")] = 4096,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Say which engines work here; show disk and memory. Or say whether a model fits.

    \b
    Example:
      wherry doctor
      wherry doctor --for ollama:llama3.1:8b
    """
    if model is not None:
        from wherry.cli import fitting

        return partial(fitting.fits, model, context, json)
    from wherry.cli import acts

    return partial(acts.doctor, json)
