"""The model of a generation: opened when something has to be embedded, and checked to be the one it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from wherry.errors import BadRecord, Rejected, SpaceMismatch
from wherry.indexing.fingerprints import settings_fp
from wherry.indexing.manifest import Generation
from wherry.models.accounts import Account
from wherry.models.base import Embedder
from wherry.models.guard import GuardedEmbedder
from wherry.models.registry import guarded, open_embedder
from wherry.space import Space

DEFAULT = "hash:1024"
Wish = str | Embedder | None


class _Own:
    """An embedder of the caller's own, whose refusal of a text lets the guard look for that text."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._embedder, name)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        try:
            return self._embedder.embed(texts)
        except BadRecord as error:
            raise Rejected(error.what, where=error.where, next=error.next, divisible=True) from error


class Model:
    """An embedder that is asked late. wish: a spec or an embedder of the caller's, None = the generation's own."""

    def __init__(self, wish: Wish, live: Generation | None, shown: str) -> None:
        self.live, self.shown = live, shown
        self._own = not isinstance(wish, Embedder)
        self._given = wish if isinstance(wish, Embedder) else None
        self._spec = wish if isinstance(wish, str) else (live.embedder if live else DEFAULT)
        self._asked_for = wish is not None
        self._opened: GuardedEmbedder | None = None

    @property
    def spec(self) -> str:
        """The spec, fit to print."""
        return self._given.spec if self._given is not None else self._spec

    @property
    def embedder(self) -> GuardedEmbedder:
        """The model, opened behind the guard. Raises what opening raises, and SpaceMismatch."""
        if self._opened is None:
            self._opened = self._open()
            self._require_same(self._opened.space())
        return self._opened

    @property
    def space(self) -> Space:
        """The card of its vectors."""
        return self.live.space if self.live is not None else self.embedder.space()

    @property
    def settings(self) -> bytes:
        """The fingerprint of what turns a text into a vector."""
        return settings_fp(self.space)

    def require_same(self) -> None:
        """Raise SpaceMismatch when the caller asks for a model that is not the generation's.

        Where the same spec could only mean the same model, nobody is asked.
        """
        if self.live is None or not self._asked_for:
            return
        if self._given is None and self._spec == self.live.embedder and self.live.space.model_digest is None:
            return
        _ = self.embedder

    @property
    def spent(self) -> Account:
        """What the model was asked so far; nothing while it was not opened."""
        return self._opened.account if self._opened is not None else Account()

    def spent_since(self, before: Account) -> tuple[int, float | None]:
        """Return (tokens, US dollars or None where no price is known) since an earlier account."""
        now = self.spent
        if not now.requests:
            return 0, 0.0
        cost = None if now.cost is None else now.cost - (before.cost or 0.0)
        return now.tokens_in - before.tokens_in, cost

    def close(self) -> None:
        """Release the model if it was opened here; a second call does nothing."""
        if self._opened is not None and self._own:
            self._opened.close()
        self._opened = None

    def _open(self) -> GuardedEmbedder:
        if isinstance(self._given, GuardedEmbedder):
            return self._given
        return open_embedder(self._spec) if self._given is None else guarded(cast(Embedder, _Own(self._given)))

    def _require_same(self, found: Space) -> None:
        live = self.live
        if live is None:
            return
        conflicts = [c for c in live.space.conflicts(found) if not c.startswith(("metric:", "query_prompt:"))]
        if not conflicts:
            return
        moved = live.embedder == self.spec and conflicts[0].startswith("model_digest")
        what = (
            f"the model {self.spec} is not the one this index was made with: it moved"
            if moved
            else f"this index was made with {live.embedder}, not with {self.spec}"
        )
        raise SpaceMismatch(
            f"{what} ({'; '.join(conflicts)})",
            where=self.shown,
            left="nothing was written; the index serves as before",
            next=f"wherry index rebuild '{self.shown}' --embedder {self.spec}",
        )
