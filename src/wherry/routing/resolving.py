"""What a person may write where a collection is read: an address, or the name of a route."""

from __future__ import annotations

import re
from pathlib import Path

from wherry.routing.book import Book

_NAME = re.compile(r"[\w.-]+")
_SUFFIXES = (".json", ".jsonl", ".parquet")


def address_of(place: str) -> str:
    """Return the address a reader means: where a route leads now, or the address itself. Raises NoSuchRoute."""
    if not _NAME.fullmatch(place) or place.lower().endswith(_SUFFIXES) or Path(place).exists():
        return place
    with Book() as book:
        return book.require(place).leads_to()
