"""Lists of bytes as parameters, in binary: the driver writes lists as text, which takes 150 times as long for these."""

from __future__ import annotations

from typing import Any

from psycopg.abc import Dumper
from psycopg.adapt import PyFormat
from psycopg.types.array import ListBinaryDumper, ListDumper


class ListsOfBytes(ListDumper):
    """The driver's dumper of lists, with those of bytes left to its binary one."""

    def upgrade(self, obj: list[Any], format: PyFormat) -> Dumper:
        """Return what dumps a list of this kind."""
        if isinstance(self._find_list_element(obj, format), bytes):
            return ListBinaryDumper(self.cls, self.connection).upgrade(obj, PyFormat.BINARY)
        return super().upgrade(obj, format)
