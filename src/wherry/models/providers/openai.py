"""OpenAI and whatever speaks its API (`?base_url=`): embeddings and chat completions.

Facts: at most 2,048 texts and 300,000 tokens a request, 8,192 tokens a text; empty texts are refused. Vectors
come as base64, which spares parsing decimal text, and with unit length.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import openai

from wherry.errors import BadAnswer
from wherry.models import faults
from wherry.models.base import Message, Reply, Usage
from wherry.models.providers.transport import USUAL_TIMEOUT_S, objects_closed, speaking, trusted
from wherry.models.spec import EMBED_OPTIONS, GUARD_OPTIONS, ModelSpec
from wherry.models.wire import Limits, Sent, matrix, prompted
from wherry.space import Metric, Space

KEY = "OPENAI_API_KEY"
_DIMENSIONS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}
_CONCURRENCY = 8


class _Link:
    """A client of one address, and its errors in Wherry's words."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec, self.where = spec, str(spec)
        self.timeout_s = spec.seconds("timeout") or USUAL_TIMEOUT_S
        base_url = spec.text("base_url") or os.environ.get("OPENAI_BASE_URL")
        # A server of one's own seldom wants a key, but the client wants one to be there.
        self.official = not base_url
        self.key = faults.key(KEY) if self.official or os.environ.get(KEY) else "none"
        self.client = openai.OpenAI(
            api_key=self.key,
            base_url=base_url,
            max_retries=0,
            timeout=self.timeout_s,
            http_client=openai.DefaultHttpxClient(verify=trusted(openai.DefaultHttpxClient)),
        )

    @contextmanager
    def asking(self, texts: Sequence[str]) -> Iterator[None]:
        """Turn the client's exceptions into Wherry's."""
        with speaking(self.where, self.timeout_s):
            try:
                yield
            except openai.APITimeoutError:
                raise faults.timed_out(self.timeout_s, self.where) from None
            except openai.APIConnectionError as error:
                raise faults.unreachable(error, self.where) from None
            except openai.APIStatusError as error:
                raise faults.refused(
                    error.status_code,
                    error.message,
                    where=self.where,
                    code=error.code or "",
                    retry_after_s=faults.retry_after(error.response.headers),
                    secrets=[self.key],
                    texts=texts,
                    key_name=KEY,
                ) from None
            except openai.APIError as error:
                # An error in the middle of a stream has a code and no status.
                raise faults.refused(500, "", where=self.where, code=error.code or "") from None


class OpenAIEmbedder:
    """Sends texts to `/embeddings`."""

    def __init__(self, spec: ModelSpec) -> None:
        self._link = _Link(spec)
        self.spec = spec
        known = self._link.official or spec.model in _DIMENSIONS
        self.limits = Limits(2048, 300_000, 8192 if known else None, _CONCURRENCY)

    def space(self) -> Space:
        """Return the card of its vectors; the dimension is known of OpenAI's own models alone."""
        return Space(
            dimension=self.spec.whole("dim") or _DIMENSIONS.get(self.spec.model),
            metric=Metric.COSINE,
            provider="openai",
            model=self.spec.model,
            normalised=True,
            query_prompt=self.spec.text("query_prompt"),
            document_prompt=self.spec.text("document_prompt"),
        )

    def send(self, texts: Sequence[str], *, query: bool) -> Sent:
        """Embed texts by one request."""
        prompt = self.spec.text("query_prompt" if query else "document_prompt")
        with self._link.asking(texts):
            answer = self._link.client.embeddings.create(
                model=self.spec.model,
                input=prompted(texts, prompt),
                dimensions=self.spec.whole("dim") or openai.omit,
                encoding_format="base64",
            )
            rows = _in_order([(entry.index, entry.embedding) for entry in answer.data], len(texts), self._link.where)
            return Sent(_vectors(rows, self._link.where), answer.usage.prompt_tokens if answer.usage else None)

    def close(self) -> None:
        """Release connections."""
        self._link.client.close()


