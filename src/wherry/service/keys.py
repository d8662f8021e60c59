"""Keys of tenants: `wherry_<id>_<secret>`, printed once; what is stored is a salted hash.

The secret has 256 random bits, so that a fast hash is enough: nobody can try them all. Every request asks the
database, so that a key that was removed opens nothing from that moment on, whichever process removed it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wherry.address import Address
from wherry.errors import Usage
from wherry.postgres.database import Database, is_missing
from wherry.postgres.link import Server, server_of
from wherry.postgres.migrations import HEAD
from wherry.routing.book import Book

_KEY = re.compile(r"wherry_([0-9a-f]{16})_([0-9a-f]{64})")
_TENANT = re.compile(r"[\w.-]{1,100}")
_FIND = (
    "SELECT tenant, salt, digest, read_only, operator,"
    " array(SELECT route FROM wherry.grants g WHERE g.tenant = k.tenant) FROM wherry.api_keys k"
    " WHERE id = $1 AND removed_at IS NULL AND (expires_at IS NULL OR expires_at > now())"
)
_LIST = "SELECT id, tenant, read_only, operator, made_at, expires_at, removed_at FROM wherry.api_keys ORDER BY made_at"


@dataclass(frozen=True)
class Caller:
    """Who asks. key: the public part of the key. routes: those granted to the tenant; an operator sees all."""

    key: str
    tenant: str
    read_only: bool
    operator: bool
    routes: frozenset[str]

    def may_see(self, route: str) -> bool:
        """Tell whether a route is there for this caller."""
        return self.operator or route in self.routes


@dataclass(frozen=True)
class Key:
    """A key as it may be listed: nothing of its secret. expires_at, removed_at: None for never."""

    id: str
    tenant: str
    read_only: bool
    operator: bool
    made_at: datetime
    expires_at: datetime | None
    removed_at: datetime | None

    def to_dict(self) -> dict[str, Any]:
        """Return the key as a JSON object."""
        values = dict(self.__dict__)
        return {name: v.isoformat() if isinstance(v, datetime) else v for name, v in values.items()}


class Keys:
    """The keys and grants of one database: that of WHERRY_DATABASE_URL, else the embedded one."""

    def __init__(self, server: Server | None = None) -> None:
        self.database = Database(server or server_of(Address.parse("pgvector:#keys"), set()))

    def find(self, text: str) -> Caller | None:
        """Return whose key this is; None for one that was never made, has expired or was removed."""
        parts = _KEY.fullmatch(text)
        rows = self._ask(_FIND, [parts[1]]) if parts else []
        if parts is None or not rows:
            return None
        tenant, salt, digest, read_only, operator, routes = rows[0]
        if not hmac.compare_digest(bytes(digest), _digest(bytes(salt), parts[2])):
            return None
        return Caller(parts[1], tenant, read_only, operator, frozenset(routes))

    def add(self, tenant: str, read_only: bool = False, operator: bool = False, days: int | None = None) -> str:
        """Make a key and return it: it can never be shown again. days: how long it opens. Raises Usage."""
        _require_tenant(tenant)
        if days is not None and not 1 <= days <= 36_500:
            raise Usage(f"a key cannot last {days} days", where="--days", next="use 1 to 36500")
        self.prepare()
        name, secret, salt = secrets.token_hex(8), secrets.token_hex(32), secrets.token_bytes(16)
        self.database.tell(
            "INSERT INTO wherry.api_keys (id, tenant, salt, digest, read_only, operator, expires_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, now() + $7::int * interval '1 day')",
            [name, tenant, salt, _digest(salt, secret), read_only, operator, days],
        )
        return f"wherry_{name}_{secret}"

    def all(self) -> list[Key]:
        """Return every key, the removed ones too, oldest first."""
        return [Key(*row) for row in self._ask(_LIST)]

    def remove(self, key: str) -> Key:
        """Let a key, named by its public part, open nothing any more. Raises Usage when there is none."""
        statement = "UPDATE wherry.api_keys SET removed_at = now() WHERE id = $1 AND removed_at IS NULL RETURNING id"
        if not self._ask(statement, [key]):
            raise Usage(f"there is no key {key!r}", left="nothing was changed", next="wherry serve keys list")
        return next(found for found in self.all() if found.id == key)

    def grant(self, tenant: str, route: str) -> None:
        """Let a tenant read by a route; safe to repeat. Raises NoSuchRoute, Usage."""
        _require_tenant(tenant)
        with Book(self.database.server) as book:
            book.require(route)
        self.prepare()
        statement = "INSERT INTO wherry.grants (tenant, route) VALUES ($1, $2) ON CONFLICT DO NOTHING"
        self.database.tell(statement, [tenant, route])

    def revoke(self, tenant: str, route: str) -> None:
        """Take a route from a tenant. Raises Usage when it had none of that name."""
        statement = "DELETE FROM wherry.grants WHERE tenant = $1 AND route = $2 RETURNING route"
        if not self._ask(statement, [tenant, route]):
            raise Usage(
                f"{tenant!r} was never granted {route!r}", left="nothing was changed", next="wherry serve grants"
            )

    def grants(self) -> list[tuple[str, str]]:
        """Return every grant as tenant and route, in their order."""
        return [(row[0], row[1]) for row in self._ask("SELECT tenant, route FROM wherry.grants ORDER BY 1, 2")]

    def prepare(self) -> None:
        """Make Wherry's tables, or bring them to this version."""
        if self._ask("SELECT version_num FROM wherry.alembic_version") != [(HEAD,)]:
            self.database.upgrade()

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        self.database.close()

    def __enter__(self) -> Keys:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _ask(self, statement: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
        try:
            return self.database.ask(statement, values or [])
        except Exception as error:
            # Nobody made a key in this database yet: that is an answer, not a failure.
            if is_missing(error):
                return []
            raise


def _digest(salt: bytes, secret: str) -> bytes:
    return hashlib.sha256(salt + secret.encode()).digest()


def _require_tenant(tenant: str) -> None:
    if not _TENANT.fullmatch(tenant):
        raise Usage(
            f"{tenant!r} cannot be the name of a tenant", next="use letters, digits, '-', '_' and '.', at most 100"
        )
