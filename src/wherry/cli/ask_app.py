"""`wherry ask`: its arguments."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

Job = Callable[[], int]


def ask(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="What you want to know.", show_default=False)],
    in_: Annotated[
        str, typer.Option("--in", metavar="ADDRESS", help="Collection or route to answer from.", show_default=False)
    ],
    chat: Annotated[
        str, typer.Option(help="Model that writes the answer; offline quotes the records.", metavar="SPEC")
    ] = "offline",
    k: Annotated[int, typer.Option("-k", help="How many records to search for.", metavar="K")] = 5,
    where: Annotated[
        str | None,
        typer.Option(
            help="Only from records whose metadata fits: page>=3 and tag in [a, b], or a JSON object.",
            metavar="CONDITION",
            show_default=False,
        ),
    ] = None,
    conversation: Annotated[
        str | None,
        typer.Option(help="Go on with a conversation; new begins one.", metavar="ID", show_default=False),
    ] = None,
    budget: Annotated[int, typer.Option(help="Tokens of passages and earlier turns.", metavar="TOKENS")] = 3000,
    instructions: Annotated[
        str | None, typer.Option(help="What else the model is to heed.", metavar="TEXT", show_default=False)
    ] = None,
    embedder: Annotated[
        str | None,
        typer.Option(
            help="What embeds QUESTION, if the collection names no model.", metavar="SPEC", show_default=False
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print a traceback when something goes wrong.")] = False,
) -> Job:
    """Answer a question from a collection, citing the records it rests on.

    Without a model, and where one fails, the answer consists of the sentences that support it best, and says so.

    \b
    Example:
      wherry ask "공복 혈당이 높으면?" --in pgvector:#docs --chat ollama:llama3.1:8b
    """
    from wherry.answering.ask_settings import Settings
    from wherry.cli import ask as asking

    settings = Settings(chat, k, where, conversation, token_budget=budget, instructions=instructions, embedder=embedder)
    return partial(asking.ask, question, in_, settings, json)
