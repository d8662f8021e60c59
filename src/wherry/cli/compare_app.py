"""`wherry compare` and `wherry compare-chat`: their arguments."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

Job = Callable[[], int]

A = Annotated[str, typer.Argument(metavar="A", help="The side that answers now, or `recorded`.", show_default=False)]
B = Annotated[str, typer.Argument(metavar="B", help="The side that shall answer.", show_default=False)]
Queries = Annotated[
    str, typer.Option(help="Questions: a text file, JSON, JSONL or .npy.", metavar="FILE", show_default=False)
]
Model = Annotated[str | None, typer.Option(help="Model, if a side names none.", metavar="SPEC", show_default=False)]
Report = Annotated[Path | None, typer.Option(help="Write a page.", metavar="FILE.html", show_default=False)]
Seed = Annotated[int, typer.Option(help="Decides the order and the draws.", metavar="N")]
Monthly = Annotated[int, typer.Option("--per-month", help="Questions a month, for the cost.", metavar="N")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print a traceback when something goes wrong.")]


def compare(
    a: A,
    b: B,
    queries: Queries,
    k: Annotated[int, typer.Option("--k", "-k", help="Records per answer.", metavar="K")] = 10,
    min_recall: Annotated[
        float | None, typer.Option(help="What B's recall has to reach.", metavar="R", show_default=False)
    ] = None,
    min_overlap: Annotated[
        float | None, typer.Option(help="What the overlap has to reach.", metavar="O", show_default=False)
    ] = None,
    embedder: Model = None,
    rounds: Annotated[int, typer.Option(help="Times each question is asked.", metavar="N")] = 3,
    worst: Annotated[int, typer.Option(help="Questions listed with both answers.", metavar="N")] = 10,
    seed: Seed = 0,
    per_month: Monthly = 100_000,
    report: Report = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Ask two collections the same questions: recall, overlap, drift, time, memory, disk, cost.

    A bar is met when the questions prove it: the lower end of its 95 % interval has to reach it.
    Without a bar, two collections of one space have to have the same exact neighbours.

    \b
    Example:
      wherry compare pgvector:#docs chroma:./db#docs --queries questions.txt --report compare.html
    """
    from wherry.cli import compare as job

    wishes = {"k": k, "min_recall": min_recall, "min_overlap": min_overlap, "embedder": embedder}
    more = {"rounds": rounds, "worst": worst, "seed": seed, "per_month": per_month}
    return partial(job.compare, a, b, queries, {**wishes, **more}, report, json)
