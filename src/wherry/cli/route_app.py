"""`wherry route`, `wherry switch`, `wherry rollback`: their arguments."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

Job = Callable[[], int]

Name = Annotated[str, typer.Argument(metavar="ROUTE", help="Name that readers use.", show_default=False)]
To = Annotated[str, typer.Argument(metavar="ADDRESS", help="Collection it leads to.", show_default=False)]
Other = Annotated[str | None, typer.Argument(metavar="ADDRESS", help="The other side.", show_default=False)]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Kept in the history.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print a traceback when something goes wrong.")]

routes = typer.Typer(
    rich_markup_mode=None,
    help="""Names that readers use, each leading to a collection.

    \b
    Example:
      wherry route set welno chroma:./welno#welno_medical_knowledge
      wherry route show welno
    """,
)


@routes.command("set")
def set_route(
    name: Name,
    address: To,
    toggle: Annotated[
        str | None, typer.Option(metavar="VARIABLE", help="Environment variable that decides.", show_default=False)
    ] = None,
    on: Annotated[
        str | None, typer.Option("--on", metavar="ADDRESS", help="Where it leads when true.", show_default=False)
    ] = None,
    off: Annotated[
        str | None, typer.Option("--off", metavar="ADDRESS", help="Where it leads when false.", show_default=False)
    ] = None,
    why: Why = "",
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Make a route.

    \b
    Example:
      wherry route set welno pgvector:#guides
      wherry route set welno pgvector:#guides --toggle USE_LOCAL_VECTOR_DB --on chroma:./db#guides
    """
    from wherry.cli import route

    return partial(route.set_route, name, address, toggle, on, off, why, json)


@routes.command("list")
def list_routes(json: Json = False, debug: Debug = False) -> Job:
    """List every route.

    \b
    Example:
      wherry route list
    """
    from wherry.cli import route

    return partial(route.list_routes, json)


@routes.command("show")
def show_route(name: Name, json: Json = False, debug: Debug = False) -> Job:
    """Show where a route leads, and its history: when, who, what, why.

    \b
    Example:
      wherry route show welno
    """
    from wherry.cli import route

    return partial(route.show_route, name, json)


@routes.command("remove")
def remove_route(name: Name, why: Why = "", json: Json = False, debug: Debug = False) -> Job:
    """Remove a route; collections and history stay.

    \b
    Example:
      wherry route remove welno
    """
    from wherry.cli import route

    return partial(route.remove_route, name, why, json)


@routes.command("shadow")
def shadow_route(
    name: Name,
    address: Annotated[
        str | None, typer.Argument(metavar="ADDRESS", help="Side to ask too.", show_default=False)
    ] = None,
    sample: Annotated[str, typer.Option(metavar="SHARE", help="Share of the questions, as 10% or 0.1.")] = "100%",
    off: Annotated[bool, typer.Option("--off", help="Ask no other side any more.")] = False,
    why: Why = "",
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Ask another side too, for a share of the questions; readers never notice.

    \b
    Example:
      wherry route shadow welno chroma:./db#guides --sample 10%
    """
    from wherry.cli import route

    return partial(route.shadow_route, name, None if off else address, sample, off, why, json)


@routes.command("dual-write")
def dual_write(
    name: Name,
    address: Annotated[
        str | None, typer.Argument(metavar="ADDRESS", help="Side that follows.", show_default=False)
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Let no side follow any more.")] = False,
    why: Why = "",
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Let another side follow what is written by the route (`wherry.writer(NAME)`).

    \b
    Example:
      wherry route dual-write welno chroma:./db#guides
    """
    from wherry.cli import route

    return partial(route.dual_write, name, None if off else address, off, why, json)


@routes.command("replay")
def replay_route(name: Name, json: Json = False, debug: Debug = False) -> Job:
    """Bring the side that follows up to date with what waits in the outbox.

    \b
    Example:
      wherry route replay welno
    """
    from wherry.cli import route

    return partial(route.replay_route, name, json)


def switch(
    name: Name,
    address: To,
    verify: Annotated[bool, typer.Option("--verify", help="Compare both sides now, value by value.")] = False,
    waive: Annotated[
        str,
        typer.Option("--waive", metavar="REASON", help="Go without a proof; the reason is kept.", show_default=False),
    ] = "",
    why: Why = "",
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Lead a route to ADDRESS, after a fresh proof that both sides are equal.

    \b
    Example:
      wherry switch welno chroma:./db#guides --verify
    """
    from wherry.cli import route

    return partial(route.switch_route, name, address, verify, waive, why, json)


def rollback(
    name: Name,
    waive_writes: Annotated[
        int | None,
        typer.Option(metavar="N", help="Give up to N writes up instead of carrying them.", show_default=False),
    ] = None,
    no_carry: Annotated[bool, typer.Option("--no-carry", help="Refuse when something was written since.")] = False,
    why: Why = "",
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Lead a route back to where it led before; what was written since is carried back first.

    \b
    Example:
      wherry rollback welno
    """
    from wherry.cli import route

    return partial(route.roll_back, name, waive_writes, not no_carry, why, json)


def watch(
    name: Name,
    for_: Annotated[str, typer.Option("--for", metavar="TIME", help="How long: 90s, 15m, 24h.")] = "24h",
    every: Annotated[str, typer.Option(metavar="TIME", help="Time between looks.")] = "10s",
    rollback_if: Annotated[
        str, typer.Option(metavar="CONDITION", help="Lead it back when this is so.", show_default=False)
    ] = "",
    waive_writes: Annotated[
        int | None,
        typer.Option(metavar="N", help="Give up to N writes up when it is led back.", show_default=False),
    ] = None,
    least_reads: Annotated[int, typer.Option(metavar="N", help="Questions it takes to judge.")] = 20,
    metrics_port: Annotated[
        int | None, typer.Option(metavar="PORT", help="Serve Prometheus metrics on loopback.", show_default=False)
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Watch what readers of a route see, and end with a verdict; 1 when it was bad or nobody read.

    \b
    Example:
      wherry watch welno --for 24h --rollback-if "error_rate>1% or p95>2x"
    """
    from wherry.cli import watch as watching

    return partial(watching.watch_route, name, for_, every, rollback_if, waive_writes, least_reads, metrics_port, json)


def migrate(
    plan: Annotated[Path, typer.Argument(metavar="PLAN.toml", help="What to move, and how.", show_default=False)],
    until: Annotated[str, typer.Option(metavar="PHASE", help="Stop after this phase.")] = "switch",
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Carry a whole migration out, phase by phase; run it again to go on.

    \b
    Phases: backup, check, prepare, copy, compare, switch. A plan:
      [migration]
      name = "welno"
      source = "export.json"
      target = "chroma:./db#guides?metric=cosine"
      backup = "backup/guides.parquet"
      route = "welno"
      queries = "questions.txt"

    \b
    Example:
      wherry migrate welno.toml
    """
    from wherry.cli import migration

    return partial(migration.carry_out, plan, until, json)
