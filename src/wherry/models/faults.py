"""Turning what a provider refuses into Wherry's errors, by status and code, never by words.

The words of a provider may repeat a key or the text it was sent; they are quoted only after both have been
ruled out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from time import time

from wherry.address import redact
from wherry.errors import AuthFailed, QuotaExceeded, RateLimited, Rejected, TimedOut, Unreachable, WherryError

# Codes by which providers say that waiting will not help, under a status that usually means "wait".
QUOTA_CODES = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "billing_error",
        "ServiceQuotaExceededException",
    }
)
_NOW_OR_LATER = {409, 425}
_BY_ITEM = {400, 413, 422}
_MOST_WORDS = 200
_WINDOW = 12


def refused(
    status: int,
    words: str,
    *,
    where: str,
    code: str = "",
    retry_after_s: float | None = None,
    secrets: Iterable[str] = (),
    texts: Sequence[str] = (),
    key_name: str = "",
) -> WherryError:
    """Return the error for an answer with this HTTP status.

    words: the provider's, quoted only when they repeat nothing that was sent. code: the provider's own.
    key_name: the environment variable that holds the key.
    """
    what = f"{status}" + (f" {code}" if code else "") + said(words, secrets, texts)
    if code in QUOTA_CODES or status == 402:
        return QuotaExceeded(
            f"the quota of the account is used up ({what})", where=where, next="see the provider's billing page"
        )
    if status in (401, 403):
        return AuthFailed(f"the provider refused the credentials ({what})", where=where, next=_set(key_name))
    if status == 429:
        return RateLimited(f"the provider asked to wait ({what})", retry_after_s=retry_after_s, where=where)
    if status == 408:
        return TimedOut(f"the provider gave up waiting ({what})", where=where)
    if status >= 500 or status in _NOW_OR_LATER:
        return _later(what, retry_after_s, where)
    if status == 404:
        return Rejected(
            f"the provider does not know this model or address ({what})", where=where, next="check the model's name"
        )
    return Rejected(f"the provider refused the request ({what})", where=where, divisible=status in _BY_ITEM)


def unreachable(error: BaseException, where: str) -> Unreachable:
    """Return the error for a request that met no answer. The client's words stay out: they may hold the URL."""
    cause = error.__cause__ or error
    return Unreachable(
        f"no answer from the provider ({type(cause).__name__})", where=where, next="check that the server runs"
    )


def timed_out(timeout_s: float, where: str) -> TimedOut:
    """Return the error for a request that was not answered in time."""
    return TimedOut(f"no answer within {timeout_s:g} s", where=where, next="raise ?timeout= or send less at once")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds a provider asks to wait: `retry-after-ms`, or `Retry-After` in seconds or as a date."""
    milliseconds, value = _number(headers.get("retry-after-ms")), headers.get("retry-after")
    if milliseconds is not None:
        return milliseconds / 1000
    seconds = _number(value)
    if value is None or seconds is not None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except ValueError:
        return None


def said(words: str, secrets: Iterable[str] = (), texts: Sequence[str] = ()) -> str:
    """Return `: words`, fit to print, or nothing when they repeat a piece of a text that was sent."""
    words = " ".join(redact(words, *secrets).split())[:_MOST_WORDS]
    sent = "\n".join(texts)
    for form in (sent, json.dumps(sent), " ".join(sent.split())):
        if any(words[i : i + _WINDOW] in form for i in range(len(words) - _WINDOW + 1)):
            return ""
    if not words or any(text.strip() in words for text in texts):
        return ""
    return f": {words}"


def key(*names: str, next: str = "") -> str:
    """Return the first of these environment variables that is set. Raises AuthFailed, naming them, if none is."""
    for name in names:
        found = os.environ.get(name, "").strip()
        if found and (not found.isascii() or not found.isprintable()):
            raise AuthFailed(f"{name} holds characters that no key has", next=f"set {name} again")
        if found:
            return found
    raise AuthFailed(f"no key: {' or '.join(names)} is not set", next=next or _set(names[0]))


def _set(name: str) -> str:
    return f"set {name} to a key that may use this model" if name else "check the credentials"


def _later(what: str, retry_after_s: float | None, where: str) -> WherryError:
    # A server that is overloaded may say when to come back, which only this class can carry.
    if retry_after_s is not None:
        return RateLimited(f"the provider cannot answer now ({what})", retry_after_s=retry_after_s, where=where)
    return Unreachable(f"the provider failed ({what})", where=where, next="try again later")


def _number(value: str | None) -> float | None:
    try:
        found = float(value or "")
    except ValueError:
        return None
    return found if 0 <= found < float("inf") else None
