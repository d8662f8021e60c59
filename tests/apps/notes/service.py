"""Notes in a table, whose they are, and how they are found again."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from pgvector.sqlalchemy import Vector
from sqlalchemy import Index, String, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import wherry


class Base(DeclarativeBase):
    """The tables of the app."""


class Note(Base):
    """One note. embedding: of its text, 64 components."""

    __tablename__ = "notes"
    __table_args__ = (
        Index(
            "idx_notes_embedding",
            "embedding",
            postgresql_using="hnsw",
            postgresql_with={"m": 16, "ef_construction": 64},
            postgresql_ops={"embedding": "vector_cosine_ops"},
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(100), server_default="local")
    title: Mapped[str] = mapped_column(String(200), unique=True)
    body: Mapped[str]
    embedding: Mapped[Any] = mapped_column(Vector(64), nullable=True)


class Notes:
    """The app's acts."""

    def __init__(self, url: str | None = None) -> None:
        self.database = wherry.AppDatabase("notes", Base.metadata, Path(__file__).parent / "migrations", url)
        self.database.upgrade()
        self.embedder = wherry.open_embedder("hash:64")

    def add(self, owner: str, title: str, body: str) -> int:
        """Keep a note and return its number. Raises Conflict when the title is taken."""
        vector = self.embedder.embed([body])[0]
        with self.database.session() as session:
            note = Note(owner=owner, title=title, body=body, embedding=vector)
            session.add(note)
            session.flush()
            return note.id

    def get(self, owner: str | None, number: int) -> Note:
        """Return a note. Raises NotFound, also when it is another's."""
        with self.database.session() as session:
            note = session.get(Note, number)
            if note is None or owner not in (None, note.owner):
                raise wherry.NotFound(f"there is no note {number}", next="wherry notes add")
            return note

    def titles(self, owner: str | None) -> list[str]:
        """Return the titles, by number."""
        wanted = select(Note.title).order_by(Note.id)
        with self.database.session() as session:
            return list(session.scalars(wanted if owner is None else wanted.where(Note.owner == owner)))

    def find(self, owner: str, question: str) -> wherry.Hits:
        """Return the owner's notes that are nearest to a question."""
        place = self.database.address("notes", vector="embedding", text="body", metadata="", fields="owner,title")
        vector = [float(x) for x in self.embedder.embed([question])[0]]
        return wherry.search(vector, in_=place, k=3, where={"owner": owner}, mode="vector")

    def close(self) -> None:
        """Close the connections."""
        self.database.close()


def open_service() -> Notes:
    """Return the app's acts over the database of the environment."""
    return Notes()


class Counting:
    """Work in the background: counts once what there is."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self.counted = threading.Event()
        self.stopped = False

    def start(self) -> None:
        """Count."""
        self._notes.titles(None)
        self.counted.set()

    def stop(self) -> None:
        """Stop."""
        self.stopped = True


works: list[Counting] = []


def counting(notes: Notes) -> Counting:
    """Return the app's background work."""
    works.append(Counting(notes))
    return works[-1]
