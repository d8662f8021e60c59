"""Connections to Chroma: one per folder and process, one per store for a server.

Two clients of one folder damage each other's index: each keeps its own in memory and writes it over the
other's. So all stores of a process share one client per folder, also with a client that the program
opened by itself, and `Folder` reopens it when somebody else wrote to the folder meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from copy import copy
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import chromadb
import httpx
from chromadb.api import ClientAPI
from chromadb.api.models.Collection import Collection
from chromadb.api.shared_system_client import SharedSystemClient
from chromadb.config import Settings

from wherry.stores.chroma.backlog import due, latest
from wherry.stores.chroma.guard import guarded, recover
from wherry.stores.chroma.holds import Gate
from wherry.stores.chroma.place import Place, Server

_CONNECT_S, _ANSWER_S = 5.0, 300.0
_LOCAL = "chromadb.api.rust.RustBindingsAPI"


class ServerLink:
    """The client of one store to a server."""

    generation = 0

    def __init__(self, place: Place, server: Server) -> None:
        _ask(server)
        self._client = chromadb.HttpClient(
            host=server.base,
            port=server.port,
            ssl=server.base.startswith("https"),
            headers=dict(server.headers),
            settings=_settings("chromadb.api.fastapi.FastAPI", chroma_server_ssl_verify=_verify(server)),
            tenant=place.tenant,
            database=place.database,
        )
        # Chroma's own client waits for ever on a server that stopped answering.
        self._session: httpx.Client = self._client._server._session  # type: ignore[attr-defined]
        self._session.timeout = httpx.Timeout(_ANSWER_S, connect=_CONNECT_S)

    @contextmanager
    def using(self) -> Iterator[ClientAPI]:
        """Use the client, from any thread."""
        yield self._client

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._session.close()


class Folder:
    """The one client of this process to a folder; `users` stores share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.users = 0
        self.generation = 0
        self.gate = Gate()
        self.writing = threading.RLock()
        # `sync_threshold` by collection id, as this client has it in memory: a later change is not seen.
        self.thresholds: dict[str, int] = {}
        self._written = 0
        self._client = self._open()

    @contextmanager
    def using(self) -> Iterator[ClientAPI]:
        """Use the client, from any thread; it is not reopened meanwhile."""
        with self.gate.shared():
            yield self._client

    def reopen(self) -> bool:
        """Open the client anew, which reads the index from disk; False where others share it too."""
        with self.gate.alone():
            if not self._is_ours():
                return False
            self._client.close()
            self._client = self._open()
            self.generation += 1
        return True

    def refresh(self) -> bool:
        """Open the client anew if operations were logged that did not go through it; tell whether."""
        with self.writing:
            if latest(self.path) == self._written:
                return False
            reopened = self.reopen()
            self.note_written()
            return reopened

    def settle(self, handle: Collection) -> None:
        """Let Chroma apply what its log still holds of a collection, which it does at the first question."""
        collection = str(handle.id)
        index = handle.configuration_json.get("hnsw") or {}
        if "sync_threshold" in index:
            self.thresholds.setdefault(collection, index["sync_threshold"])
        with guarded(self.path, due(self.path, collection, self.thresholds.get(collection), 0)):
            handle.count()

    def note_written(self) -> None:
        """Take what the log holds now as our own; called with `writing` held, after each write."""
        self._written = latest(self.path)

    def close(self) -> None:
        """Give the folder up; the last store closes the client."""
        with _opening:
            self.users -= 1
            if self.users == 0:
                del _folders[self.path]
                self._client.close()

    def _open(self) -> ClientAPI:
        shared = _already_open(self.path)
        if shared is None:
            recover(self.path)
        self.thresholds.clear()
        client = _persistent(shared.persist_directory if shared else str(self.path), shared or _settings(_LOCAL))
        self._written = latest(self.path)
        return client

    def _is_ours(self) -> bool:
        # A client counts twice: itself and the one it checks tenants with.
        counts = SharedSystemClient._identifier_to_refcount
        return counts.get(self._client._identifier) == 2  # type: ignore[attr-defined]


class FolderLink:
    """One store's share in a folder's client."""

    def __init__(self, path: Path) -> None:
        with _opening:
            if path not in _folders:
                _folders[path] = Folder(path)
            self.folder = _folders[path]
            self.folder.users += 1
        self._open = True

    @property
    def generation(self) -> int:
        """The generation of the folder's client."""
        return self.folder.generation

    def using(self) -> AbstractContextManager[ClientAPI]:
        """Use the folder's client."""
        return self.folder.using()

    def close(self) -> None:
        """Give up this share."""
        if self._open:
            self._open = False
            self.folder.close()


_opening = threading.RLock()
_folders: dict[Path, Folder] = {}


def make_folder(path: Path) -> None:
    """Make an empty Chroma folder, with the tables of the installed Chroma."""
    path.mkdir(parents=True, exist_ok=True)
    with _opening:
        _persistent(str(path), _settings(_LOCAL, migrations="apply")).close()


def batch_limit_here() -> int:
    """Ask the installed Chroma how many records a write to a folder may have."""
    with TemporaryDirectory(prefix="wherry-chroma-") as folder, _opening:
        client = _persistent(folder, _settings(_LOCAL, migrations="apply"))
        limit = client.get_max_batch_size()
        client.close()
        return limit


def _persistent(path: str, settings: Settings) -> ClientAPI:
    try:
        return chromadb.PersistentClient(path, settings=settings)
    except BaseException:
        # Chroma keeps what it could not start, and would hand it to the next who asks for this folder.
        if path not in SharedSystemClient._identifier_to_refcount:
            SharedSystemClient._identifier_to_system.pop(path, None)
        raise


def _settings(api: str, migrations: str = "validate", **more: Any) -> Settings:
    """Return settings that neither a `.env` file nor the environment has a say in, without telemetry.

    migrations: `validate` refuses the folder of an older Chroma where `apply` would change it.
    """
    # A copy, for a client writes into its own: looking at each field for its variable takes 10 ms.
    settings = copy(_chosen(api, migrations))
    for name, value in more.items():
        setattr(settings, name, value)
    return settings


@lru_cache
def _chosen(api: str, migrations: str) -> Settings:
    chosen: dict[str, Any] = {
        "_env_file": None,
        "_env_prefix": "WHERRY_LEAVES_CHROMA_ALONE_",
        "chroma_api_impl": api,
        "migrations": migrations,
        "anonymized_telemetry": False,
        "chroma_otel_collection_endpoint": "",
    }
    return Settings(**chosen)


def _already_open(path: Path) -> Settings | None:
    """Return the settings of a client that the program itself has open on this folder."""
    for system in list(SharedSystemClient._identifier_to_system.values()):
        settings = system.settings
        is_folder = settings.chroma_api_impl == _LOCAL and settings.is_persistent
        if is_folder and Path(settings.persist_directory).resolve() == path:
            return settings
    return None


def _ask(server: Server) -> None:
    """Ask a server for its pulse: Chroma's client has no time limit and hides the status."""
    pulse = f"{server.base}/api/v2/heartbeat"
    httpx.get(pulse, headers=server.headers, timeout=_CONNECT_S, verify=_verify(server)).raise_for_status()


def _verify(server: Server) -> bool:
    # Reading all certificates takes longer than the rest; without TLS there is nothing to check.
    return server.base.startswith("https")
