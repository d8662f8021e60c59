"""Which model embeds, and getting vectors from it with patience.

A profile, or a name, becomes a spec of the core: `qwen3-embedding:8b` is `ollama:qwen3-embedding:8b?dim=1024`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard

import numpy as np

import wherry
from wherry import BadAddress, BadAnswer, BadRecord, Space, TimedOut, Usage, WherryError
from wherry_apps.evals import logs
from wherry_apps.evals.rules import cut
from wherry_apps.evals.runs import Json
from wherry_apps.evals.settings import Settings

BATCH, ATTEMPTS, WAITS_S, TIMEOUT_S = 32, 3, (1.0, 2.0), 120
# What a vector index of pgvector takes at most.
MOST_INDEXED = 2000
PROFILES = ("ollama", "dev", "prod", "offline")
OFFLINE = "hash:1024"
_NATIVE = {"qwen3-embedding:8b": 4096, "qwen3-embedding:4b": 2560, "qwen3-embedding:0.6b": 1024}
_CUT = {"qwen3-embedding:8b": 1024}
# So many texts go to the core at once, which sends them in batches.
_AT_ONCE = 512
Vector = np.ndarray | WherryError


@dataclass(frozen=True)
class Choice:
    """A model that was chosen. name: as its provider calls it. dim: None for the model's own."""

    provider: str
    name: str
    dim: int | None
    base_url: str | None = None

    @property
    def shown(self) -> str:
        """The choice in a word, fit to print."""
        return f"{self.provider}:{self.name}" + (f" cut to {self.dim}" if self.dim else "")

    def spec(self, batch: int) -> str:
        """Return the core's spec of it."""
        options: dict[str, Any] = {"batch": batch}
        if self.provider != "hash":
            options["timeout"] = TIMEOUT_S
            options |= {"dim": self.dim} if self.dim else {}
        if self.base_url:
            options["base_url"] = self.base_url
        return f"{self.provider}:{self.name}?" + "&".join(f"{key}={value}" for key, value in options.items())

    def fits(self, embedder: Json) -> bool:
        """Tell whether vectors of a recorded embedder are this one's."""
        same = (embedder.get("provider"), embedder.get("model")) == (self.provider, self.name)
        return same and self.dim in (None, embedder.get("dim"))


def _may_pass(found: Vector | None) -> TypeGuard[WherryError]:
    """Tell whether this is an error of the request, and none of the text."""
    return isinstance(found, WherryError) and not isinstance(found, BadRecord)


def chosen(model: str | None, dim: int | None, settings: Settings) -> Choice:
    """Return the model that options and settings choose. Raises Usage for a name or a dimension that cannot be."""
    if model is None:
        if settings.profile not in PROFILES:
            raise Usage(
                f"EVALVAULT_RAG_EMBEDDING_PROFILE is {settings.profile!r}",
                where="EVALVAULT_RAG_EMBEDDING_PROFILE",
                next=f"use {', '.join(PROFILES)}",
            )
        usual = {"dev": ("qwen3-embedding:0.6b", 256), "prod": ("qwen3-embedding:8b", 1024), "offline": (OFFLINE, None)}
        model, usual_dim = usual.get(settings.profile, (settings.ollama_model, None))
        dim = dim or usual_dim
    found = _named(model, dim, settings.ollama_url)
    _require_possible(found, settings)
    return found


def recorded(embedder: Json, settings: Settings) -> Choice:
    """Return the model that made the vectors of a table, as they tell it."""
    ollama = embedder["provider"] == "ollama"
    return Choice(embedder["provider"], embedder["model"], embedder["dim"], settings.ollama_url if ollama else None)


def _named(model: str, dim: int | None, ollama_url: str | None) -> Choice:
    try:
        wherry.open_embedder(model).close()
    except (wherry.UnknownModel, BadAddress):
        # No provider of the core: the name of a model that Ollama serves.
        return Choice("ollama", model, dim or _CUT.get(model), ollama_url)
    plain, _, options = model.partition("?")
    provider, _, name = plain.partition(":")
    given = dict(pair.partition("=")[::2] for pair in options.split("&") if pair)
    if unknown := sorted(set(given) - {"dim", "base_url", "batch", "timeout"}):
        raise Usage(f"the option {unknown[0]} of the model is not used here", where=model)
    url = given.get("base_url") or (ollama_url if provider == "ollama" else None)
    asked = (
        dim or (int(given["dim"]) if given.get("dim") else None) or (_CUT.get(name) if provider == "ollama" else None)
    )
    return Choice(provider, name, asked, url)


def _require_possible(choice: Choice, settings: Settings) -> None:
    native = int(choice.name) if choice.provider == "hash" else _NATIVE.get(choice.name)
    dim = choice.dim or native
    if choice.dim is not None and native is not None and choice.dim > native:
        raise Usage(
            f"{choice.name} gives {native} components, so {choice.dim} cannot be cut from it",
            where="--matryoshka-dim", next=f"ask for {native} or fewer",
        )  # fmt: skip
    if dim is not None and dim > MOST_INDEXED and settings.index != "none":
        raise Usage(
            f"an index of pgvector takes at most {MOST_INDEXED} components, not {dim}",
            where="--matryoshka-dim",
            next="cut the vectors, for example --matryoshka-dim 1024, or set EVALVAULT_RAG_PGVECTOR_INDEX=none",
        )


class _Open(Protocol):
    @property
    def spec(self) -> str: ...

    @property
    def account(self) -> Any: ...

    def space(self) -> Space: ...

    def embed_each(self, texts: Sequence[str]) -> list[np.ndarray | WherryError]: ...

    def embed_query(self, text: str) -> np.ndarray: ...

    def close(self) -> None: ...


