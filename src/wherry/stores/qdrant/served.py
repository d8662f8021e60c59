"""A collection of a Qdrant server, which has aliases beside it."""

from __future__ import annotations

from wherry.address import Address
from wherry.stores.base import Capabilities
from wherry.stores.qdrant.remote import ServerLink
from wherry.stores.qdrant.source import QdrantSource
from wherry.stores.qdrant.wanted import Wanted


class ServedSource(QdrantSource):
    """A collection of a server, to be read; an alias can be moved to it."""

    def __init__(self, address: Address, link: ServerLink, wanted: Wanted, claimed: Capabilities, largest: int) -> None:
        super().__init__(address, link, wanted, claimed, largest)
        self._server = link

    @property
    def own_name(self) -> str:
        """The collection's own name, whatever alias led to it."""
        return self._server.own_name

    def take_over(self, name: str, identity: str) -> bool:
        """Let an alias of the collection of `identity` stand for this one, in one step; tell whether it was one."""
        return self._server.take_over(name, identity)
