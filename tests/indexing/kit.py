"""What the tests of indexing share: documents in memory and in folders, a chunker, an embedder that counts."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import numpy as np

from wherry.errors import BadRecord, Unreachable
from wherry.indexing.base import Chunk, Document, Listed, Part, Stamp
from wherry.models.calls import Patience
from wherry.models.guard import GuardedEmbedder
from wherry.models.hashing import HashEmbedder
from wherry.models.probe import TEXTS
from wherry.models.registry import guarded
from wherry.models.wire import Limits
from wherry.space import Space

DIMENSION = 16


@dataclass(frozen=True)
class Item:
    """A document in memory; without a stamp only its bytes tell whether it changed."""

    id: str
    data: bytes
    stamp: Stamp | None = None
    metadata: dict = field(default_factory=dict)

    def bytes(self) -> bytes:
        """Return its bytes."""
        return self.data

    def read(self, data: bytes) -> Document:
        """Return its text as one part."""
        if data.startswith(b"%BROKEN"):
            raise BadRecord("this document cannot be parsed", where=self.id)
        return Document(self.id, (Part(data.decode().partition("\x1e")[0]),), metadata=self.metadata)


class Shelf:
    """A source in memory: texts by id."""

    parser = "text-1"

    def __init__(self, texts: dict[str, str], name: str = "shelf") -> None:
        self.texts, self.name = texts, name
        self.metadata: dict[str, dict] = {}
        self.fails_after: int | None = None

    def documents(self) -> Iterator[Listed]:
        """Yield every document; fail where the test says so."""
        for number, (key, text) in enumerate(list(self.texts.items())):
            if self.fails_after == number:
                raise OSError(5, "Input/output error")
            meta = self.metadata.get(key, {})
            yield Item(key, f"{text}\x1e{sorted(meta.items())}".encode(), None, meta)


@dataclass(frozen=True)
class FileItem:
    """A file of a folder."""

    path: Path
    id: str
    stamp: Stamp

    def bytes(self) -> bytes:
        """Return its bytes."""
        return self.path.read_bytes()

    def read(self, data: bytes) -> Document:
        """Return its text as one part."""
        return Document(self.id, (Part(data.decode()),))


class Folder:
    """The files of a folder, as simple as can be; counts what is read."""

    parser = "file-1"

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, f"folder:{path}"

    def documents(self) -> Iterator[Listed]:
        """Yield the files."""
        for path in self.path.iterdir():
            stat = path.stat()
            yield FileItem(path, path.name, Stamp(stat.st_size, stat.st_mtime_ns, stat.st_ino))


class Paragraphs:
    """Cuts at empty lines."""

    def __init__(self, version: int = 1) -> None:
        self.identity = f"paragraphs-{version}"

    def cut(self, document: Document) -> list[Chunk]:
        """Return a chunk per paragraph."""
        text, found, start = "\n".join(part.text for part in document.parts), [], 0
        for piece in text.split("\n\n"):
            if piece.strip():
                found.append(Chunk(len(found), piece, start, start + len(piece)))
            start += len(piece) + 2
        return found


class Counting:
    """The hash embedder, which counts what it is asked for and refuses what a test calls poison.

    digest: tells two models apart; a new one by default, so that no test finds what another one paid for.
    down: texts that begin so meet a model that does not answer. log: a file that every text is written to
    before its vector is given, for processes that are going to be killed.
    """

    def __init__(self, dimension: int = DIMENSION, digest: str | None = "", model: str = "counting") -> None:
        self.inner = HashEmbedder(dimension)
        digest = uuid4().hex if digest == "" else digest
        self.dimension, self.digest, self.model = dimension, digest, model
        self.limits = Limits(items=32, tokens=None, text_tokens=None, concurrency=1)
        self.texts: list[str] = []
        self.poison: set[str] = set()
        self.down = ""
        self.log: Path | None = None
        self.fails: list[Exception] = []
        self._lock = threading.Lock()

    @property
    def spec(self) -> str:
        """Return a spec nobody can open."""
        return f"counting:{self.model}"

    @property
    def paid(self) -> list[str]:
        """Every text that was asked for, without the guard's probe."""
        return [text for text in self.texts if text not in TEXTS]

    def space(self) -> Space:
        """Return its card."""
        card = self.inner.space()
        return Space(self.dimension, card.metric, "counting", self.model, self.digest, True)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Count, fail where a test says so, embed."""
        if self.fails:
            raise self.fails.pop(0)
        if any(text.startswith(self.down) for text in texts if self.down):
            raise Unreachable("the model is down")
        for position, text in enumerate(texts):
            if text in self.poison:
                raise BadRecord(f"text {position} is poison")
        with self._lock:
            self.texts += texts
            if self.log is not None:
                with self.log.open("a") as handle:
                    handle.write("".join(f"{text}\n" for text in texts if text not in TEXTS))
        return self.inner.embed(texts)

    def embed_query(self, text: str) -> np.ndarray:
        """Embed a question as a document."""
        return self.inner.embed([text])[0]

    def close(self) -> None:
        """Release nothing."""


def impatient(embedder: Counting) -> GuardedEmbedder:
    """Return the embedder behind a guard that tries nothing twice."""
    return guarded(embedder, patience=Patience(deadline_s=0))


def settle(folder: Path, hours: int = 1) -> None:
    """Give every file of a folder a time that has long passed."""
    then = time.time_ns() - hours * 3600 * 10**9
    for path in folder.iterdir():
        os.utime(path, ns=(then, then + 1))
