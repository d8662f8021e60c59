"""`wherry serve`: its arguments."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

Job = Callable[[], int]

Tenant = Annotated[str, typer.Argument(metavar="TENANT", help="Who holds the key.", show_default=False)]
Route = Annotated[str, typer.Argument(metavar="ROUTE", help="Name that readers use.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print a traceback when something goes wrong.")]

serve = typer.Typer(rich_markup_mode=None)
keys = typer.Typer(
    rich_markup_mode=None,
    help="""Keys of tenants: nothing is reachable without one.

    \b
    Example:
      wherry serve keys add welno --read-only
      wherry serve keys list
    """,
)
serve.add_typer(keys, name="keys")


@serve.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    host: Annotated[str, typer.Option(metavar="HOST", help="Where to listen; loopback by default.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", help="0 takes a free one.")] = 8100,
    chat: Annotated[str, typer.Option(metavar="SPEC", help="Model that writes answers; offline quotes.")] = "offline",
    body_limit: Annotated[int, typer.Option(metavar="BYTES", help="The largest request.")] = 1_000_000,
    time: Annotated[float, typer.Option(metavar="SECONDS", help="Until an answer must have begun.")] = 30.0,
    per_minute: Annotated[int, typer.Option(metavar="N", help="Requests of one key in a minute.")] = 600,
    burst: Annotated[int, typer.Option(metavar="N", help="Requests of one key at once.")] = 60,
    apps: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Apps under /api; every installed one by default.", show_default=False),
    ] = None,
    debug: Debug = False,
) -> Job | None:
    """Serve routes over HTTP to tenants that hold keys.

    \b
    Example:
      wherry serve keys add welno
      wherry serve grant welno guides
      wherry serve --port 8100
    """
    if context.invoked_subcommand is not None:
        return None
    from wherry.cli import serve as serving

    return partial(serving.run, host, port, chat, body_limit, time, per_minute, burst, apps)


@keys.command("add")
def add_key(
    tenant: Tenant,
    read_only: Annotated[bool, typer.Option("--read-only", help="A key that may only read.")] = False,
    operator: Annotated[bool, typer.Option("--operator", help="A key that sees every route, run and number.")] = False,
    days: Annotated[int | None, typer.Option(metavar="N", help="How long it opens.", show_default=False)] = None,
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Make a key and print it: it is shown this once.

    \b
    Example:
      wherry serve keys add welno --read-only --days 90
    """
    from wherry.cli import serve as serving

    return partial(serving.add_key, tenant, read_only, operator, days, json)


@keys.command("list")
def list_keys(json: Json = False, debug: Debug = False) -> Job:
    """List every key, without its secret.

    \b
    Example:
      wherry serve keys list
    """
    from wherry.cli import serve as serving

    return partial(serving.list_keys, json)


@keys.command("remove")
def remove_key(
    key: Annotated[str, typer.Argument(metavar="ID", help="As `keys list` shows it.", show_default=False)],
    json: Json = False,
    debug: Debug = False,
) -> Job:
    """Let a key open nothing any more, from this moment on.

    \b
    Example:
      wherry serve keys remove 3f9a1c0d5e7b2a48
    """
    from wherry.cli import serve as serving

    return partial(serving.remove_key, key, json)


@serve.command("grant")
def grant(tenant: Tenant, route: Route, json: Json = False, debug: Debug = False) -> Job:
    """Let a tenant read by a route.

    \b
    Example:
      wherry serve grant welno guides
    """
    from wherry.cli import serve as serving

    return partial(serving.grant, tenant, route, json)


@serve.command("revoke")
def revoke(tenant: Tenant, route: Route, json: Json = False, debug: Debug = False) -> Job:
    """Take a route from a tenant.

    \b
    Example:
      wherry serve revoke welno guides
    """
    from wherry.cli import serve as serving

    return partial(serving.revoke, tenant, route, json)


@serve.command("grants")
def grants(json: Json = False, debug: Debug = False) -> Job:
    """List which tenant may read by which route.

    \b
    Example:
      wherry serve grants
    """
    from wherry.cli import serve as serving

    return partial(serving.grants, json)
