"""The book of routes, in PostgreSQL: where each name leads, and its history.

Every change is one transaction that compares the version it has seen with the one it finds: of two people who
lead a name elsewhere at the same time, one does and the other is told.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from wherry.address import Address
from wherry.errors import Busy, NoSuchRoute, Usage
from wherry.postgres.database import Database, is_missing
from wherry.postgres.link import Server, server_of
from wherry.postgres.migrations import HEAD

_COLUMNS = "name, target, previous, version, since, toggle, shadow, shadow_share, dual, changed_at"


@dataclass(frozen=True)
class Toggle:
    """An environment variable of the reader that decides where a route leads: `on` when true, `off` when false."""

    variable: str
    on: str
    off: str

    def decided(self, environment: Mapping[str, str]) -> str | None:
        """Return the address the variable decides for, None where it is not set. Raises Usage."""
        value = environment.get(self.variable, "").strip().lower()
        if not value:
            return None
        if value in ("1", "true", "yes", "on"):
            return self.on
        if value in ("0", "false", "no", "off"):
            return self.off
        raise Usage(f"{self.variable} is neither true nor false", where=self.variable, next="set it to true or false")

    def to_dict(self) -> dict[str, Any]:
        """Return the toggle as a JSON object; passwords are not in it."""
        return {"variable": self.variable, "on": shown(self.on), "off": shown(self.off)}


@dataclass(frozen=True)
class Route:
    """Where a name leads. previous: where it led before. since: marks of both sides when it was last switched."""

    name: str
    target: str
    previous: str | None = None
    version: int = 0
    since: dict[str, Any] = field(default_factory=dict)
    toggle: Toggle | None = None
    shadow: str | None = None
    shadow_share: float = 0.0
    dual: str | None = None
    changed_at: datetime | None = None

    def leads_to(self, environment: Mapping[str, str] = os.environ) -> str:
        """Return the address for a reader: its own environment may decide. Raises Usage."""
        named = environment.get(variable_of(self.name), "").strip()
        return named or (self.toggle.decided(environment) if self.toggle else None) or self.target

    def to_dict(self) -> dict[str, Any]:
        """Return the route as a JSON object; passwords are not in it."""
        return {
            "name": self.name,
            "target": shown(self.target),
            "previous": shown(self.previous),
            "version": self.version,
            "leads_to": shown(self.leads_to()),
            "toggle": self.toggle
            and {**self.toggle.__dict__, "on": shown(self.toggle.on), "off": shown(self.toggle.off)},
            "shadow": shown(self.shadow),
            "shadow_share": self.shadow_share,
            "dual_write": shown(self.dual),
            "changed_at": self.changed_at.isoformat() if self.changed_at else None,
        }


@dataclass(frozen=True)
class Event:
    """Something that was done to a route: when, by whom, what, from where to where, and why."""

    route: str
    at: datetime
    who: str
    act: str
    came_from: str | None
    leads_to: str | None
    why: str
    details: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the event as a JSON object; passwords are not in it."""
        return {
            **self.__dict__,
            "at": self.at.isoformat(),
            "came_from": shown(self.came_from),
            "leads_to": shown(self.leads_to),
        }


