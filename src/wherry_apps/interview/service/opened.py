"""The opened service: its database, the embedder and the chat model, each made when it is first needed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

import wherry
from wherry_apps.interview.tables import Base

EMBEDDER, CHAT = "INTERVIEW_EMBEDDER", "INTERVIEW_CHAT"
USUAL_EMBEDDER, OFFLINE = "hash:1024", "offline"
MIGRATIONS = Path(__file__).parents[1] / "migrations"
# The newest revision there is a file for.
HEAD = max(path.stem[1:5] for path in MIGRATIONS.glob("v*.py"))
NEXT_MIGRATE = "wherry interview migrate --dry-run"


class Interview:
    """Interview, opened. url: of a database; None takes it from the environment.

    embedder, chat: specs of models; None takes them from INTERVIEW_EMBEDDER and INTERVIEW_CHAT, else `hash:1024`
    and `offline`, which need no key.
    """

    def __init__(
        self, url: str | None = None, embedder: str | None = None, chat: str | None = None, schema: str | None = None
    ) -> None:
        self.database = wherry.AppDatabase("interview", Base.metadata, MIGRATIONS, url, schema)
        self.embedder_spec = embedder or os.environ.get(EMBEDDER) or USUAL_EMBEDDER
        self.chat_spec = chat or os.environ.get(CHAT) or OFFLINE
        self._lock = RLock()
        self._embedder: Any = None
        self._chat: wherry.Chat | None = None
        self._ready = False

    @property
    def offline(self) -> bool:
        """Whether there is no chat model: everything is then made by rule, and says so."""
        return self.chat_spec == OFFLINE

    @property
    def chat_name(self) -> str:
        """Provider and model, as rows record it: options may name hosts, which are nobody's but the operator's."""
        return self.chat_spec.partition("?")[0][:200]

    @property
    def embedder(self) -> Any:
        """The embedder behind the guard. Raises UnknownModel, MissingExtra, AuthFailed, ..."""
        with self._lock:
            if self._embedder is None:
                self._embedder = wherry.open_embedder(self.embedder_spec)
            return self._embedder

    @property
    def chat(self) -> wherry.Chat:
        """The chat model. Raises UnknownModel, MissingExtra, AuthFailed, ..."""
        with self._lock:
            if self._chat is None:
                self._chat = wherry.open_chat(self.chat_spec)
            return self._chat

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Give a session of one transaction; tables are made at the first. Raises what AppDatabase.session raises."""
        self.prepare()
        with self.database.session() as session:
            yield session

    def prepare(self) -> None:
        """Make the tables where there are none. Raises Refused where an older program's are."""
        with self._lock:
            if self._ready:
                return
            there = self.database.revision()
            if there is None:
                self.refuse_older()
            if there != HEAD:
                self.upgrade()
            self._ready = True

    def upgrade(self) -> None:
        """Bring the tables to this version. Raises StoreError where the extension may not be installed."""
        try:
            self.database.upgrade()
        except wherry.Refused as error:
            if "CREATE EXTENSION" not in error.next:
                raise
            raise wherry.StoreError(error.what, where=error.where, left=error.left, next=error.next) from None

    def older_tables(self) -> list[str]:
        """Return the tables of ours that an older program made: they are there, and no revision is recorded."""
        if self.database.revision() is not None:
            return []
        with self.database.begin() as connection:
            there = sa.inspect(connection).get_table_names(schema=self.database.schema)
        return sorted(set(there) & set(Base.metadata.tables))

    def refuse_older(self) -> None:
        """Raise Refused where tables of an older program stand."""
        older = self.older_tables()
        if older:
            raise wherry.Refused(
                f"an older program made these tables: {', '.join(older)}",
                where=f"schema {self.database.schema}",
                left="nothing was changed",
                next=NEXT_MIGRATE,
            )

    def close(self) -> None:
        """Close connections and models; a second call does nothing."""
        with self._lock:
            for opened in (self._embedder, self._chat):
                if opened is not None:
                    opened.close()
            self._embedder = self._chat = None
        self.database.close()


def open_service() -> Interview:
    """Open the service that the endpoints of one process share."""
    return Interview()
