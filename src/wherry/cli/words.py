"""Numbers, sizes, times and commands as people write them."""

from __future__ import annotations

import re
import shlex

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")
# Ids and details come from strangers' data: nothing in them may steer the terminal.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
# A # inside a word is no comment, so `pgvector:#docs` needs no quotes.
_PLAIN_WORD = re.compile(r"[\w@%+=:,./-][\w@%+=:,./#-]*", re.ASCII)


def safe(text: str) -> str:
    """Return text with control characters and lone surrogates escaped."""
    return _UNPRINTABLE.sub(lambda m: ascii(m.group())[1:-1], text)


def records(count: int) -> str:
    """Return a number of records: `1 record`, `1,234 records`."""
    return f"{count:,} record{'' if count == 1 else 's'}"


def size(count: int | None) -> str:
    """Return a number of bytes in decimal units, None as `unknown`."""
    if count is None:
        return "unknown"
    amount, unit = float(count), 0
    while amount >= 999.95 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{count:,} bytes" if unit == 0 else f"{amount:,.1f} {_UNITS[unit]}"


def duration(seconds: float | None) -> str:
    """Return a time: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 05 min`; None as `unknown`."""
    if seconds is None:
        return "unknown"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def rate(count: int, seconds: float) -> str:
    """Return records per second, or nothing where no time passed."""
    return f"{count / seconds:,.0f} records/s" if seconds > 0 else ""


def command(*words: str) -> str:
    """Return a command line that a shell reads back as these words."""
    return " ".join(word if _PLAIN_WORD.fullmatch(word) else shlex.quote(word) for word in words)
