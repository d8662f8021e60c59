"""Chroma's exceptions in Wherry's words. No message repeats what Chroma says of a record's body."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from chromadb import errors

from wherry.address import redact
from wherry.errors import (
    AuthFailed,
    Busy,
    DiskFull,
    Integrity,
    NoSuchCollection,
    RateLimited,
    Refused,
    Rejected,
    TimedOut,
    Unreachable,
    Unsupported,
    WherryError,
)
from wherry.stores.chroma.place import Place

# What Chroma says (lower case) when the index lacks a vector that the table of records names.
_LOST_VECTOR = ("error finding id", "error getting embedding")
_DIMENSION = re.compile(r"dimension of (\d+), got (\d+)")
_DAMAGED = (
    "not a database",
    "malformed",
    "loading hnsw index",
    "hnsw segment",
    "failed to pull logs",
    "failed to apply logs",
    "pickle",
)
_UNREADABLE = ("unable to open database", "readonly database", "read-only file system", "permission denied")
_PANIC = "PanicException"
_LITTLE_BYTES = 32 << 20


class LostVector(Exception):
    """A record is listed, but its vector is not in the index; which one, Chroma does not say."""


@contextmanager
def translated(place: Place, left: str = "") -> Iterator[None]:
    """Turn whatever Chroma or the network raises into an error of Wherry. left: for its message."""
    try:
        yield
    except (WherryError, LostVector):
        raise
    except Exception as error:
        raise _translate(error, place, left) from error
    except BaseException as error:
        # A panic of Chroma's own code is no Exception.
        if type(error).__name__ != _PANIC:
            raise
        raise Integrity(
            "Chroma failed from inside while it worked on this collection",
            where=place.shown,
            left=left,
            next="run again; if it stays, copy the folder and rebuild the collection from its source",
        ) from error


def is_too_large(error: BaseException) -> bool:
    """Tell whether a server refused a request for its size."""
    status = _status(error)
    return (status is not None and status.status_code == 413) or "payload too large" in str(error).lower()


def _translate(error: Exception, place: Place, left: str) -> Exception:
    text = str(error).lower()
    if any(words in text for words in _LOST_VECTOR):
        return LostVector()
    return (
        _from_network(error, place, left)
        or _from_disk(error, text, place, left)
        or _from_chroma(error, text, place, left)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those it was raised on top of: Chroma's client hides the first cause."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _status(error: BaseException) -> httpx.Response | None:
    for cause in _chain(error):
        if isinstance(cause, httpx.HTTPStatusError):
            return cause.response
    return None


def _from_network(error: Exception, place: Place, left: str) -> WherryError | None:
    for cause in _chain(error):
        if isinstance(cause, (httpx.ConnectError, httpx.ConnectTimeout)):
            trusted = "certificate" not in str(cause).lower()
            return Unreachable(
                "the Chroma server does not answer" if trusted else "the server's certificate is not trusted",
                where=place.shown,
                left=left,
                next="start it (`chroma run`) or check host and port",
            )
        if isinstance(cause, httpx.TimeoutException):
            return TimedOut("the Chroma server did not answer in time", where=place.shown, left=left)
        if isinstance(cause, httpx.TransportError):
            return Unreachable("the Chroma server went away", where=place.shown, left=left)
    response = _status(error)
    if response is not None:
        return _from_status(response, place, left)
    if isinstance(error, (errors.ChromaAuthError, errors.AuthorizationError)):
        return _auth_failed(place)
    if isinstance(error, errors.RateLimitError):
        return RateLimited("the Chroma server asked to wait", where=place.shown, left=left)
    return None


def _from_status(response: httpx.Response, place: Place, left: str) -> WherryError | None:
    code = response.status_code
    if code in (401, 403):
        return _auth_failed(place)
    if code == 429:
        after = response.headers.get("retry-after", "")
        wait = float(after) if after.isdigit() else None
        return RateLimited("the server asked to wait", retry_after_s=wait, where=place.shown, left=left)
    if code == 413:
        return Rejected(
            "a record is too large for the server",
            where=place.shown,
            left=left,
            next="raise max_payload_size_bytes in the server's configuration",
        )
    if code in (502, 503, 504):
        return Unreachable(f"the server answers {code}", where=place.shown, left=left)
    return None


def _auth_failed(place: Place) -> AuthFailed:
    return AuthFailed(
        "the Chroma server refused the credentials",
        where=place.shown,
        next="set CHROMA_TOKEN, or add ?token=... (and header=authorization) to the address",
    )


def _from_disk(error: Exception, text: str, place: Place, left: str) -> WherryError | None:
    if _says_full(error, text) or ("compact" in text and _is_full(place)):
        return DiskFull("the disk is full", where=place.shown, left=left, next="free some space and run again")
    if "database is locked" in text:
        return Busy(
            "another process holds the folder's database",
            where=place.shown,
            left=left,
            next="close it, or use its server by chroma+http://, then run again",
        )
    if "unapplied migrations" in text:
        return Refused(
            "the folder was written by an older Chroma, and opening it would change it",
            where=place.shown,
            left="nothing was touched",
            next="copy the folder and open the copy once with the installed chromadb, then use the copy",
        )
    if any(words in text for words in _UNREADABLE):
        return Unsupported(
            "Chroma cannot open a folder that it may not write to, not even for reading",
            where=place.shown,
            left="nothing was touched",
            next="copy the folder to a place you may write to and use the copy",
        )
    return None


def _says_full(error: Exception, text: str) -> bool:
    return "disk is full" in text or "no space left" in text or getattr(error, "errno", None) == errno.ENOSPC


def _is_full(place: Place) -> bool:
    """Chroma does not say why it could not write (it calls that compaction): look at the disk."""
    return place.folder is not None and shutil.disk_usage(place.folder).free < _LITTLE_BYTES


def _from_chroma(error: Exception, text: str, place: Place, left: str) -> WherryError:
    if isinstance(error, errors.NotFoundError):
        return NoSuchCollection(f"there is no collection {place.name!r} any more", where=place.shown, left=left)
    if isinstance(error, errors.DuplicateIDError):
        return Rejected("the batch holds an id twice", where=place.shown, left=left)
    dimensions = _DIMENSION.search(text)
    if dimensions:
        return Rejected(f"{dimensions[2]} components, the collection has {dimensions[1]}", where=place.shown, left=left)
    if any(words in text for words in _DAMAGED):
        return Integrity(
            f"the collection's files are damaged ({_safe(error, place)})",
            where=place.shown,
            left=left,
            next="restore the folder from a copy, or write the collection anew from its source",
        )
    return Rejected(f"Chroma refused the request ({_safe(error, place)})", where=place.shown, left=left)


def _safe(error: Exception, place: Place) -> str:
    """Return the kind of an error; its text only where Chroma speaks of its own files, not of a record."""
    if isinstance(error, errors.InternalError):
        return redact(f"{error}"[:200], *place.secrets)
    return type(error).__name__
