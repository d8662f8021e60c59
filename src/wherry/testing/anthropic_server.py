"""An Anthropic server for tests: `/v1/messages`, whole or streamed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from wherry.testing.model_server import Asked, ModelServer, Pieces, Refusal

_TYPES = {400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
          404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 500: "api_error",
          529: "overloaded_error"}  # fmt: skip


class AnthropicServer(ModelServer):
    """Speaks the Messages API."""

    def answer(self, asked: Asked) -> Any:
        """Answer one request. Raises Refusal."""
        # Older clients send the key in a header of its own.
        shown = asked.headers.get("x-api-key", asked.headers.get("authorization", "").removeprefix("Bearer "))
        if self.key is not None and shown != self.key:
            raise Refusal(401, "", "invalid x-api-key")
        if asked.path != "/v1/messages":
            raise Refusal(404, "", "Not found")
        body = asked.body
        roles = [message["role"] for message in body["messages"]]
        if "max_tokens" not in body or not roles or roles[0] != "user" or roles[-1] != "user":
            raise Refusal(400, "", "messages: must begin and end with a user turn, and max_tokens is required")
        whole = self._message(body)
        return Pieces("text/event-stream", self._events(whole)) if body.get("stream") else whole

    def refusal(self, refused: Refusal) -> tuple[dict[str, str], Any]:
        """Return an error as Anthropic writes it."""
        kind = refused.code or _TYPES.get(refused.status, "api_error")
        return {"request-id": "req_test"}, {"type": "error", "error": {"type": kind, "message": refused.words}}

    def _message(self, body: dict[str, Any]) -> dict[str, Any]:
        messages = [str(message["content"]) for message in body["messages"]]
        text = self.spoken(messages)
        reason = "max_tokens" if self.tokens(text) > body["max_tokens"] else "end_turn"
        usage = {"input_tokens": sum(map(self.tokens, messages)), "output_tokens": self.tokens(text)}
        head = {"id": "msg_test", "type": "message", "role": "assistant", "model": body["model"]}
        content = [{"type": "text", "text": text}]
        return {**head, "content": content, "stop_reason": reason, "stop_sequence": None, "usage": usage}

    def _events(self, whole: dict[str, Any]) -> Iterator[bytes]:
        start = {**whole, "content": [], "stop_reason": None}
        yield _event("message_start", message={**start, "usage": {**whole["usage"], "output_tokens": 0}})
        yield _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        for piece in self.pieces(whole["content"][0]["text"]):
            yield _event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
        yield _event("content_block_stop", index=0)
        end = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
        yield _event("message_delta", delta=end, usage={"output_tokens": whole["usage"]["output_tokens"]})
        yield _event("message_stop")


def _event(kind: str, **body: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **body})}\n\n".encode()
