"""The engine passes the suite that every engine of Wherry passes."""

from urllib.parse import quote

from wherry.testing.conformance import Fixtures, StoreConformance


class ShelfFixtures(Fixtures):
    """Where the suite makes collections of this engine."""

    def address(self, name):
        return f"shelf:{self.folder / 'shelf.db'}#{quote(name, safe='')}"


class TestShelf(StoreConformance):
    fixtures = ShelfFixtures