class OpenAIChat:
    """Sends conversations to `/chat/completions`."""

    def __init__(self, spec: ModelSpec) -> None:
        self._link = _Link(spec)
        self.spec = spec

    def reply(
        self, messages: Sequence[Message], *, max_tokens: int | None = None, schema: dict[str, Any] | None = None
    ) -> Reply:
        """Return the answer to one request."""
        with self._link.asking([message.content for message in messages]):
            request = self._request(messages, max_tokens)
            form: Any = _format(schema) if schema else openai.omit
            answer = self._link.client.chat.completions.create(**request, response_format=form)
            choice = answer.choices[0]
            refusal = choice.message.refusal
            return Reply(
                text=choice.message.content or "",
                model=answer.model,
                usage=_usage(answer.usage),
                extra={"finish": "refusal" if refusal else choice.finish_reason},
            )

    def stream(self, messages: Sequence[Message], *, max_tokens: int | None = None) -> Iterator[str | Reply]:
        """Yield the pieces of the answer, then the whole."""
        pieces: list[str] = []
        model, finish, usage = self.spec.model, None, None
        with self._link.asking([message.content for message in messages]):
            request = self._request(messages, max_tokens)
            stream = self._link.client.chat.completions.create(
                **request, stream=True, stream_options={"include_usage": True}
            )
            with closing(stream):
                for chunk in stream:
                    model, usage = chunk.model or model, chunk.usage or usage
                    for choice in chunk.choices:
                        finish = choice.finish_reason or finish
                        if choice.delta.content:
                            pieces.append(choice.delta.content)
                            yield choice.delta.content
        if finish is None:
            raise faults.unreachable(ConnectionError("the stream ended early"), self._link.where)
        yield Reply("".join(pieces), model, _usage(usage), {"finish": finish})

    def close(self) -> None:
        """Release connections."""
        self._link.client.close()

    def _request(self, messages: Sequence[Message], max_tokens: int | None) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self.spec.model,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
        }
        if max_tokens is not None:
            # OpenAI's newer models know only the first name, other servers often only the second.
            request["max_completion_tokens" if self._link.official else "max_tokens"] = max_tokens
        temperature = self.spec.temperature()
        return request if temperature is None else {**request, "temperature": temperature}


def open_embedder(spec: ModelSpec) -> OpenAIEmbedder:
    """Open `openai:MODEL`. Raises BadAddress, or AuthFailed when there is no key."""
    spec.require(EMBED_OPTIONS | {"base_url", "query_prompt", "document_prompt"})
    return OpenAIEmbedder(spec)


def open_chat(spec: ModelSpec) -> OpenAIChat:
    """Open `openai:MODEL`. Raises BadAddress, or AuthFailed when there is no key."""
    spec.require(GUARD_OPTIONS | {"base_url", "temperature"})
    spec.temperature()
    return OpenAIChat(spec)


def _in_order(rows: list[tuple[int, Any]], count: int, where: str) -> list[Any]:
    """Return the vectors by their index, which must be that of each text once. Raises BadAnswer."""
    if sorted(index for index, _ in rows) != list(range(count)):
        raise BadAnswer(
            f"the provider answered {count} texts with {len(rows)} vectors that are not numbered one to one",
            where=where,
            next="check the server; nothing of this answer was kept",
        )
    return [vector for _, vector in sorted(rows, key=lambda row: row[0])]


def _vectors(rows: list[Any], where: str) -> np.ndarray:
    # A server that ignores the wish for base64 answers with numbers.
    decoded = [np.frombuffer(base64.b64decode(row), dtype="<f4") for row in rows if isinstance(row, str)]
    if not decoded or len(decoded) < len(rows):
        return matrix(rows, where)
    if len({len(row) for row in decoded}) > 1:
        return matrix([row.tolist() for row in decoded], where)
    return np.stack(decoded).astype(np.float32, copy=False)


def _usage(usage: Any) -> Usage:
    return Usage(usage.prompt_tokens, usage.completion_tokens) if usage else Usage()


def _format(schema: dict[str, Any]) -> dict[str, Any]:
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", str(schema.get("title", "answer")))[:64]
    closed = objects_closed(schema)
    asked = {"name": name, "schema": closed or schema, "strict": closed is not None}
    return {"type": "json_schema", "json_schema": asked}
