"""What the tests of routes share: a small collection of Korean guides, and routes to it."""

from __future__ import annotations

import wherry
from wherry.models.hashing import HashEmbedder
from wherry.record import Record, from_records
from wherry.routing.book import Book, Toggle
from wherry.stores.base import Index
from wherry.stores.registry import open_target

TEXTS = ["공복 혈당이 126 이상이면 당뇨를 의심합니다", "검진 전날 밤부터 금식합니다", "결과표는 의사와 함께 보십시오"]
EMBEDDER = HashEmbedder(64)


def records_of(texts: list[str], first: int = 0) -> list[Record]:
    """Return a record per text, numbered from `first`."""
    vectors = EMBEDDER.embed(texts)
    pairs = enumerate(zip(texts, vectors, strict=True), first)
    return [Record(f"g-{n}", vector.tolist(), text, {"page": n}) for n, (text, vector) in pairs]


def put(address: str, texts: list[str], first: int = 0) -> None:
    """Store texts behind Wherry's back."""
    store = open_target(address)
    store.prepare(EMBEDDER.space(), Index(), len(texts))
    store.upsert(from_records(records_of(texts, first)))
    store.finish(EMBEDDER.space(), Index())
    store.close()


def made(name: str, target: str, toggle: Toggle | None = None) -> None:
    """Make a route."""
    with Book() as book:
        book.make(name, target, toggle, "")


def copied(old: str, new: str) -> None:
    """Copy a collection and prove it."""
    assert wherry.sync(old, new, accept_losses=True).equal
    assert wherry.verify(old, new).equal
