"""Which files of a folder are meant: patterns as people know them from shells and .gitignore."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from wherry.errors import Usage


class Choice:
    """What include and exclude patterns leave.

    A pattern without a slash is compared with the name of a file or folder at any depth, one with a slash with
    the path from the top. `*` and `?` stay within a name, `**` crosses folders. A folder that is excluded is
    not entered.
    """

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self.include, self.exclude = tuple(include), tuple(exclude)
        self._in, self._out = [_compiled(p) for p in include], [_compiled(p) for p in exclude]

    def enters(self, path: str) -> bool:
        """Tell whether a folder is looked into; path from the top, `/` between folders."""
        return not _any(self._out, path)

    def takes(self, path: str, known: bool) -> bool:
        """Tell whether a file is meant.

        known: it is of a kind that can be read. Another file is taken, as text, where a pattern names its suffix.
        """
        if self._out and _any(self._out, path):
            return False
        if not self._in:
            return known
        return any(
            compiled.fullmatch(path) and (known or path.endswith(_suffix(pattern)))
            for pattern, compiled in zip(self.include, self._in, strict=True)
        )


def _suffix(pattern: str) -> tuple[str, ...]:
    """Return the suffix a pattern names, as `str.endswith` takes it; an empty tuple where it names none."""
    found = re.search(r"\.[^./*?\[\]]+$", pattern)
    return (found[0],) if found else ()


def _any(patterns: list[re.Pattern[str]], path: str) -> bool:
    return any(pattern.fullmatch(path) for pattern in patterns)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    text = pattern.strip().strip("/")
    if not text:
        raise Usage(f"the pattern {pattern!r} is empty", next="write a pattern such as '*.md' or 'drafts/**'")
    anywhere = "" if "/" in text else "(?:.*/)?"
    # What is excluded with a folder's name is excluded with all that is in it.
    text = text.removesuffix("/**") if text.endswith("/**") and text != "/**" else text
    try:
        return re.compile(f"{anywhere}{_expression(text)}(?:/.*)?", re.DOTALL)
    except re.error as error:
        raise Usage(f"the pattern {pattern!r} cannot be read: {error}") from None


def _expression(text: str) -> str:
    parts, at = [], 0
    while at < len(text):
        taken, written = _step(text, at)
        parts.append(written)
        at += taken
    return "".join(parts)


def _step(text: str, at: int) -> tuple[int, str]:
    """Return how much of a pattern one sign takes and the expression for it."""
    if text.startswith("**/", at):
        return 3, "(?:.*/)?"
    if text.startswith("**", at):
        return 2, ".*"
    if text[at] == "*":
        return 1, "[^/]*"
    if text[at] == "?":
        return 1, "[^/]"
    if text[at] == "[":
        # A closing bracket right after the opening one stands for itself.
        end = text.find("]", at + 2)
        if end > 0:
            body = text[at + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            return end + 1 - at, f"(?!/)[{'^' + body[1:] if body[0] in '!^' else body}]"
    return 1, re.escape(text[at])
