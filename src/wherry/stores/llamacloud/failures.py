"""The errors of LlamaCloud's client, as Wherry's own."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from llama_cloud import APIConnectionError, APIError, APIStatusError, APITimeoutError

from wherry.address import redact
from wherry.errors import (
    AuthFailed,
    NoSuchCollection,
    QuotaExceeded,
    RateLimited,
    Rejected,
    StoreError,
    TimedOut,
    Unreachable,
)
from wherry.stores.llamacloud.place import KEY_VARIABLES

_LONGEST = 200
_BY_STATUS: dict[int, type[StoreError]] = {
    401: AuthFailed,
    402: QuotaExceeded,
    403: AuthFailed,
    404: NoSuchCollection,
    408: TimedOut,
    504: TimedOut,
}
_NEXT: dict[type[StoreError], str] = {
    AuthFailed: f"check the key: {', '.join(KEY_VARIABLES)}; a key belongs to one region",
    NoSuchCollection: "check the name, and ?project=",
    Unreachable: "run the same command again; what was read is kept for a while",
    TimedOut: "run the same command again, with ?timeout= if answers are slow",
    RateLimited: "run the same command again later, with a lower ?rate=",
}


@dataclass(frozen=True)
class Failures:
    """Translates errors. where: for people. secrets: never to be shown."""

    where: str
    secrets: tuple[str, ...] = field(repr=False)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn what the client raises into an error of Wherry."""
        try:
            yield
        except APIStatusError as error:
            raise self._of_status(error) from None
        except APITimeoutError:
            raise self.error(TimedOut, "LlamaCloud did not answer in time") from None
        except APIConnectionError as error:
            reason = type(error.__cause__).__name__ if error.__cause__ else "no connection"
            raise self.error(Unreachable, f"LlamaCloud does not answer ({reason})") from None
        except APIError as error:
            raise self.error(Rejected, f"the client refused the answer ({type(error).__name__})") from None
        except ValueError:
            # An id that is empty or a step in a path: nothing was sent.
            raise self.error(Rejected, "the service gave an id that cannot be asked for") from None

    def error(self, kind: type[StoreError], what: str) -> StoreError:
        """Return an error that shows no secret."""
        return kind(redact(what[:_LONGEST], *self.secrets), where=self.where, next=_NEXT.get(kind, ""))

    def _of_status(self, error: APIStatusError) -> StoreError:
        status, wait = error.status_code, _retry_after(error.response.headers)
        if status == 429 or (status == 503 and wait is not None):
            return RateLimited(
                f"LlamaCloud asked to wait ({status})",
                retry_after_s=wait,
                where=self.where,
                next=_NEXT[RateLimited],
            )
        kind = _BY_STATUS.get(status, Unreachable if status >= 500 else Rejected)
        return self.error(kind, f"LlamaCloud answered {status}: {_said(error.body) or 'no explanation'}")


def _said(body: Any) -> str:
    """Return the service's own words; of a refused field its name and the complaint, not what was sent."""
    detail = body.get("detail") if isinstance(body, dict) else None
    if isinstance(detail, list):
        entries = [entry for entry in detail if isinstance(entry, dict)]
        return "; ".join(f"{'.'.join(map(str, e.get('loc', ())))}: {e.get('msg', '')}" for e in entries)
    return detail.partition("\n")[0] if isinstance(detail, str) else ""


def _retry_after(headers: httpx.Headers) -> float | None:
    """Return the seconds a server asked to wait: a number, or the way to a date; None where it did not."""
    said = headers.get("retry-after", "").strip()
    try:
        return max(0.0, float(said))
    except ValueError:
        date = email.utils.parsedate_tz(said)
    return None if date is None else max(0.0, email.utils.mktime_tz(date) - time.time())


__all__ = ["Failures"]
