"""Reaching a PostgreSQL server: which one an address means, and connections that come back.

pgvector:#docs                       the server of WHERRY_DATABASE_URL, else the embedded one
pgvector://user:pw@host/db#docs      any server; options that are not Wherry's go to the driver
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from wherry.address import Address
from wherry.errors import BadAddress
from wherry.postgres import server
from wherry.postgres.failures import translated
from wherry.postgres.lists import ListsOfBytes

CONNECT_S = 10
VARIABLE = "WHERRY_DATABASE_URL"
_SCHEME = re.compile(r"^(postgres(ql)?|pgvector)(\+\w+)?:")
_DEFAULTS: dict[str, str | int] = {
    "connect_timeout": CONNECT_S,
    "application_name": "wherry",
    # A peer that vanished without a word is noticed within a minute.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
# What a role or a pooler may have set would end long reads or change what they return.
SESSION = (
    "SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '60s', true),"
    " set_config('idle_in_transaction_session_timeout', '0', true), set_config('jit', 'off', true),"
    " set_config('synchronize_seqscans', 'off', true),"
    " set_config('max_parallel_workers_per_gather', '0', true)"
)
_HASTY = f"{SESSION}, set_config('synchronous_commit', 'off', true)"


@dataclass(frozen=True)
class Server:
    """A database of a server. conninfo: for the driver alone; None = the embedded server.

    shown: the address, fit to print. secrets: what must never show in a message.
    """

    conninfo: str | None = field(repr=False)
    shown: str
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def embedded(self) -> bool:
        """Whether this is the server of the state folder, which starts by itself."""
        return self.conninfo is None

    def connect(self) -> psycopg.Connection:
        """Return a new connection in autocommit mode. Raises Unreachable or AuthFailed."""
        conninfo = self.whole_conninfo()
        with translated(self.shown, self.secrets):
            # $1 instead of %s as a placeholder: names may hold a percent sign.
            connection = psycopg.connect(
                conninfo, autocommit=True, prepare_threshold=None, cursor_factory=psycopg.RawCursor
            )
        connection.adapters.register_dumper(list, ListsOfBytes)
        return connection

    def whole_conninfo(self) -> str:
        """Return what any client over libpq connects with; it may hold a password."""
        conninfo = server.start() if self.conninfo is None else self.conninfo
        return make_conninfo(**{**_DEFAULTS, **conninfo_to_dict(conninfo), "client_encoding": "utf8"})


def server_of(address: Address, own: set[str]) -> Server:
    """Return the server an address means; options not in `own` are the driver's.

    Raises BadAddress for an option that neither Wherry nor the driver knows.
    """
    options = {name: value for name, value in address.options.items() if name not in own}
    url = address.url if address.location else os.environ.get(VARIABLE, "")
    if not url:
        address.require_options(own)
        return Server(None, str(address))
    address.require_options(own | {d.keyword.decode() for d in pq.Conninfo.get_defaults()})
    conninfo = _conninfo(url, options, address)
    password = conninfo_to_dict(conninfo).get("password")
    return Server(conninfo, str(address), (str(password),) if password else ())


def server_at(url: str) -> Server:
    """Return the server of an URL such as postgresql://user:pw@host/db, SQLAlchemy's spellings of it included.

    Raises BadAddress, which never repeats a password.
    """
    return server_of(Address.parse(_SCHEME.sub("postgresql:", url)), set())


def _conninfo(url: str, options: dict[str, str], address: Address) -> str:
    try:
        if address.location and not address.location.startswith("//"):
            raise psycopg.ProgrammingError
        return make_conninfo(_SCHEME.sub("postgresql:", url), **options)
    except psycopg.ProgrammingError:
        # The driver's own words may quote a piece of the password.
        place = str(address) if address.location else VARIABLE
        raise BadAddress(
            f"{place} is no PostgreSQL address",
            next="write pgvector://user:password@host:port/database#table; % in a password as %25",
        ) from None


class Link:
    """One connection, made when first needed and made again after it broke; for one thread at a time."""

    def __init__(self, to: Server, read_only: bool = False) -> None:
        self.server = to
        self.read_only = read_only
        self._lock = threading.RLock()
        self._connection: psycopg.Connection | None = None

    @contextmanager
    def begin(self, ids: Sequence[str] = (), *, durable: bool = True) -> Iterator[psycopg.Connection]:
        """Run one transaction: committed at the end, rolled back by an error.

        ids: named when the server refuses a row of a batch. durable=False leaves it to a later
        commit to wait for the disk.
        """
        with self._lock, translated(self.server.shown, self.server.secrets, ids):
            connection = self._connected()
            with connection.transaction():
                connection.execute(SESSION if durable else _HASTY)
                yield connection

    @contextmanager
    def alone(self) -> Iterator[psycopg.Connection]:
        """Give the connection outside of a transaction, for statements that refuse to be in one."""
        with self._lock, translated(self.server.shown, self.server.secrets):
            yield self._connected()

    def close(self) -> None:
        """Close the connection; it is made again if it is needed again."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def _connected(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = self.server.connect()
            self._connection.read_only = self.read_only
            if self.read_only:
                self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return self._connection
