"""Errors as people and scripts read them: what, where, what was left behind, what to run next."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any
from urllib.parse import quote_plus

from wherry import out
from wherry.address import Address, redact, secrets_of
from wherry.cli.words import command, safe
from wherry.errors import BadAddress, DiskFull, Interrupted, StoreError, Usage, WherryError

_LONGEST = 300
_LEFT = "what was written stays; the same command goes on from there"
# For errors that know no better: everyone is told how to go on.
_AGAIN = "put it right, then run the same command again"
_NEXT = {
    2: "wherry --help shows every form of address",
    4: "check the address, or see with wherry doctor what works here; then run the same command again",
    7: "run the same command again when the other run has ended",
}


class Unexpected(WherryError):
    """A bug of Wherry itself."""

    # EX_SOFTWARE of sysexits.h: 1 would say "different" and 2 "your command is wrong".
    exit_code = 70


def report(error: BaseException, args: Sequence[str]) -> int:
    """Tell what went wrong, without a traceback or a secret, and return the exit code."""
    flags = _flags(args)
    secrets = secrets_in(args)
    told = _told(error, args)
    if "--debug" in flags:
        out.tell(redact("".join(traceback.format_exception(error)), *secrets).rstrip("\n"))
    shown = {k: redact(v, *secrets) if isinstance(v, str) else v for k, v in told.to_dict().items()}
    shown["next"] = shown["next"] or _NEXT.get(told.exit_code, _AGAIN)
    if "--json" in flags:
        out.put_json(shown)
    else:
        out.tell(_words(shown))
    return told.exit_code


@contextmanager
def terminable() -> Iterator[None]:
    """Make SIGTERM end a run the way Ctrl-C does: recorded, resumable."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _told(error: BaseException, args: Sequence[str]) -> WherryError:
    """Return the error as one of Wherry's own."""
    if isinstance(error, Interrupted):
        # As it was typed, flags included; `report` hides the secrets in it.
        error.next = command("wherry", *args)
        return error
    if isinstance(error, WherryError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted("interrupted", left=_LEFT, next=command("wherry", *args))
    if callable(getattr(error, "format_message", None)):
        return _usage(error)
    if isinstance(error, OSError):
        return _system(error)
    return Unexpected(
        f"unexpected {type(error).__name__}: {_first_line(error)}",
        left=_LEFT,
        next="this is a bug: run the same command with --debug and report what it prints",
    )


def _usage(error: Any) -> Usage:
    """Translate an error of the argument parser, whose classes are not public."""
    context = getattr(error, "ctx", None)
    return Usage(error.format_message(), next=f"{context.command_path if context else 'wherry'} --help")


def _system(error: OSError) -> WherryError:
    kind = DiskFull if error.errno == errno.ENOSPC else StoreError
    return kind(
        f"the system refused: {error.strerror or _first_line(error)}",
        where=str(error.filename or ""),
        left=_LEFT,
        next=_AGAIN,
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0][:_LONGEST]


def _words(shown: dict[str, Any]) -> str:
    lines = [f"error: {safe(shown['what'])}"]
    for key, label in (("where", "where"), ("left_behind", "left behind"), ("next", "next")):
        if shown[key]:
            lines.append(f"  {label}: {safe(shown[key])}")
    if sys.stderr.isatty() and "NO_COLOR" not in os.environ:
        lines[0] = "\x1b[31m" + lines[0].replace(":", ":\x1b[0m", 1)
    return "\n".join(lines)


def _flags(args: Sequence[str]) -> set[str]:
    return set(args[: args.index("--")] if "--" in args else args)


def secrets_in(words: Sequence[str]) -> list[str]:
    """Return every form of every secret that the words of a command or its environment hold."""
    found: list[str] = []
    for text in (*words, os.environ.get("WHERRY_DATABASE_URL", "")):
        try:
            found += secrets_of(Address.parse(text))
        except BadAddress:
            continue
    return [form for s in found for form in (s, quote_plus(s), repr(s)[1:-1])]