class RunEmbedder:
    """The embedder of the index: opened when it is first needed, cut to its dimension, patient.

    batch: texts of one request. record: what the index kept of it, so that its server need not be asked. wait:
    sleeps; a test may give another. It is an Embedder of the core, too.
    """

    def __init__(
        self, choice: Choice, batch: int = BATCH, record: Json | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        self.choice, self._batch, self._wait = choice, batch, wait
        self._made: _Open | None = None
        self._card: Space | None = None
        if record is not None:
            self._card = Space(
                record["dim"], wherry.Metric.COSINE, choice.provider, choice.name, None, record["normalised"]
            )

    @property
    def spec(self) -> str:
        """Return what names it, fit to print."""
        return f"{self.choice.provider}:{self.choice.name}" + (f"?dim={self.choice.dim}" if self.choice.dim else "")

    def space(self) -> Space:
        """Return the card of its vectors. May ask the model's server."""
        if self._card is None:
            card = self._patiently(self._open.space)
            dimension = self.choice.dim or card.dimension
            self._card = Space(
                dimension, wherry.Metric.COSINE, card.provider, card.model, card.model_digest,
                True if self._cuts(card) else card.normalised, card.query_prompt, card.document_prompt,
            )  # fmt: skip
        return self._card

    @property
    def spent(self) -> tuple[int, float | None]:
        """The tokens and the US dollars so far; None where no price is known."""
        if self._made is None:
            return 0, 0.0
        account = self._made.account
        return account.tokens_in, account.cost

    def record(self) -> Json:
        """Return what is kept of it with each source: provider, model, dim, normalised."""
        card = self.space()
        return {
            "provider": self.choice.provider,
            "model": self.choice.name,
            "dim": card.dimension,
            "normalised": bool(card.normalised),
        }

    def embed_each(self, texts: Sequence[str]) -> list[Vector]:
        """Return a vector (float32, shape (dim,)) or the BadRecord of each text, in order.

        Raises what stops everything: Unreachable, TimedOut, RateLimited and BadAnswer after three attempts, others
        at once.
        """
        found: list[Vector] = []
        for start in range(0, len(texts), _AT_ONCE):
            found += self._some(list(texts[start : start + _AT_ONCE]))
        return found

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of texts: float32, shape (n, dim). Raises the first error there is."""
        found = self.embed_each(texts)
        for one in found:
            if isinstance(one, WherryError):
                raise one
        return np.stack(found) if found else np.empty((0, self.space().dimension or 0), np.float32)  # type: ignore[arg-type]

    def embed_query(self, text: str) -> np.ndarray:
        """Return the vector of a question: float32, shape (dim,). One attempt: somebody is waiting."""
        vector = self._open.embed_query(text)
        return self._shaped(vector[None])[0]

    def close(self) -> None:
        """Release connections; a second call does nothing."""
        made, self._made = self._made, None
        if made is not None:
            made.close()

    @property
    def _open(self) -> _Open:
        if self._made is None:
            # The core would try again for two minutes; how often it is tried is decided here.
            patience = wherry.Patience(deadline_s=0.0)
            self._made = wherry.open_embedder(self.choice.spec(self._batch), patience=patience)
        return self._made

    def _some(self, texts: list[str]) -> list[Vector]:
        found: list[Vector | None] = [None] * len(texts)
        left = list(range(len(texts)))
        for attempt in range(1, ATTEMPTS + 1):
            for at, one in zip(left, self._asked([texts[at] for at in left]), strict=True):
                found[at] = one
            errors = {at: one for at in left if _may_pass(one := found[at])}
            if not errors:
                return self._cut(found)
            self._give_up_or_wait(next(iter(errors.values())), attempt)
            left = list(errors)
        raise AssertionError("the last attempt either returns or raises")

    def _asked(self, texts: list[str]) -> list[Vector]:
        """Ask once; what hinders even the first look at the model is the error of every text."""
        try:
            return self._open.embed_each(texts)
        except WherryError as error:
            return [error] * len(texts)

    def _patiently(self, act: Callable[[], Space]) -> Space:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return act()
            except WherryError as error:
                self._give_up_or_wait(error, attempt)
        raise AssertionError("the last attempt either returns or raises")

    def _give_up_or_wait(self, error: WherryError, attempt: int) -> None:
        """Wait before the next attempt, or raise. A request that timed out was made smaller and asked again before."""
        again = isinstance(error, BadAnswer) or (error.retryable and not isinstance(error, TimedOut))
        if not again or attempt >= ATTEMPTS:
            logs.error("embedding failed", model=self.choice.shown, error=type(error).__name__, attempts=attempt)
            raise error
        logs.warning("embedding is tried again", model=self.choice.shown, error=type(error).__name__, attempt=attempt)
        self._wait(WAITS_S[attempt - 1])

    def _cut(self, found: list[Vector | None]) -> list[Vector]:
        good = [at for at, one in enumerate(found) if isinstance(one, np.ndarray)]
        if good:
            shaped = self._shaped(np.stack([found[at] for at in good]))  # type: ignore[misc]
            for at, vector in zip(good, shaped, strict=True):
                found[at] = vector
        return [one for one in found if one is not None]

    def _shaped(self, vectors: np.ndarray) -> np.ndarray:
        if self.choice.dim is None or vectors.shape[1] == self.choice.dim:
            return vectors
        return cut(vectors, self.choice.dim, self.choice.shown)

    def _cuts(self, card: Space) -> bool:
        return self.choice.dim is not None and card.dimension != self.choice.dim
