"""Ollama: `/api/embed` and `/api/chat` of a server of one's own.

Facts: a text longer than the context is cut in silence unless `truncate` is false; `dimensions` is ignored by
older servers; a tag like `:8b` can be pulled anew and then names another model, which only its digest tells.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import httpx
import ollama

from wherry.errors import Rejected, WherryError
from wherry.models import faults
from wherry.models.base import Message, Reply, Usage
from wherry.models.providers.transport import speaking, trusted
from wherry.models.spec import EMBED_OPTIONS, GUARD_OPTIONS, ModelSpec
from wherry.models.wire import Limits, Sent, matrix, prompted
from wherry.space import Metric, Space

# Only servers behind a gateway want one; the client sends it by itself.
KEY = "OLLAMA_API_KEY"
# A model is loaded by the first request that asks for it, which may take minutes.
_TIMEOUT_S = 300.0
_KEEP_ALIVE = "10m"
_LOCAL = {"base_url", "keep_alive", "num_ctx"}
# The model was trained to find documents by questions that begin so; documents have no prompt.
QWEN3_QUERY = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"


class _Link:
    """A client of one server, and its errors in Wherry's words."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec, self.where = spec, str(spec)
        self.timeout_s = spec.seconds("timeout") or _TIMEOUT_S
        self.client = ollama.Client(host=spec.text("base_url"), timeout=self.timeout_s, verify=trusted(httpx.Client))
        self.keep_alive = spec.text("keep_alive") or _KEEP_ALIVE

    @property
    def options(self) -> dict[str, Any] | None:
        """The model's options for this request."""
        found = {"num_ctx": self.spec.whole("num_ctx"), "temperature": self.spec.temperature()}
        return {name: value for name, value in found.items() if value is not None} or None

    @contextmanager
    def asking(self, texts: Sequence[str]) -> Iterator[None]:
        """Turn the client's exceptions into Wherry's."""
        with speaking(self.where, self.timeout_s):
            try:
                yield
            except ollama.ResponseError as error:
                raise self._refused(error, texts) from None

    def close(self) -> None:
        """Release connections."""
        self.client._client.close()

    def _refused(self, error: ollama.ResponseError, texts: Sequence[str]) -> WherryError:
        # Ollama has no codes. A server of its kind that fails because of one text says so by words alone:
        # a vector that is not a number, or a text longer than the context.
        by_text = error.status_code == 500 and any(word in error.error for word in ("NaN", "context length"))
        status, secrets = 400 if by_text else error.status_code, [os.environ.get(KEY, "")]
        found = faults.refused(status, error.error, where=self.where, secrets=secrets, texts=texts, key_name=KEY)
        if error.status_code == 404:
            found = Rejected(f"the server has no model {self.spec.model}", where=self.where)
            found.next = f"ollama pull {self.spec.model}"
        return found


class OllamaEmbedder:
    """Sends texts to `/api/embed`."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self._link = _Link(spec)
        self._truncate = spec.flag("truncate")

    @cached_property
    def limits(self) -> Limits:
        """What a request may hold; the server tells the model's context."""
        # More at once has been seen to make servers fail.
        context = self.spec.whole("num_ctx") or self._trait("context_length")
        longest = None if self._truncate else context
        # A processor may take a second or more for one text, and a request must be answered in time.
        return Limits(items=512, tokens=None, text_tokens=longest, concurrency=2, usual=32)

    def space(self) -> Space:
        """Return the card of its vectors, with the digest the tag names today."""
        return Space(
            dimension=self.spec.whole("dim") or self._trait("embedding_length"),
            metric=Metric.COSINE,
            provider="ollama",
            model=self.spec.model,
            model_digest=self._digest,
            normalised=True,
            query_prompt=self._query_prompt,
            document_prompt=self.spec.text("document_prompt"),
        )

    def send(self, texts: Sequence[str], *, query: bool) -> Sent:
        """Embed texts by one request."""
        prompt = self._query_prompt if query else self.spec.text("document_prompt")
        with self._link.asking(texts):
            answer = self._link.client.embed(
                model=self.spec.model,
                input=prompted(texts, prompt),
                truncate=self._truncate,
                dimensions=self.spec.whole("dim"),
                options=self._link.options,
                keep_alive=self._link.keep_alive,
            )
            return Sent(matrix(answer.embeddings, self._link.where), answer.prompt_eval_count)

    def close(self) -> None:
        """Release connections."""
        self._link.close()

    @property
    def _query_prompt(self) -> str | None:
        usual = QWEN3_QUERY if self.spec.model.rpartition("/")[2].startswith("qwen3-embedding") else None
        return self.spec.options.get("query_prompt", usual)

    @cached_property
    def _digest(self) -> str | None:
        with self._link.asking([]):
            listed = self._link.client.list().models
        names = {self.spec.model, f"{self.spec.model}:latest"}
        found = next((entry.digest for entry in listed if entry.model in names), None)
        if found is None:
            raise Rejected(
                f"the server has no model {self.spec.model}",
                where=self._link.where,
                next=f"ollama pull {self.spec.model}",
            )
        return found

    @cached_property
    def _shown(self) -> dict[str, Any]:
        with self._link.asking([]):
            return dict(self._link.client.show(self.spec.model).modelinfo or {})

    def _trait(self, name: str) -> int | None:
        value = self._shown.get(f"{self._shown.get('general.architecture')}.{name}")
        return value if isinstance(value, int) and value > 0 else None


class OllamaChat:
    """Sends conversations to `/api/chat`."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self._link = _Link(spec)

    def reply(
        self, messages: Sequence[Message], *, max_tokens: int | None = None, schema: dict[str, Any] | None = None
    ) -> Reply:
        """Return the answer to one request."""
        with self._link.asking([message.content for message in messages]):
            answer = self._link.client.chat(**self._request(messages, max_tokens), format=schema)
            return self._whole(answer.message.content or "", answer)

    def stream(self, messages: Sequence[Message], *, max_tokens: int | None = None) -> Iterator[str | Reply]:
        """Yield the pieces of the answer, then the whole."""
        pieces: list[str] = []
        last: Any = None
        with self._link.asking([message.content for message in messages]):
            for last in self._link.client.chat(**self._request(messages, max_tokens), stream=True):
                if last.message.content:
                    pieces.append(last.message.content)
                    yield last.message.content
        if last is None or not last.done:
            raise faults.unreachable(ConnectionError("the stream ended early"), self._link.where)
        yield self._whole("".join(pieces), last)

    def close(self) -> None:
        """Release connections."""
        self._link.close()

    def _request(self, messages: Sequence[Message], max_tokens: int | None) -> dict[str, Any]:
        options = {**(self._link.options or {}), **({} if max_tokens is None else {"num_predict": max_tokens})}
        return {
            "model": self.spec.model,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "options": options or None,
            "keep_alive": self._link.keep_alive,
        }

    def _whole(self, text: str, answer: Any) -> Reply:
        used = Usage(answer.prompt_eval_count or 0, answer.eval_count or 0)
        return Reply(text, answer.model or self.spec.model, used, {"finish": answer.done_reason or "stop"})


def open_embedder(spec: ModelSpec) -> OllamaEmbedder:
    """Open `ollama:MODEL`. Raises BadAddress."""
    spec.require(EMBED_OPTIONS | _LOCAL | {"truncate", "query_prompt", "document_prompt"})
    return OllamaEmbedder(spec)


def open_chat(spec: ModelSpec) -> OllamaChat:
    """Open `ollama:MODEL`. Raises BadAddress."""
    spec.require(GUARD_OPTIONS | _LOCAL | {"temperature"})
    return OllamaChat(spec)
