"""Where the story plays, and what it has measured so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import wherry
from wherry.errors import Integrity
from wherry.moving.progress import Progress

DIMENSION = 1024
ROUTE = "wherry-demo"
TABLE = "wherry_demo_guides"
COLLECTION = "welno_medical_knowledge"
Say = Callable[[str], None]


@dataclass
class Stage:
    """The folder, the voice, the addresses of both sides, and what was measured.

    cloud: where the index is before. before: the answers given there.
    """

    folder: Path
    say: Say
    progress: Progress
    cloud: str = ""
    before: list[wherry.Answer] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def export(self) -> str:
        """The file that comes out of the cloud."""
        return str(self.folder / "backup" / "llamacloud_export.json")

    @property
    def report(self) -> Path:
        """The page that compares both sides."""
        return self.folder / "compare.html"

    @property
    def local(self) -> str:
        """The collection in the local Chroma folder."""
        return f"chroma:{self.folder / 'chroma_db'}#{COLLECTION}"

    @property
    def table(self) -> str:
        """The table in the embedded PostgreSQL."""
        return f"pgvector:#{TABLE}"

    @property
    def back(self) -> str:
        """The file at the end of the way."""
        return str(self.folder / "back_again.json")

    def title(self, text: str) -> None:
        """Say what comes next."""
        self.say(f"\n{text}")

    def line(self, text: str) -> None:
        """Say one thing that was done."""
        self.say(f"   {text}")

    def require(self, fact: bool, otherwise: str) -> None:
        """Raise Integrity when a step did not end as the story promises."""
        if not fact:
            raise Integrity(f"the demo did not go as promised: {otherwise}", next="please report this")

    def leg(self, result: wherry.SyncResult) -> None:
        """Keep what a sync did."""
        self.told.setdefault("legs", []).append(result.to_dict())

    def proved(self, source: str, target: str, tolerance: str = "auto") -> None:
        """Verify two sides, value by value, and say so."""
        proof = wherry.verify(source, target, tolerance=tolerance)
        self.require(proof.verdict == "verified", f"{target} differs from {source}")
        self.line(f"verify  {proof.compared} records read on both sides and compared value by value: {proof.verdict}")
        self.line(f"        vectors compared as {proof.tolerance}")
