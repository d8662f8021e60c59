"""`wherry evaluate` and `wherry lexicon`: their arguments."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

Job = Callable[[], int]

Place = Annotated[str, typer.Argument(metavar="ADDRESS", help="Collection.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print a traceback when something goes wrong.")]
Tokenizer = Annotated[
    str | None,
    typer.Option(help="What makes the words: kiwi or pieces; the best installed.", metavar="NAME", show_default=False),
]

lexicon = typer.Typer(rich_markup_mode=None, help="Keep the words that a search by words reads.")


def evaluate(
    address: Place,
    questions: Annotated[
        str,
        typer.Option(
            help="Questions with answers: JSON, JSONL, gold:guides or gold:docs.", metavar="FILE", show_default=False
        ),
    ],
    k: Annotated[int, typer.Option("-k", help="Hits per question.", metavar="K")] = 10,
    modes: Annotated[
        str | None,
        typer.Option(help="hybrid, lexical, vector: those that can be asked.", metavar="LIST", show_default=False),
    ] = None,
    embedder: Annotated[
        str | None,
        typer.Option(help="Model, if the collection names none.", metavar="SPEC", show_default=False),
    ] = None,
    tokenizer: Tokenizer = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Weigh the legs of hybrid by these questions from now on.")
    ] = False,
    report: Annotated[Path | None, typer.Option(help="Write a page.", metavar="FILE.html", show_default=False)] = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Measure how well a collection answers questions whose answers are known.

    \b
    Example:
      wherry evaluate pgvector:#docs --questions questions.jsonl --report quality.html
    """
    from wherry.cli import evaluate as job

    return partial(job.evaluate, address, questions, k, modes, embedder, tokenizer, trust, report, json)


@lexicon.callback()
def _lexicon() -> None:
    """Keep the words that a search by words reads."""


@lexicon.command("build")
def build(
    address: Place,
    tokenizer: Tokenizer = None,
    inside: Annotated[
        bool | None,
        typer.Option("--inside/--beside", help="Keep them in the store itself, or in files.", show_default=False),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Make the words of a collection, or bring them in line with it, reading all of it.

    A search does this by itself; run it ahead for a large collection, or after records were changed in place in a
    store that cannot tell.

    \b
    Example:
      wherry lexicon build pgvector:#docs
    """
    from wherry.cli import evaluate as job

    return partial(job.build, address, tokenizer, inside, json)
