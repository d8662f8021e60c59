"""Serving, and the keys of those who are served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from wherry import out
from wherry.apps.installed import find, installed
from wherry.cli.words import safe
from wherry.errors import MissingExtra
from wherry.service.keys import Key, Keys
from wherry.service.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import RenderableType


def run(
    host: str, port: int, chat: str, body_limit: int, time: float, per_minute: int, burst: int, apps: str | None
) -> int:
    """Serve until told to stop; 0 when that was asked for."""
    settings = Settings(host, port, chat, body_limit, time, per_minute, burst)
    mounted = installed() if apps is None else [find(name) for name in filter(None, apps.split(","))]
    try:
        from wherry.service.app import serve
    except ModuleNotFoundError as error:
        raise MissingExtra(f"the service needs the package {error.name}", next="pip install 'wherry[serve]'") from None
    try:
        serve(settings, mounted, began=lambda url: out.tell(f"wherry serves {url}; {url}/docs says what"))
    except KeyboardInterrupt:
        # The service has stopped in order by then; the signal is only passed on.
        return 0
    return 0


def add_key(tenant: str, read_only: bool, operator: bool, days: int | None, json: bool) -> int:
    """Make a key and print it."""
    with Keys() as keys:
        key = keys.add(tenant, read_only, operator, days)
    told = ["keep it: it is not stored and never shown again", f"next: wherry serve grant {tenant} ROUTE"]
    if not json:
        for line in told:
            out.tell(line)
    return _put({"key": key, "id": key.split("_")[1], "tenant": tenant}, json, [key])


def list_keys(json: bool) -> int:
    """Print every key without its secret."""
    with Keys() as keys:
        found = keys.all()
    table = _table("key", "tenant", "may", "made", "until")
    for key in found:
        table.add_row(key.id, safe(key.tenant), _may(key), _when(key.made_at), _until(key))
    lines: list[RenderableType] = [table] if found else ["There is no key yet.", "next: wherry serve keys add TENANT"]
    return _put({"keys": [key.to_dict() for key in found]}, json, lines)


def remove_key(key: str, json: bool) -> int:
    """Remove a key."""
    with Keys() as keys:
        removed = keys.remove(key)
    return _put(removed.to_dict(), json, [f"the key {key} of {safe(removed.tenant)} opens nothing any more"])


def grant(tenant: str, route: str, json: bool) -> int:
    """Grant a route."""
    with Keys() as keys:
        keys.grant(tenant, route)
    return _put({"tenant": tenant, "route": route}, json, [f"{safe(tenant)} may read by {safe(route)}"])


def revoke(tenant: str, route: str, json: bool) -> int:
    """Take a route back."""
    with Keys() as keys:
        keys.revoke(tenant, route)
    words = f"{safe(tenant)} may not read by {safe(route)} any more"
    return _put({"tenant": tenant, "route": route, "revoked": True}, json, [words])


def grants(json: bool) -> int:
    """Print every grant."""
    with Keys() as keys:
        found = keys.grants()
    table = _table("tenant", "route")
    for tenant, route in found:
        table.add_row(safe(tenant), safe(route))
    lines: list[RenderableType] = [table] if found else ["Nothing is granted.", "next: wherry serve grant TENANT ROUTE"]
    return _put({"grants": [{"tenant": tenant, "route": route} for tenant, route in found]}, json, lines)


def _may(key: Key) -> str:
    return "operate" if key.operator else "read" if key.read_only else "read, write"


def _until(key: Key) -> str:
    if key.removed_at is not None:
        return f"removed {_when(key.removed_at)}"
    return _when(key.expires_at) if key.expires_at else ""


def _when(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _put(value: dict[str, Any], json: bool, lines: list[RenderableType]) -> int:
    if json:
        out.put_json(value)
    else:
        out.put_all(lines)
    return 0
