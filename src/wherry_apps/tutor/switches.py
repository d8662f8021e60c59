"""Switches: which chat model, store and embedder are in use. The environment overrules what is stored.

WHERRY_TUTOR_LLM        a chat model (ollama:llama3.1:8b, openai:..., gemini:..., offline)
WHERRY_TUTOR_STORE      pgvector, qdrant, chroma, faiss, or an address
WHERRY_TUTOR_EMBEDDER   an embedder (hash:1024, st:all-MiniLM-L6-v2, ...)
QDRANT_HOST, QDRANT_PORT, QDRANT_API_KEY, QDRANT_COLLECTION_NAME, EMBEDDING_BATCH_SIZE, OLLAMA_HOST
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from wherry import Address, AppDatabase, Refused, Usage
from wherry_apps.tutor.points import DOCUMENT, PAYLOAD_INDEX, QUESTION
from wherry_apps.tutor.tables import Setting

DRAFTING, FOLDER = "drafting", "WHERRY_TUTOR_FOLDER"
THRESHOLDS = {QUESTION: 0.6, DOCUMENT: 0.7, DRAFTING: 0.5}
# The built-in embedder counts the syllables two texts share: what belongs together is less alike than a model finds.
_OF_HASH = 0.25
STORES = ("pgvector", "qdrant", "chroma", "faiss")
_ENVIRONMENT = {"llm": "WHERRY_TUTOR_LLM", "store": "WHERRY_TUTOR_STORE", "embedder": "WHERRY_TUTOR_EMBEDDER"}
_PORT = 6333


@dataclass(frozen=True)
class Switches:
    """What is in use. thresholds: the similarities from which hits count. retired: models and stores no longer used.

    batch: texts embedded at a time. overruled: those that the environment says, whatever is stored.
    """

    llm: str = "offline"
    store: str = "pgvector"
    embedder: str = "hash:1024"
    collection: str = "questions"
    thresholds: Mapping[str, float] = field(default_factory=dict)
    retired: tuple[str, ...] = ()
    batch: int = 32
    overruled: tuple[str, ...] = ()

    def threshold(self, kind: str) -> float:
        """Return the least similarity of a kind of hit: what was set, else what suits the embedder."""
        scale = _OF_HASH if self.embedder.startswith("hash:") else 1.0
        return float(self.thresholds.get(kind, THRESHOLDS[kind] * scale))

    def require_in_use(self, name: str) -> None:
        """Raise Refused for what was retired."""
        shown = named(name) if name in STORES or "#" in name else name
        if shown in self.retired:
            raise Refused(
                f"{shown} was retired", where="tutor", next="wherry tutor rollback returns to a checkpoint before that"
            )

    def stored(self) -> dict[str, Any]:
        """Return what a checkpoint keeps, fit to print."""
        kept = asdict(self) | {"store": named(self.store)}
        return {name: kept[name] for name in ("llm", "store", "embedder", "collection", "thresholds", "retired")}


class SwitchBoard:
    """Reads and sets the switches."""

    def __init__(self, db: AppDatabase) -> None:
        self._db = db

    def read(self) -> Switches:
        """Return what is in use now. Raises Usage for a value of the environment that cannot be."""
        with self._db.session() as session:
            kept = {one.name: one.value for one in session.scalars(select(Setting))}
        said = {name: os.environ[key] for name, key in _ENVIRONMENT.items() if os.environ.get(key)}
        if os.environ.get("QDRANT_COLLECTION_NAME"):
            said["collection"] = os.environ["QDRANT_COLLECTION_NAME"]
        values = {**kept, **said}
        values["retired"] = tuple(values.get("retired", ()))
        overruled = tuple(sorted(name for name in said if name in kept and kept[name] != said[name]))
        return Switches(**values, batch=_whole("EMBEDDING_BATCH_SIZE", 32), overruled=overruled)

    def set(self, **values: Any) -> Switches:
        """Store switches, each replaced whole, and return what is in use now."""
        with self._db.session() as session:
            for name, value in values.items():
                session.merge(Setting(name=name, value=list(value) if isinstance(value, tuple) else value))
        return self.read()

    def restore(self, values: Mapping[str, Any]) -> Switches:
        """Store exactly these switches and forget every other."""
        with self._db.session() as session:
            for one in session.scalars(select(Setting)):
                session.delete(one)
        return self.set(**values)


def address_of(store: str, collection: str, db: AppDatabase) -> Address:
    """Return where a collection is in a store. store: one of `STORES`, or an address. Raises Usage."""
    if store == "pgvector":
        base = db.address(collection)
        return Address(base.scheme, base.location, f"{vector_schema(db)}.{collection}", base.options)
    if store == "qdrant":
        return _qdrant(collection)
    if store in STORES:
        return Address(store, str(folder() / store), collection)
    found = Address.parse(store)
    if found.collection or found.scheme == "archive":
        return found
    return Address(found.scheme, found.location, collection, found.options)


def named(store: str) -> str:
    """Return a store as it may be printed and written down: a password in an address is hidden."""
    return store if store in STORES else str(Address.parse(store))


def require_open(store: str) -> None:
    """Raise Usage for an address with a password: what is written down has none."""
    if "***" in named(store):
        raise Usage(
            f"{named(store)} holds a password, which is not written down",
            left="nothing was changed",
            next="leave it out, and give it to the driver: PGPASSWORD, QDRANT_API_KEY",
        )


def vector_schema(db: AppDatabase) -> str:
    """Return the schema of the collections in PostgreSQL, apart from the tables."""
    return "tutor_vectors" if db.schema == "public" else f"{db.schema}_vectors"


def folder() -> Path:
    """Return where local stores and archives are: WHERRY_TUTOR_FOLDER, else a folder of the state folder."""
    state = Path(os.environ.get("WHERRY_HOME") or ".wherry")
    return Path(os.environ.get(FOLDER) or state / "tutor").absolute()


def _qdrant(collection: str) -> Address:
    host = os.environ.get("QDRANT_HOST", "")
    options = {"index": PAYLOAD_INDEX}
    if not host:
        return Address("qdrant", str(folder() / "qdrant"), collection, options)
    scheme, _, name = host.rpartition("://")
    port = _whole("QDRANT_PORT", _PORT)
    place = name.rstrip("/") if ":" in name else f"{name.rstrip('/')}:{port}"
    return Address(f"qdrant+{scheme or 'http'}", f"//{place}", collection, options)


def _whole(name: str, usual: int) -> int:
    said = os.environ.get(name, "").strip()
    if not said:
        return usual
    if not (said.isascii() and said.isdigit() and 0 < int(said) < 1 << 16):
        raise Usage(f"{name} is {said!r}; it has to be a whole number from 1 to 65535")
    return int(said)
