"""What works on this machine: engines, disk, memory, the state folder, the database."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wherry.address import Address, redact, secrets_of
from wherry.errors import BadAddress
from wherry.state import home
from wherry.stores.base import Probe
from wherry.stores.registry import probes

# Databases slow down and then stop well before a disk is full.
_FULL = 0.8
_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Health:
    """What `examine` found.

    memory_total, memory_available, disk_total, disk_free: bytes, None where the system does not say;
    the disk is that of the state folder. database_url: WHERRY_DATABASE_URL without its password.
    problems: what has to be put right; warnings: what may go wrong soon.
    """

    wherry: str
    python: str
    engines: tuple[Probe, ...]
    memory_total: int | None
    memory_available: int | None
    state_folder: str
    journals: int
    disk_total: int
    disk_free: int
    database_url: str | None
    problems: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def usable(self) -> bool:
        """Whether nothing has to be put right."""
        return not self.problems

    @property
    def exit_code(self) -> int:
        """0 usable, 4 not."""
        return 0 if self.usable else 4

    def to_dict(self) -> dict[str, Any]:
        """Return the findings as a JSON object."""
        return {**asdict(self), "usable": self.usable}


def ray() -> Probe:
    """Tell whether partitions can be handed to Ray; importing it would take longer than all the rest."""
    if find_spec("ray") is None:
        return Probe("ray", False, 'pip install "wherry[ray]" (for --engine ray alone)')
    return Probe("ray", True, f"ray {version('ray')}, for --engine ray")


def examine() -> Health:
    """Look at this machine; the embedded database may be started for that."""
    url = os.environ.get("WHERRY_DATABASE_URL") or None
    # A driver that fails may quote what it was told, password included.
    engines = tuple(replace(probe, detail=_hidden(probe.detail, url)) for probe in (*probes(), ray()))
    folder = home()
    disk = shutil.disk_usage(_existing(folder))
    total, available = memory()
    return Health(
        wherry=version("wherry"),
        python=f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        engines=engines,
        memory_total=total,
        memory_available=available,
        state_folder=str(folder),
        journals=len(list(folder.glob("journal/*.sqlite3"))),
        disk_total=disk.total,
        disk_free=disk.free,
        database_url=None if url is None else _shown(url),
        problems=tuple(_problems(engines, folder, url)),
        warnings=tuple(_warnings(disk.total, disk.free)),
    )


def _problems(engines: tuple[Probe, ...], folder: Path, url: str | None) -> Iterator[str]:
    # A folder that nobody made yet is made where it is needed, if the one above lets us.
    above = _existing(folder)
    if not (above.is_dir() and os.access(above, os.W_OK)):
        yield f"{folder} cannot be written: set WHERRY_HOME to a folder that can"
    for probe in engines:
        # An engine that is not installed is no problem until somebody names it.
        needed = probe.engine in ("memory", "archive") or (probe.engine == "pgvector" and url)
        if needed and not probe.usable:
            yield f"{probe.engine} cannot be used: {probe.detail}"


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if place.exists())


def _warnings(total: int, free: int) -> Iterator[str]:
    used = 1 - free / total if total else 0.0
    if used > _FULL:
        yield f"the disk of the state folder is {used:.0%} full"


def _shown(url: str) -> str:
    try:
        return str(Address.parse(url))
    except BadAddress:
        return redact(url)


def _hidden(text: str, url: str | None) -> str:
    try:
        return redact(text, *(secrets_of(Address.parse(url)) if url else ()))
    except BadAddress:
        return redact(text)


def memory() -> tuple[int | None, int | None]:
    """Return the bytes of memory in all and available, within the limit of a container."""
    total, available = _meminfo("MemTotal"), _meminfo("MemAvailable")
    if total is None:
        return _sysconf("SC_PHYS_PAGES"), _sysconf("SC_AVPHYS_PAGES")
    limit, used = _number(_CGROUP / "memory.max"), _number(_CGROUP / "memory.current")
    if limit is None or limit >= total:
        return total, available
    return limit, min(available or limit, limit - (used or 0))


def _meminfo(name: str) -> int | None:
    if not _MEMINFO.exists():
        return None
    for line in _MEMINFO.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return None


def _sysconf(name: str) -> int | None:
    if name not in os.sysconf_names:
        return None
    return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")


def _number(path: Path) -> int | None:
    """Return the number in a small file; None when it holds a word (`max`) or is not there."""
    if not path.exists():
        return None
    text = path.read_text().strip()
    return int(text) if text.isdigit() else None
