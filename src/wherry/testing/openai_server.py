"""An OpenAI server for tests: `/v1/embeddings` and `/v1/chat/completions`."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from wherry.testing.model_server import Asked, ModelServer, Pieces, Refusal

MOST_TEXTS, MOST_TOKENS = 2048, 300_000


class OpenAIServer(ModelServer):
    """Speaks OpenAI's API.

    ignores_wishes: as some servers of that API do, it sends numbers at full width. shuffles: vectors come in
    another order than the texts, each with the number of its text.
    """

    ignores_wishes = False
    shuffles = False

    def answer(self, asked: Asked) -> Any:
        """Answer one request. Raises Refusal."""
        if self.key is not None and asked.headers.get("authorization") != f"Bearer {self.key}":
            shown = asked.headers.get("authorization", "").removeprefix("Bearer ")
            raise Refusal(401, "invalid_api_key", f"Incorrect API key provided: {shown}.")
        if asked.path == "/v1/embeddings":
            return self._embedded(asked.body)
        if asked.path == "/v1/chat/completions":
            return self._chatted(asked.body)
        raise Refusal(404, "unknown_url", f"Unknown request URL: {asked.method} {asked.path}")

    def refusal(self, refused: Refusal) -> tuple[dict[str, str], Any]:
        """Return an error as OpenAI writes it."""
        body = {"message": refused.words, "type": "error", "param": None, "code": refused.code or None}
        return {"x-request-id": "req_test"}, {"error": body}

    def _embedded(self, body: dict[str, Any]) -> Any:
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        tokens = sum(self.tokens(text) for text in texts)
        if body["model"].endswith("-nosuch"):
            raise Refusal(404, "model_not_found", "The model does not exist")
        if not texts or len(texts) > MOST_TEXTS:
            raise Refusal(400, "invalid_request_error", f"input must have 1 to {MOST_TEXTS} entries")
        if tokens > MOST_TOKENS:
            raise Refusal(400, "max_tokens_per_request", f"Requested {tokens} tokens, max {MOST_TOKENS}")
        dimension = None if self.ignores_wishes else body.get("dimensions")
        rows = self.vectors(texts, dimension)
        in_base64 = body.get("encoding_format") == "base64" and not self.ignores_wishes
        data = [
            {"object": "embedding", "index": n, "embedding": _base64(row) if in_base64 else row}
            for n, row in enumerate(rows)
        ]
        if self.shuffles:
            data.reverse()
        used = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": body["model"], "usage": used}

    def _chatted(self, body: dict[str, Any]) -> Any:
        messages = [str(message["content"]) for message in body["messages"]]
        text = self.spoken(messages)
        used = sum(map(self.tokens, messages)), self.tokens(text)
        usage = {"prompt_tokens": used[0], "completion_tokens": used[1], "total_tokens": sum(used)}
        most = body.get("max_completion_tokens") or body.get("max_tokens")
        finish = "length" if most is not None and used[1] > most else "stop"
        head = {"id": "chatcmpl-test", "created": 1, "model": body["model"]}
        if body.get("stream"):
            return Pieces("text/event-stream", self._events(head, text, finish, usage))
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
        return {**head, "object": "chat.completion", "choices": [choice], "usage": usage}

    def _events(self, head: dict[str, Any], text: str, finish: str, usage: dict[str, int]) -> Iterator[bytes]:
        head = {**head, "object": "chat.completion.chunk"}
        for piece in self.pieces(text):
            yield _event({**head, "choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
        yield _event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        yield _event({**head, "choices": [], "usage": usage})
        yield b"data: [DONE]\n\n"


def _base64(row: list[float]) -> str:
    return base64.b64encode(np.array(row, dtype="<f4").tobytes()).decode()


def _event(body: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(body)}\n\n".encode()
