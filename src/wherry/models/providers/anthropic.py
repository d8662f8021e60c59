"""Anthropic's Messages API: chat. It has no embedding model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import anthropic

from wherry.models import faults
from wherry.models.base import Message, Reply, Usage
from wherry.models.providers.transport import USUAL_TIMEOUT_S, speaking, trusted
from wherry.models.spec import GUARD_OPTIONS, ModelSpec

KEY = "ANTHROPIC_API_KEY"
# The API wants a bound on every answer; an answer from found passages is far shorter.
_USUAL_TOKENS = 4096
_FINISH = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length"}


class AnthropicChat:
    """Sends conversations to `/v1/messages`."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec, self._where = spec, str(spec)
        self._timeout_s = spec.seconds("timeout") or USUAL_TIMEOUT_S
        self._key = faults.key(KEY)
        self._client = anthropic.Anthropic(
            api_key=self._key,
            base_url=spec.text("base_url"),
            max_retries=0,
            timeout=self._timeout_s,
            http_client=anthropic.DefaultHttpxClient(verify=trusted(anthropic.DefaultHttpxClient)),
        )

    def reply(
        self, messages: Sequence[Message], *, max_tokens: int | None = None, schema: dict[str, Any] | None = None
    ) -> Reply:
        """Return the answer to one request."""
        request = self._request(messages, max_tokens)
        if schema is not None:
            form = {"type": "json_schema", "schema": anthropic.transform_schema(schema)}
            request["output_config"] = {"format": form}
        with self._asking(messages):
            return self._whole(self._client.messages.create(**request))

    def stream(self, messages: Sequence[Message], *, max_tokens: int | None = None) -> Iterator[str | Reply]:
        """Yield the pieces of the answer, then the whole."""
        with (
            self._asking(messages),
            self._client.messages.stream(**self._request(messages, max_tokens)) as stream,
        ):
            yield from stream.text_stream
            whole = stream.get_final_message()
            if whole.stop_reason is None:
                raise faults.unreachable(ConnectionError("the stream ended early"), self._where)
            yield self._whole(whole)

    def close(self) -> None:
        """Release connections."""
        self._client.close()

    def _request(self, messages: Sequence[Message], max_tokens: int | None) -> dict[str, Any]:
        system = "\n\n".join(message.content for message in messages if message.role == "system")
        turns = [{"role": m.role, "content": m.content} for m in messages if m.role != "system"]
        request = {"model": self.spec.model, "messages": turns, "max_tokens": max_tokens or _USUAL_TOKENS}
        return {**request, "system": system} if system else request

    def _whole(self, answer: anthropic.types.Message) -> Reply:
        text = "".join(block.text for block in answer.content if block.type == "text")
        used = answer.usage
        # What is written to or read from the cache is counted beside the input, and billed too.
        cached = (used.cache_creation_input_tokens or 0) + (used.cache_read_input_tokens or 0)
        finish = _FINISH.get(str(answer.stop_reason), str(answer.stop_reason))
        return Reply(text, answer.model, Usage(used.input_tokens + cached, used.output_tokens), {"finish": finish})

    @contextmanager
    def _asking(self, messages: Sequence[Message]) -> Iterator[None]:
        with speaking(self._where, self._timeout_s):
            try:
                yield
            except anthropic.APITimeoutError:
                raise faults.timed_out(self._timeout_s, self._where) from None
            except anthropic.APIConnectionError as error:
                raise faults.unreachable(error, self._where) from None
            except anthropic.APIStatusError as error:
                raise faults.refused(
                    _status(error),
                    error.api_message or "",
                    where=self._where,
                    code=str(error.type or ""),
                    retry_after_s=faults.retry_after(error.response.headers),
                    secrets=[self._key],
                    texts=[message.content for message in messages],
                    key_name=KEY,
                ) from None


def open_chat(spec: ModelSpec) -> AnthropicChat:
    """Open `anthropic:MODEL`. Raises BadAddress, or AuthFailed when there is no key."""
    spec.require(GUARD_OPTIONS | {"base_url"})
    return AnthropicChat(spec)


def _status(error: anthropic.APIStatusError) -> int:
    # In the middle of a stream an error comes under the status of the stream, which was 200.
    of_kind = {"overloaded_error": 529, "rate_limit_error": 429, "api_error": 500, "authentication_error": 401}
    return error.status_code if error.status_code >= 400 else of_kind.get(str(error.type), 500)
