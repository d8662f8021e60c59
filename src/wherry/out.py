"""Writing to stdout (results) and stderr (everything else)."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import RenderableType

# Wide enough that a table in a pipe never loses the end of an id.
_PIPE_WIDTH = 10_000
_SURROGATE = re.compile("[\ud800-\udfff]")


def put(text: str) -> None:
    """Write a line to stdout."""
    _write(sys.stdout, text)


def tell(text: str) -> None:
    """Write a line to stderr."""
    _write(sys.stderr, text)


def put_json(value: dict[str, Any]) -> None:
    """Write one JSON object to stdout."""
    put(as_json(value))


def as_json(value: dict[str, Any]) -> str:
    """Return JSON that every reader takes: NaN and infinities are null, lone surrogates escaped."""
    text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)
    return _SURROGATE.sub(lambda m: f"\\u{ord(m.group()):04x}", text)


def put_all(parts: list[RenderableType]) -> None:
    """Write lines and tables to stdout: in colour and at its width on a terminal, plain elsewhere."""
    from rich.console import Console

    on_terminal = sys.stdout.isatty()
    console = Console(file=sys.stdout, width=None if on_terminal else _PIPE_WIDTH, highlight=False)
    # Captured and written by `put`, because rich ends the process when a pipe is closed early.
    with console.capture() as captured:
        for part in parts:
            console.print(part, markup=False, emoji=False, soft_wrap=isinstance(part, str))
    text = captured.get().rstrip("\n")
    put(text if on_terminal else "\n".join(line.rstrip() for line in text.split("\n")))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()
    except BrokenPipeError:
        # The reader has left, which is no failure of the act; what follows goes nowhere, so that
        # flushing at exit does not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
