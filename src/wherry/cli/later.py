"""Commands that are built when they are typed: reading the arguments of all of them is what a start would cost.

The commands of Wherry, and `wherry NAME ...` for every installed app.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

# Name -> where it is, and its line of help (a test holds it against the command's own); in the order of the help.
COMMANDS = {
    "evaluate": (
        "wherry.cli.measure_app:evaluate",
        "Measure how well a collection answers questions whose answers are known.",
    ),
    "ask": (
        "wherry.cli.ask_app:ask",
        "Answer a question from a collection, citing the records it rests on.",
    ),
    "compare": (
        "wherry.cli.compare_app:compare",
        "Ask two collections the same questions: recall, overlap, drift, time, memory, disk, cost.",
    ),
    "compare-chat": (
        "wherry.cli.compare_app:compare_chat",
        "Ask two chat models the same questions about the same passages: time, tokens, cost, failures, wording.",
    ),
    "switch": (
        "wherry.cli.route_app:switch",
        "Lead a route to ADDRESS, after a fresh proof that both sides are equal.",
    ),
    "rollback": (
        "wherry.cli.route_app:rollback",
        "Lead a route back to where it led before; what was written since is carried back first.",
    ),
    "watch": (
        "wherry.cli.route_app:watch",
        "Watch what readers of a route see, and end with a verdict; 1 when it was bad or nobody read.",
    ),
    "migrate": (
        "wherry.cli.route_app:migrate",
        "Carry a whole migration out, phase by phase; run it again to go on.",
    ),
    "plan": (
        "wherry.cli.app:plan",
        "Say what a sync would do, lose and need; write nothing.",
    ),
    "sync": (
        "wherry.cli.app:sync",
        "Make TARGET equal to SOURCE.",
    ),
    "verify": (
        "wherry.cli.app:verify",
        "Compare two collections and name every difference.",
    ),
    "search": (
        "wherry.cli.app:search",
        "Find the records of a collection that are nearest to a question.",
    ),
    "tune": (
        "wherry.cli.app:tune",
        "Find the index settings that reach a recall in the least time.",
    ),
    "demo": (
        "wherry.cli.app:demo",
        "Play a whole move with a small knowledge base: no key, no network.",
    ),
    "doctor": (
        "wherry.cli.app:doctor",
        "Say which engines work here; show disk and memory. Or say whether a model fits.",
    ),
    "runs": ("wherry.cli.runs_app:runs", "List the runs that were made here, latest first."),
    "index": (
        "wherry.cli.index_app:app",
        "Make a collection true to its documents: wherry index PATH... --into ADDRESS",
    ),
    "lexicon": ("wherry.cli.measure_app:lexicon", "Keep the words that a search by words reads."),
    "route": ("wherry.cli.route_app:routes", "Names that readers use, each leading to a collection."),
    "serve": ("wherry.cli.serve_app:serve", "Serve routes over HTTP to tenants that hold keys."),
}


class Commands(TyperGroup):
    """The commands of Wherry, each with its name and its line until it is typed, and the installed apps beside them."""

    def __init__(self, **settings: Any) -> None:
        named = {name: TyperCommand(name, help=line) for name, (_, line) in COMMANDS.items()}
        super().__init__(**{**settings, "commands": named})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return one command, None when there is none of this name."""
        return super().get_command(ctx, cmd_name) or _of_an_app(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return what was typed, built whole."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, built(name) if name in COMMANDS else found, rest

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands of Wherry, then the apps, a line each."""
        from wherry.apps.installed import installed

        super().format_commands(ctx, formatter)
        rows = [(app.name, app.about) for app in installed()]
        if rows:
            with formatter.section("Apps"):
                formatter.write_dl(rows)


@cache
def built(name: str) -> Any:
    """Return one command of Wherry, with all its arguments."""
    module, _, variable = COMMANDS[name][0].partition(":")
    found = getattr(import_module(module), variable)
    if isinstance(found, typer.Typer):
        return _group(name, found)
    alone = typer.Typer(rich_markup_mode=None, add_completion=False)
    alone.command(name)(found)
    return typer.main.get_command(alone)


def _of_an_app(name: str) -> Any:
    from wherry.apps.installed import lookup

    app = lookup(name)
    commands = None if app is None else app.load("commands")
    if app is None or commands is None:
        return None
    group = _group(name, commands)
    group.help = group.help or app.about
    return group


@cache
def _group(name: str, commands: typer.Typer) -> Any:
    # Always a group: an app with one command is asked for it by its name too.
    group = typer.main.get_group(commands)
    group.name = name
    return group
