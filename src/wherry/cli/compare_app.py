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


def compare_chat(
    old: Annotated[str, typer.Argument(metavar="OLD", help="Model that answers now.", show_default=False)],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Model that shall answer.", show_default=False)],
    questions: Annotated[
        str, typer.Option(help="Questions: a text file, JSON or JSONL.", metavar="FILE", show_default=False)
    ],
    in_: Annotated[
        str, typer.Option("--in", help="Where passages are searched.", metavar="ADDRESS", show_default=False)
    ],
    k: Annotated[int, typer.Option("--k", "-k", help="Passages per question.", metavar="K")] = 5,
    min_agreement: Annotated[
        float | None, typer.Option(help="Likeness of wording to reach, 0 to 1.", metavar="L", show_default=False)
    ] = None,
    min_cited: Annotated[
        float | None, typer.Option(help="Share of NEW's answers to cite well.", metavar="S", show_default=False)
    ] = None,
    max_failed: Annotated[
        float | None, typer.Option(help="Share of questions NEW may fail on.", metavar="S", show_default=False)
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Longest answer.", metavar="N", show_default=False)] = None,
    embedder: Model = None,
    worst: Annotated[int, typer.Option(help="Questions listed with both answers.", metavar="N")] = 10,
    seed: Seed = 0,
    per_month: Monthly = 100_000,
    report: Report = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Ask two chat models the same questions about the same passages: time, tokens, cost, failures, wording.

    Likeness is of wording alone; it shows which answers to read, and does not say which model is right.

    \b
    Example:
      wherry compare-chat openai:gpt-4o-mini ollama:llama3.1:8b --questions questions.txt --in pgvector:#docs
    """
    from wherry.cli import compare_chat as job

    wishes = {"k": k, "min_agreement": min_agreement, "min_cited": min_cited, "max_failed": max_failed}
    more = {"max_tokens": max_tokens, "embedder": embedder, "worst": worst, "seed": seed, "per_month": per_month}
    return partial(job.compare_chat, old, new, questions, in_, {**wishes, **more}, report, json)
