"""Which engine answers to which address.

An engine is one module with two functions, `open_source(address)` and `open_target(address)`, and
`probe()` for `doctor`. It is imported when its address is first used, so an engine that is not
installed costs nothing. Other packages add engines through the entry point group `wherry.stores`:
the entry's name is the scheme, its value the module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, cast

from wherry.address import Address
from wherry.errors import MissingExtra, UnknownStore, Unsupported
from wherry.stores.base import Probe, Readable, Writable


@dataclass(frozen=True)
class Engine:
    """One engine: its name, the schemes of its addresses, its module, and the extra that installs it."""

    name: str
    schemes: tuple[str, ...]
    module: str
    extra: str | None


ENGINES = (
    Engine("memory", ("memory",), "wherry.stores.memory", None),
    Engine("archive", ("archive",), "wherry.stores.archive", None),
    Engine("pgvector", ("pgvector", "postgresql", "postgres"), "wherry.stores.pgvector", "postgres"),
    Engine("chroma", ("chroma", "chroma+http", "chroma+https"), "wherry.stores.chroma", "chroma"),
    Engine("qdrant", ("qdrant", "qdrant+http", "qdrant+https", "qdrant+grpc"), "wherry.stores.qdrant", "qdrant"),
    Engine("faiss", ("faiss",), "wherry.stores.faiss", "faiss"),
    Engine(
        "llamacloud",
        ("llamacloud", "llamacloud+http", "llamacloud+https"),
        "wherry.stores.llamacloud",
        "llamacloud",
    ),
)

# Which of them keeps what several machines share.
_SHARED = "wherry.postgres.shared"


def open_source(address: str | Address) -> Readable:
    """Open a collection for reading. Raises UnknownStore, MissingExtra or the store's own errors."""
    parsed = _parsed(address)
    return cast(Readable, _function(parsed, "open_source")(parsed))


def open_target(address: str | Address) -> Writable:
    """Open a collection for writing; it is created by `prepare`, not here."""
    parsed = _parsed(address)
    return cast(Writable, _function(parsed, "open_target")(parsed))


def probes() -> list[Probe]:
    """Ask every engine whether it can be used here."""
    return [_probe(engine) for engine in ENGINES]


def open_shared(schema: str, tables: Sequence[str]) -> Any:
    """Open tables that processes of several machines share; spoken to as SQLite is. Raises MissingExtra."""
    return _load(_SHARED, "a journal that machines share", "postgres").SharedDatabase(schema, tables)


def is_shared_embedded() -> bool:
    """Tell whether the server for that is this machine's own, which no other machine reaches."""
    return bool(_load(_SHARED, "a journal that machines share", "postgres").shared_server().embedded)


def _parsed(address: str | Address) -> Address:
    return address if isinstance(address, Address) else Address.parse(address)


def _function(address: Address, name: str) -> Callable[[Address], object]:
    module = _module(address.scheme)
    function = getattr(module, name, None)
    if function is None:
        raise Unsupported(f"{address.scheme} can only be read", where=str(address), next="choose another target")
    return cast("Callable[[Address], object]", function)


def _module(scheme: str) -> ModuleType:
    for engine in ENGINES:
        if scheme in engine.schemes:
            return _load(engine.module, engine.name, engine.extra)
    for entry in entry_points(group="wherry.stores"):
        if entry.name == scheme:
            return cast(ModuleType, entry.load())
    known = sorted(s for engine in ENGINES for s in engine.schemes)
    raise UnknownStore(f"no engine answers to {scheme}:", next=f"known engines: {', '.join(known)}")


def _load(module: str, name: str, extra: str | None) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if extra is None or (error.name or "").startswith("wherry"):
            raise
        raise MissingExtra(
            f"{name} needs the package {error.name}, which is not installed",
            next=f'pip install "wherry[{extra}]"',
        ) from None


def _probe(engine: Engine) -> Probe:
    try:
        module = _load(engine.module, engine.name, engine.extra)
        return cast(Probe, module.probe())
    except MissingExtra as error:
        return Probe(engine.name, False, error.next)
    except Exception as error:
        # An engine that is installed but broken is what `doctor` is asked about; the others go on.
        return Probe(engine.name, False, f"{type(error).__name__}: {error}")
