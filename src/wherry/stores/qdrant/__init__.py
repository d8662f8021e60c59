"""Qdrant, three ways behind one store.

    qdrant:./folder#name           its engine in this process, one directory per collection
    qdrant+http://host:6333#name   a server, through the official client (also +https, +grpc)
    qdrant:./folder#name           a folder of the client's local mode, where there is one: read only

Options: `vector` (the name of a vector), `text` (the payload key of the text), `metric` (for a new
collection), `index=key,key:integer` (payload indexes for filters). Servers: `api_key` (or
QDRANT_API_KEY), `timeout` in seconds.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from wherry.address import Address, is_url
from wherry.errors import BadAddress, Unsupported
from wherry.stores.base import Capabilities, Probe, Readable
from wherry.stores.qdrant import local
from wherry.stores.qdrant.link import Link
from wherry.stores.qdrant.shape import CAPABILITIES
from wherry.stores.qdrant.source import QdrantSource
from wherry.stores.qdrant.target import QdrantStore
from wherry.stores.qdrant.wanted import Wanted, options

for _package in ("qdrant_edge", "qdrant_client"):
    # Looked for, not loaded: each costs half a second and one of them is enough for an address.
    if find_spec(_package) is None:
        raise ModuleNotFoundError(f"No module named {_package!r}", name=_package)

_UNSIGNED, _SIGNED = (1 << 64) - 1, (1 << 63) - 1


def open_source(address: Address) -> Readable:
    """Open a collection for reading. Raises NoSuchCollection when it is not there."""
    wanted = Wanted.of(address)
    store = _source(address, _link(address, wanted), wanted)
    try:
        store.describe()
    except BaseException:
        store.close()
        raise
    return store


def _source(address: Address, link: Link, wanted: Wanted) -> QdrantSource:
    if local.is_local(address) or address.scheme == "qdrant":
        return QdrantSource(address, link, wanted, *_claims(address))
    from wherry.stores.qdrant.remote import ServerLink
    from wherry.stores.qdrant.served import ServedSource

    return ServedSource(address, cast(ServerLink, link), wanted, *_claims(address))


def open_target(address: Address) -> QdrantStore:
    """Open a collection for writing; it is made by prepare, not here."""
    if local.is_local(address):
        raise Unsupported(
            "this folder belongs to the Qdrant client's local mode and can only be read",
            where=str(address),
            next="choose another folder: the engine itself runs there",
        )
    wanted = Wanted.of(address)
    return QdrantStore(address, _link(address, wanted), wanted, *_claims(address))


def probe() -> Probe:
    """Tell the versions of the engine and of the client."""
    return Probe("qdrant", True, f"engine {version('qdrant-edge-py')}, client {version('qdrant-client')}")


def _link(address: Address, wanted: Wanted) -> Link:
    if local.is_local(address):
        address.require_options(options())
        return local.link_to(address, wanted.vector)
    if address.scheme != "qdrant":
        from wherry.stores.qdrant.remote import ServerLink

        address.require_options(options("api_key", "timeout"))
        return ServerLink(address, wanted.vector)
    address.require_options(options())
    if is_url(address.location):
        raise BadAddress(
            "qdrant: is followed by a folder", where=str(address), next="a server is qdrant+http://HOST:6333#NAME"
        )
    from wherry.stores.qdrant.edge import EdgeLink, directory_of

    path = directory_of(Path(address.path), address.collection, str(address))
    return EdgeLink(path, wanted.vector, str(address))


def _claims(address: Address) -> tuple[Capabilities, int]:
    if local.is_local(address):
        return replace(CAPABILITIES, normalises=frozenset()), _UNSIGNED
    if address.scheme == "qdrant":
        return CAPABILITIES, _UNSIGNED
    # Numbers in the payload are signed on the gRPC wire. A server moves an alias in one step.
    return replace(CAPABILITIES, atomic_switch=True), _SIGNED if address.scheme == "qdrant+grpc" else _UNSIGNED


__all__ = ["open_source", "open_target", "probe"]
