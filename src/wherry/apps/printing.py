"""Results of an app's commands, printed as Wherry prints its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType


def put_result(value: dict[str, Any], lines: Sequence[RenderableType], json: bool) -> int:
    """Print one JSON object, or lines and rich tables for people; return 0, the exit code of a command that worked."""
    from wherry import out

    if json:
        out.put_json(value)
    else:
        out.put_all(list(lines))
    return 0


def tell(text: str) -> None:
    """Write a line to stderr: progress and advice, which are no results."""
    from wherry import out

    out.tell(text)
