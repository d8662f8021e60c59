"""A process that dies at any statement leaves old or new documents, and the next run pays for nothing twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from tests.indexing.kills import exchanges, killed
from tests.indexing.kit import Counting, Paragraphs, Shelf
from wherry.indexing.act import index
from wherry.indexing.generations import rebuild, rollback

# A model's request holds so many texts. One may be under way and the one before it on the way to the database
# when the process dies: they are all that may be paid for again.
REQUEST = 3
BEFORE = {
    "고칠 글": "첫 문단\n\n고칠 문단\n\n끝 문단",
    "옮길 글": "옮길 첫 문단\n\n옮길 끝 문단",
    "지울 글": "지울 문단",
    "남는 글": "남는 문단\n\n끝 문단",
}
AFTER = {
    "고칠 글": "새 문단\n\n첫 문단\n\n고친 문단\n\n끝 문단",
    "옮긴 글": "옮길 첫 문단\n\n옮길 끝 문단",
    "남는 글": "남는 문단\n\n끝 문단",
    "새 글": "또 다른 문단\n\n아주 새 문단\n\n셋째 문단\n\n넷째 문단\n\n끝 문단",
}


@dataclass
class Scene:
    """One collection and what happens to it. act: what is killed; settled: what the texts must be in the end."""

    pg: psycopg.Connection
    name: str
    log: Path
    act: Callable[[], object]
    finish: Callable[[], object]
    settled: dict[str, str]
    allowed: tuple[dict[str, str], ...]

    def documents(self) -> dict[str, list[str]]:
        """Return the paragraphs readers see, by document, in order."""
        there = self.pg.execute("SELECT to_regclass(%s) IS NOT NULL", [self.name]).fetchone()
        if there != (True,):
            return {}
        rows = self.pg.execute(
            f"SELECT metadata->>'source', text FROM {self.name} ORDER BY 1, (metadata->>'chunk')::int"
        ).fetchall()
        found: dict[str, list[str]] = {}
        for document, text in rows:
            found.setdefault(document, []).append(text)
        return found

    def require_whole(self) -> None:
        """Every document a reader sees is one of its versions, never a mixture."""
        for document, paragraphs in self.documents().items():
            versions = [texts[document].split("\n\n") for texts in self.allowed if document in texts]
            assert paragraphs in versions, f"{document} is a mixture: {paragraphs}"

    def require_settled(self) -> None:
        """Readers see what the documents say, and nothing was paid for twice but what was under way."""
        assert self.documents() == {name: text.split("\n\n") for name, text in self.settled.items()}
        paid = Counter(self.log.read_text().splitlines())
        twice = [text for text, count in paid.items() if count > 1]
        assert max(paid.values()) <= 2
        assert len(twice) <= 2 * REQUEST, f"paid for again: {twice}"


def model(log: Path, dimension: int = 8, name: str = "counting", digest: str = "") -> Counting:
    """A model of small requests that writes down what it was asked for."""
    made = Counting(dimension, digest, name)
    made.limits = type(made.limits)(items=REQUEST, tokens=None, text_tokens=None, concurrency=1)
    made.log = log
    return made


def first(pg: psycopg.Connection, folder: Path) -> Scene:
    """A first run into nothing."""
    name, log = f"t{uuid4().hex[:10]}", folder / uuid4().hex
    teller = model(log)

    def act() -> object:
        return index(Shelf(AFTER), f"pgvector:#{name}", embedder=teller, chunker=Paragraphs()).to_dict()

    return Scene(pg, name, log, act, act, AFTER, (AFTER,))


def change(pg: psycopg.Connection, folder: Path) -> Scene:
    """A run over documents that were edited, renamed, added and removed."""
    name, log = f"t{uuid4().hex[:10]}", folder / uuid4().hex
    teller = model(log)
    index(Shelf(BEFORE), f"pgvector:#{name}", embedder=teller, chunker=Paragraphs())

    def act() -> object:
        return index(Shelf(AFTER), f"pgvector:#{name}", embedder=teller, chunker=Paragraphs()).to_dict()

    return Scene(pg, name, log, act, act, AFTER, (BEFORE, AFTER))


def renewal(pg: psycopg.Connection, folder: Path) -> Scene:
    """A rebuild with another model."""
    name, log = f"t{uuid4().hex[:10]}", folder / uuid4().hex
    index(Shelf(AFTER), f"pgvector:#{name}", embedder=Counting(8), chunker=Paragraphs())
    teller = model(log, 12, "other")

    def act() -> object:
        return rebuild(f"pgvector:#{name}", teller).to_dict()

    def finish() -> object:
        live = pg.execute("SELECT atttypmod FROM pg_attribute WHERE attrelid = %s::regclass AND attname = 'embedding'",
                          [name]).fetchone()  # fmt: skip
        return act() if live == (8,) else None

    return Scene(pg, name, log, act, finish, AFTER, (AFTER,))


def way_back(pg: psycopg.Connection, folder: Path) -> Scene:
    """A rollback."""
    name, log = f"t{uuid4().hex[:10]}", folder / uuid4().hex
    teller = model(log)
    index(Shelf(AFTER), f"pgvector:#{name}", embedder=teller, chunker=Paragraphs())
    rebuild(f"pgvector:#{name}", Counting(12, model="other"))

    def act() -> object:
        return rollback(f"pgvector:#{name}").to_dict()

    def finish() -> object:
        found = pg.execute(
            "SELECT g.number FROM wherry.indexes i JOIN wherry.generations g"
            ' ON g."index" = i.id AND g.number = i.live WHERE i.target = %s', [f"table:public.{name}"]
        ).fetchone()  # fmt: skip
        return act() if found == (2,) else None

    return Scene(pg, name, log, act, finish, AFTER, (AFTER,))


SCENES = {"first": first, "change": change, "rebuild": renewal, "rollback": way_back}


def points(kind: str, pg: psycopg.Connection, folder: Path) -> int:
    """Return how many exchanges an undisturbed run of a scene has, once Wherry's own tables are there."""
    for _ in range(2):
        count, ending = exchanges(SCENES[kind](pg, folder).act)
        assert not ending.error, ending
    return count


def strike(kind: str, pg: psycopg.Connection, folder: Path, at: int, after: bool) -> None:
    """Kill a scene at one exchange, look at what readers see, and go on."""
    scene = SCENES[kind](pg, folder)
    ending = killed(scene.act, at, after)
    assert ending.killed, f"{kind} ended before exchange {at}: {ending}"
    scene.require_whole()
    scene.finish()
    scene.log.touch()
    if kind in ("first", "change", "rebuild"):
        scene.require_settled()
    else:
        assert scene.documents() == {name: text.split("\n\n") for name, text in scene.settled.items()}


@pytest.mark.parametrize(("kind", "step"), [("first", 17), ("change", 15), ("rebuild", 23), ("rollback", 13)])
def test_some_statements_of_each_act(kind: str, step: int, pg: psycopg.Connection, tmp_path: Path) -> None:
    count = points(kind, pg, tmp_path)
    assert count > 15
    for at in range(2, count, step):
        strike(kind, pg, tmp_path, at, after=bool(at % 2))


@pytest.mark.campaign
@pytest.mark.parametrize("kind", SCENES)
def test_every_statement_of_each_act(kind: str, pg: psycopg.Connection, tmp_path: Path) -> None:
    for at in range(1, points(kind, pg, tmp_path) + 1):
        for after in (False, True):
            strike(kind, pg, tmp_path, at, after)
