"""What the providers' clients have in common: how they fail below HTTP, and options of one meaning."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any

from wherry.errors import BadAnswer, WherryError
from wherry.models import faults

USUAL_TIMEOUT_S = 60.0


def trusted(client: type) -> ssl.SSLContext:
    """Return what a client class of the HTTP library checks servers with; reading certificates takes 25 ms a time."""
    library = next(library for library in _http_libraries() if issubclass(client, library.Client))
    return _trusted(library, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@lru_cache
def _trusted(library: ModuleType, _file: str | None, _folder: str | None) -> ssl.SSLContext:
    # Each library has certificates of its own choice.
    found: ssl.SSLContext = library.create_ssl_context()
    return found


@cache
def _http_libraries() -> tuple[ModuleType, ...]:
    # httpx has a successor with the same classes under another name, and a client may use either.
    found = []
    for name in ("httpx", "httpx2"):
        try:
            found.append(import_module(name))
        except ModuleNotFoundError:
            continue
    return tuple(found)


@contextmanager
def speaking(where: str, timeout_s: float) -> Iterator[None]:
    """Turn what happens below HTTP, and an answer that cannot be read, into Wherry's errors."""
    libraries = _http_libraries()
    try:
        yield
    except WherryError:
        raise
    except tuple(library.TimeoutException for library in libraries):
        raise faults.timed_out(timeout_s, where) from None
    except tuple(library.TransportError for library in libraries) as error:
        raise faults.unreachable(error, where) from None
    except (ConnectionError, TimeoutError) as error:
        raise faults.unreachable(error, where) from None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        # A client that cannot make sense of an answer fails with whatever its parser met.
        raise BadAnswer(
            f"the provider's answer cannot be read ({type(error).__name__})",
            where=where,
            next="check that the address is the provider's API",
        ) from None


def objects_closed(schema: dict[str, Any]) -> dict[str, Any] | None:
    """Return the schema with every object closed and all its fields required, as strict modes demand.

    None where the schema has objects with fields of any name, which no strict mode takes.
    """
    if schema.get("type") == "object" or "properties" in schema:
        if "properties" not in schema or schema.get("additionalProperties"):
            return None
        schema = {**schema, "additionalProperties": False, "required": list(schema["properties"])}
    closed: dict[str, Any] = {}
    for name, value in schema.items():
        if name == "default":
            continue
        inner = _closed_inside(name, value)
        if inner is None:
            return None
        closed[name] = inner
    return closed


def _closed_inside(name: str, value: Any) -> Any:
    if name in ("properties", "$defs"):
        parts = {key: objects_closed(part) for key, part in value.items()}
        return None if None in parts.values() else parts
    if name in ("anyOf", "allOf", "oneOf", "prefixItems"):
        found = [objects_closed(part) for part in value]
        return None if None in found else found
    if name == "items" and isinstance(value, dict):
        return objects_closed(value)
    return value