class Book:
    """The routes of one database: that of WHERRY_DATABASE_URL, else the embedded one. For one thread at a time."""

    def __init__(self, server: Server | None = None) -> None:
        self.database = Database(server or server_of(Address.parse("pgvector:#routes"), set()))

    def find(self, name: str) -> Route | None:
        """Return a route, None when there is none; one round trip."""
        rows = self._ask(f"SELECT {_COLUMNS} FROM wherry.routes WHERE name = $1", [name])
        return _route(rows[0]) if rows else None

    def require(self, name: str) -> Route:
        """Return a route. Raises NoSuchRoute, naming those there are."""
        found = self.find(name)
        if found is None:
            known = ", ".join(route.name for route in self.all())
            raise NoSuchRoute(
                f"there is no route {name!r}",
                next=f"known routes: {known}" if known else f"wherry route set {name} ADDRESS",
            )
        return found

    def all(self) -> list[Route]:
        """Return every route, by name."""
        return [_route(row) for row in self._ask(f"SELECT {_COLUMNS} FROM wherry.routes ORDER BY name")]

    def history(self, name: str, last: int = 100) -> list[Event]:
        """Return what was done to a route, latest first."""
        rows = self._ask(
            "SELECT route, at, who, act, came_from, leads_to, why, details FROM wherry.route_events"
            " WHERE route = $1 ORDER BY id DESC LIMIT $2",
            [name, last],
        )
        return [Event(*row) for row in rows]

    def make(self, name: str, target: str, toggle: Toggle | None, why: str) -> Route:
        """Make a route. Raises Usage when there is one of that name or the name cannot be one."""
        _require_name(name)
        for address in (target, *((toggle.on, toggle.off) if toggle else ())):
            Address.parse(address)
        self._prepare()
        with self.database.begin() as connection:
            made = connection.execute(
                "INSERT INTO wherry.routes (name, target, toggle) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                [name, target, json.dumps(toggle.__dict__) if toggle else None],
            )
            if made.rowcount != 1:
                raise Usage(
                    f"there is a route {name!r} already",
                    left="nothing was changed",
                    next=f"wherry switch {name} ADDRESS leads it elsewhere, after a proof",
                )
            _note(connection, name, "set", None, target, why, {})
        return self.require(name)

    def lead(
        self,
        seen: Route,
        target: str,
        act: str,
        why: str,
        since: dict[str, Any],
        details: dict[str, Any],
        back: str | None = None,
    ) -> Route:
        """Lead a route elsewhere, if it is still as it was seen. Raises Busy when it is not.

        back: the address to go back to, where it is not the one that the route leads to now.
        """
        with self.database.begin() as connection:
            changed = connection.execute(
                "UPDATE wherry.routes SET target = $1, previous = coalesce($5, target), since = $2,"
                " version = version + 1, shadow = NULL, shadow_share = 0, dual = NULL, changed_at = now()"
                " WHERE name = $3 AND version = $4",
                [target, json.dumps(since), seen.name, seen.version, back],
            )
            _require_changed(changed.rowcount, seen)
            _note(connection, seen.name, act, seen.target, target, why, details)
        return self.require(seen.name)

    def change(self, seen: Route, act: str, why: str = "", **columns: object) -> Route:
        """Change what goes on beside a route (shadow, shadow_share, dual), if it is still as it was seen."""
        names = [name for name in columns if name in ("shadow", "shadow_share", "dual")]
        assigned = ", ".join(f"{name} = ${number}" for number, name in enumerate(names, 3))
        with self.database.begin() as connection:
            changed = connection.execute(
                f"UPDATE wherry.routes SET version = version + 1, changed_at = now(), {assigned}"
                " WHERE name = $1 AND version = $2",
                [seen.name, seen.version, *(columns[name] for name in names)],
            )
            _require_changed(changed.rowcount, seen)
            beside = {name: shown(v) if isinstance(v, str) else v for name, v in columns.items()}
            _note(connection, seen.name, act, seen.target, seen.target, why, beside)
        return self.require(seen.name)

    def remove(self, name: str, why: str = "") -> None:
        """Remove a route; its history stays. Raises NoSuchRoute."""
        route = self.require(name)
        with self.database.begin() as connection:
            connection.execute("DELETE FROM wherry.routes WHERE name = $1", [name])
            _note(connection, name, "remove", route.target, None, why, {})

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self.database.close()

    def __enter__(self) -> Book:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _ask(self, statement: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
        try:
            return self.database.ask(statement, values or [])
        except Exception as error:
            # Nobody made a route in this database yet: that is an answer, not a failure.
            if is_missing(error):
                return []
            raise

    def _prepare(self) -> None:
        version = self._ask("SELECT version_num FROM wherry.alembic_version")
        if version != [(HEAD,)]:
            self.database.upgrade()


def variable_of(name: str) -> str:
    """Return the environment variable by which a reader leads a route elsewhere for itself."""
    return "WHERRY_ROUTE_" + "".join(c if c.isalnum() else "_" for c in name.upper())


def shown(address: str | None) -> str | None:
    """Return an address fit to print."""
    return None if address is None else str(Address.parse(address))


def _require_name(name: str) -> None:
    if not name or not all(c.isalnum() or c in "-_." for c in name) or len(name) > 100:
        raise Usage(
            f"{name!r} cannot be the name of a route",
            next="use letters, digits, '-', '_' and '.', at most 100",
        )


def _require_changed(rows: int, seen: Route) -> None:
    if rows != 1:
        raise Busy(
            f"the route {seen.name} was changed by somebody else meanwhile",
            where=seen.name,
            left="nothing was changed",
            next=f"wherry route show {seen.name}",
        )


def _note(
    connection: psycopg.Connection,
    name: str,
    act: str,
    came_from: str | None,
    leads_to: str | None,
    why: str,
    details: dict[str, Any],
) -> None:
    connection.execute(
        "INSERT INTO wherry.route_events (route, who, act, came_from, leads_to, why, details)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        [name, _who(), act, came_from, leads_to, why, json.dumps(details, ensure_ascii=False)],
    )


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that nobody named.
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()} (process {os.getpid()})"


def _route(row: tuple[Any, ...]) -> Route:
    name, target, previous, version, since, toggle, shadow, share, dual, changed_at = row
    decided = Toggle(**toggle) if toggle else None
    return Route(name, target, previous, version, since, decided, shadow, share, dual, changed_at)
