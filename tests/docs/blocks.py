"""The code blocks of the documents, and how they are run.

Every fenced block in `sh` or `python` runs, in the order of its page, in one empty folder per page.
`text` blocks show output and are not run. A comment on the line before a block changes that:

    <!-- exit: 3 -->        the command is expected to end with this exit code
    <!-- make -->           the block names make targets, which must exist (they run elsewhere)

What a page needs around it, a server of a cloud say, is in `servers.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUN = {"sh", "python"}
SHOWN = {"text", "json", "toml"}
_FENCE = re.compile(r"(?:^<!-- (?P<note>[^\n]*) -->\n)?^```(?P<lang>\w*)\n(?P<body>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """One fenced block: its page, line, language, text, and the note before it."""

    page: Path
    line: int
    language: str
    body: str
    note: str

    @property
    def exit_code(self) -> int:
        """The exit code the block is expected to end with."""
        found = re.fullmatch(r"exit: (\d+)", self.note)
        return int(found.group(1)) if found else 0


def pages() -> list[Path]:
    """Return every document of the project."""
    apps = sorted((ROOT / "src" / "wherry_apps").glob("*/README.md"))
    return [ROOT / "README.md", ROOT / "AGENTS.md", *sorted((ROOT / "docs").rglob("*.md")), *apps]


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            text[: match.start("body")].count("\n") + 1,
            match["lang"],
            match["body"],
            match["note"] or "",
        )
        for match in _FENCE.finditer(text)
    ]
