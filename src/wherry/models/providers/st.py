"""sentence-transformers: a model in this process, from a folder, an installed package or its hub.

The digest is that of the model's files, so that the same name with other weights is another model.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer

from wherry.errors import Rejected
from wherry.models.providers.packaged import digest_of, found_folder
from wherry.models.spec import EMBED_OPTIONS, ModelSpec
from wherry.models.wire import Limits, Sent, prompted
from wherry.space import Metric, Space


class SentenceTransformerEmbedder:
    """Runs a model; one request at a time, since it uses all processors by itself."""

    def __init__(self, spec: ModelSpec, model: Any, digest: str | None) -> None:
        self.spec = spec
        self._model = model
        self._digest = digest
        self._lock = Lock()

    @cached_property
    def limits(self) -> Limits:
        """What a request may hold."""
        longest = None if self.spec.flag("truncate") else self._model.max_seq_length
        return Limits(items=256, tokens=None, text_tokens=longest, concurrency=1)

    def space(self) -> Space:
        """Return the card of its vectors."""
        return Space(
            dimension=self.spec.whole("dim") or self._dimension,
            metric=Metric.COSINE,
            provider="st",
            model=Path(self.spec.model).name,
            model_digest=self._digest,
            normalised=True,
            query_prompt=self._prompt("query"),
            document_prompt=self._prompt("document"),
        )

    def send(self, texts: Sequence[str], *, query: bool) -> Sent:
        """Embed texts. The tokens are those of the model's own tokenizer."""
        written = prompted(texts, self._prompt("query" if query else "document"))
        with self._lock:
            tokens = [len(ids) for ids in self._model.tokenizer(written, truncation=False)["input_ids"]]
            self._require_read(max(tokens, default=0))
            vectors = self._model.encode(
                written, batch_size=32, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
            )
        return Sent(np.asarray(vectors, dtype=np.float32), sum(tokens))

    def close(self) -> None:
        """Release nothing: the model's memory goes with this object."""

    @property
    def _dimension(self) -> int | None:
        # Version 5 gave the method another name.
        tell = getattr(self._model, "get_embedding_dimension", None)
        return tell() if tell else self._model.get_sentence_embedding_dimension()

    def _require_read(self, longest: int) -> None:
        # The library cuts a long text in silence.
        most = self.limits.text_tokens
        if most is not None and longest > most:
            raise Rejected(
                f"a text of {longest} tokens is longer than the {most} the model reads",
                where=str(self.spec),
                next="cut smaller chunks, or accept the loss with ?truncate=true",
                divisible=True,
            )

    def _prompt(self, kind: str) -> str | None:
        own = self._model.prompts.get(kind) if self._model.prompts else None
        return self.spec.options.get(f"{kind}_prompt", own or None)


def open_embedder(spec: ModelSpec) -> SentenceTransformerEmbedder:
    """Open `st:PATH` or `st:NAME`; the model is loaded here. Raises BadAddress or MissingExtra."""
    spec.require(EMBED_OPTIONS | {"truncate", "query_prompt", "document_prompt", "device"})
    folder = found_folder(spec.model)
    model = SentenceTransformer(str(folder or spec.model), device=spec.text("device"))
    return SentenceTransformerEmbedder(spec, model, digest_of(folder) if folder else None)
