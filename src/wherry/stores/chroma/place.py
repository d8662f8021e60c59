"""Where a Chroma collection is: a folder of this machine or a server, and the rule for its name.

    chroma:./welno#guides                          a persistent folder
    chroma+http://host:8000#guides                 a server; chroma+https for TLS
    chroma+https://host/base?token=T&header=authorization#guides

A server's token comes from `?token=` or the environment variable CHROMA_TOKEN and is sent as
`x-chroma-token`, or as `Authorization: Bearer` with `?header=authorization`; `//user:password@host` is
sent as basic authorization. `?tenant=` and `?database=` name others than a server's defaults.
"""

from __future__ import annotations

import base64
import os
import re
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from urllib.parse import unquote, urlsplit

from wherry.address import Address, secrets_of
from wherry.errors import BadAddress
from wherry.space import Metric
from wherry.stores.layouts import OPTION, wanted

SHORTEST, LONGEST = 3, 512
RULE = (
    f"a Chroma name has {SHORTEST} to {LONGEST} characters of a-z, A-Z, 0-9, '.', '_' and '-', begins and "
    "ends with a letter or digit, has no two dots in a row and is no IP address"
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]")
_IP = re.compile(r"\d{1,3}(\.\d{1,3}){3}")
_EVERYWHERE = {"metric", OPTION}
_OPTIONS = {"tenant", "database", "token", "header"} | _EVERYWHERE
_HEADERS = ("x-chroma-token", "authorization")
_PORTS = {"http": 8000, "https": 443}
DATABASE_FILE = "chroma.sqlite3"


@dataclass(frozen=True)
class Server:
    """A Chroma server: `base` is its URL without credentials, `headers` go with every request."""

    base: str
    host: str
    port: int
    headers: dict[str, str] = field(repr=False)


@dataclass(frozen=True)
class Place:
    """One collection: in `folder` (a real path) or on `server`; `secrets` never show in a message.

    stated: the metric the address states, for a collection that is still to be made. layout: the one it asks for.
    """

    shown: str
    name: str
    tenant: str
    database: str
    folder: Path | None
    server: Server | None
    stated: Metric | None = None
    layout: str | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def identity(self) -> str:
        """A text that is equal for two addresses of one collection."""
        where = str(self.folder) if self.server is None else self.server.base
        return f"chroma:{where}#{self.tenant}/{self.database}/{self.name}"

    @property
    def volume(self) -> str | None:
        """A path on the disk that holds the data; None for a server."""
        return None if self.folder is None else str(self.folder)

    @property
    def is_there(self) -> bool:
        """Whether the folder holds a Chroma database; a server is asked later."""
        return self.folder is None or (self.folder / DATABASE_FILE).is_file()


def place_of(address: Address) -> Place:
    """Read an address. Raises BadAddress."""
    from_server = address.scheme != "chroma"
    address.require_options(_OPTIONS if from_server else _EVERYWHERE)
    server = _server(address) if from_server else None
    secrets = secrets_of(address)
    if server is not None and "CHROMA_TOKEN" in os.environ:
        secrets.append(os.environ["CHROMA_TOKEN"])
    return Place(
        shown=str(address),
        name=address.collection,
        tenant=address.option("tenant") or "default_tenant",
        database=address.option("database") or "default_database",
        folder=None if from_server else _folder(address),
        server=server,
        stated=address.stated_metric(),
        layout=wanted(address),
        secrets=tuple(secrets),
    )


def require_name(name: str, shown: str) -> None:
    """Raise BadAddress, with the rule and a name that fits, unless Chroma can make such a collection."""
    fits = _NAME.fullmatch(name) and ".." not in name and not _IP.fullmatch(name)
    if fits and SHORTEST <= len(name) <= LONGEST:
        return
    raise BadAddress(
        f"{name!r} cannot be the name of a collection: {RULE}",
        where=shown,
        left="nothing was written",
        next=f"call it {suggestion(name)}",
    )


def suggestion(name: str) -> str:
    """Return a name like `name` that Chroma takes."""
    core = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")[:LONGEST].strip("-_")
    if len(core) >= SHORTEST:
        return core
    return f"{core}-records" if core else "records"


def closest(name: str, names: list[str], most: int = 10) -> list[str]:
    """Return the names that are there, the most similar first."""
    return sorted(names, key=lambda n: (-SequenceMatcher(None, name, n).ratio(), n))[:most]


def _folder(address: Address) -> Path:
    if not address.path or (address.location.startswith("//") and not address.location.startswith("///")):
        raise BadAddress(
            f"{address} names no folder",
            next="write chroma:FOLDER#COLLECTION, or chroma+http://HOST:PORT#COLLECTION for a server",
        )
    return Path(address.path).expanduser().resolve()


def _server(address: Address) -> Server:
    scheme = address.scheme.removeprefix("chroma+")
    try:
        parts = urlsplit(f"{scheme}:{address.location}")
        host, port = parts.hostname, parts.port or _PORTS[scheme]
    except ValueError:
        raise _no_host(address) from None
    if not host:
        raise _no_host(address)
    shown_host = f"[{host}]" if ":" in host else host
    base = f"{scheme}://{shown_host}:{port}{parts.path.rstrip('/')}"
    return Server(base, host, port, _headers(address, parts.username, parts.password))


def _no_host(address: Address) -> BadAddress:
    return BadAddress(f"{address} names no host", next="write chroma+http://HOST:PORT#COLLECTION")


def _headers(address: Address, user: str | None, password: str | None) -> dict[str, str]:
    name = (address.option("header") or _HEADERS[0]).lower()
    if name not in _HEADERS:
        raise BadAddress(f"unknown header {name!r} in {address}", next=f"use {' or '.join(_HEADERS)}")
    token = address.option("token") or os.environ.get("CHROMA_TOKEN")
    if token and not (token.isascii() and token.isprintable()):
        raise BadAddress("the token holds characters that no header can carry", where=str(address))
    headers = {}
    if user is not None:
        pair = f"{unquote(user)}:{unquote(password or '')}".encode()
        headers["authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    if token:
        headers[name] = token if name == _HEADERS[0] else f"Bearer {token}"
    return headers
