"""What an operator may set."""

from __future__ import annotations

from dataclasses import dataclass

from wherry.errors import Usage

MOST_K = 100
LONGEST_QUERY = 20_000
MOST_COMPONENTS = 16_384
_ABOVE_0 = (
    "body_limit_bytes",
    "time_s",
    "per_minute",
    "burst",
    "at_a_time",
    "sockets",
    "threads",
    "connections",
    "grace_s",
)


@dataclass(frozen=True)
class Settings:
    """How the service runs.

    body_limit_bytes: the largest request. time_s: seconds until an answer must have begun. per_minute: requests of
    one key in a minute; burst: how many of them at once. at_a_time: requests of one key under way. sockets: web
    sockets of one key that are open. threads: for blocking work. connections: open ones, of everybody. grace_s: how
    long requests under way may take when the service stops. chat: the spec of the model that writes answers;
    `offline` quotes.
    """

    host: str = "127.0.0.1"
    port: int = 8100
    chat: str = "offline"
    body_limit_bytes: int = 1_000_000
    time_s: float = 30.0
    per_minute: int = 600
    burst: int = 60
    at_a_time: int = 8
    sockets: int = 100
    threads: int = 40
    connections: int = 1_000
    grace_s: int = 20

    def __post_init__(self) -> None:
        for name in _ABOVE_0:
            if getattr(self, name) <= 0:
                raise Usage(f"{name} is {getattr(self, name)!r}; it must be above 0", where=name)
        if not 0 <= self.port <= 65_535:
            raise Usage(
                f"{self.port} is no port", where="port", next="use a number from 1 to 65535, or 0 for a free one"
            )
