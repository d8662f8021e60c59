"""`wherry notes`: its arguments."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

import wherry
from tests.apps.notes.service import Notes

commands = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


@commands.command("add")
def add(title: str, body: str, json: Json = False) -> Callable[[], int]:
    """Keep a note."""
    return partial(_add, title, body, json)


@commands.command("list")
def titles(json: Json = False) -> Callable[[], int]:
    """List the notes."""
    return partial(_list, json)


def _add(title: str, body: str, json: bool) -> int:
    notes = Notes()
    number = notes.add("local", title, body)
    return wherry.put_result({"id": number}, [f"note {number}"], json)


def _list(json: bool) -> int:
    found = Notes().titles(None)
    return wherry.put_result({"titles": found}, found, json)
