"""What the parts of Tutor share: the database, the switches, and models and stores opened by them."""

from __future__ import annotations

import threading
from typing import Any

from sqlalchemy import text

import wherry
from wherry import AppDatabase, Chat, Embedder
from wherry_apps.tutor.points import Points
from wherry_apps.tutor.switches import SwitchBoard, Switches, address_of, vector_schema


class Resources:
    """Opened when first needed, shared by threads, closed at the end.

    Models are kept by their spec, so that a switch takes effect at once and a model is opened once.
    """

    def __init__(self, db: AppDatabase) -> None:
        self.db = db
        self.board = SwitchBoard(db)
        self._open: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Make the schema of the collections."""
        schema = vector_schema(self.db)
        with self.db.begin() as connection:
            if connection.execute(text("SELECT to_regnamespace(:name)"), {"name": schema}).scalar() is None:
                connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": schema})
                connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))

    def switches(self) -> Switches:
        """Return what is in use now."""
        return self.board.read()

    def points(self, store: str | None = None, embedder: str | None = None) -> Points:
        """Return the collection in use, or the one of the same name in another store or by another embedder."""
        now = self.switches()
        now.require_in_use(store or now.store)
        address = address_of(store or now.store, now.collection, self.db)
        return Points(address, self.embedder(embedder or now.embedder), now.batch)

    def embedder(self, spec: str) -> Embedder:
        """Return an open embedder."""
        return self._kept("embedder", spec, wherry.open_embedder)

    def chat(self, spec: str | None = None) -> Chat:
        """Return an open chat model: the one in use, or another."""
        now = self.switches()
        now.require_in_use(spec or now.llm)
        return self._kept("chat", spec or now.llm, wherry.open_chat)

    def close(self) -> None:
        """Close models and connections; a second call does nothing."""
        with self._lock:
            opened, self._open = list(self._open.values()), {}
        for one in opened:
            one.close()
        self.db.close()

    def _kept(self, kind: str, spec: str, opening: Any) -> Any:
        with self._lock:
            if (kind, spec) not in self._open:
                self._open[kind, spec] = opening(spec)
            return self._open[kind, spec]
