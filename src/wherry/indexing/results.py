"""What the acts of an index return; `to_dict` is the JSON their commands print."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

LISTED = 1000


@dataclass(frozen=True)
class Failure:
    """A document that could not be indexed; its earlier version, where there is one, keeps serving.

    error: a class name of `errors.py`, or of the system's errors. message: for a person, never the text.
    """

    source: str
    document: str
    error: str
    message: str
    attempts: int = 1


@dataclass
class Statistics:
    """What a run counted. `scanned = new + modified + metadata_only + renamed + unchanged + failed` always holds.

    deleted: documents that their source no longer lists, beside `scanned`. chunks_embedded: texts a model was
    asked for. chunks_reused: chunks of new and changed documents that needed no model. tokens, cost (US dollars):
    as the model accounted for them; cost None where no price is known.
    """

    scanned: int = 0
    new: int = 0
    modified: int = 0
    metadata_only: int = 0
    renamed: int = 0
    deleted: int = 0
    unchanged: int = 0
    failed: int = 0
    chunks_embedded: int = 0
    chunks_reused: int = 0
    tokens: int = 0
    cost: float | None = 0.0

    def embedded(self, texts: int) -> None:
        """Count texts that were embedded and stored."""
        self.chunks_embedded += texts

    @property
    def changed(self) -> int:
        """How many documents were written."""
        return self.new + self.modified + self.metadata_only + self.renamed


@dataclass(frozen=True)
class IndexResult:
    """What an index run did.

    run: its id, empty where nothing had to be done. into: the address. embedder: the spec of the model of this
    generation. failures: the first of them. notes: what a person should know, one sentence each. seconds: of all.
    """

    scanned: int
    new: int
    modified: int
    metadata_only: int
    renamed: int
    deleted: int
    unchanged: int
    failed: int
    chunks_embedded: int
    chunks_reused: int
    tokens: int
    cost: float | None
    seconds: float
    run: str
    into: str
    embedder: str
    generation: int
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()
    complete: bool = True

    @property
    def changed(self) -> int:
        """How many documents were written or deleted."""
        return self.new + self.modified + self.metadata_only + self.renamed + self.deleted

    @property
    def exit_code(self) -> int:
        """0 done, 5 when documents failed or a source could not be listed to its end."""
        return 5 if self.failed or not self.complete else 0

    def to_dict(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        return asdict(self)


def result_of(statistics: Statistics, **more: Any) -> IndexResult:
    """Return the result with the numbers of a run."""
    return IndexResult(**asdict(statistics), **more)


@dataclass(frozen=True)
class Rebuild:
    """What a rebuild did. serving: the generation readers see now; before: the one they saw."""

    into: str
    before: int
    serving: int
    embedder: str
    documents: int
    chunks: int
    chunks_embedded: int
    chunks_reused: int
    tokens: int
    cost: float | None
    seconds: float
    run: str
    notes: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return the result as a JSON object."""
        return asdict(self)
