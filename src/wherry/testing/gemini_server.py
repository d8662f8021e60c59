"""A Gemini server for tests: `batchEmbedContents`, `generateContent`, `streamGenerateContent`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from wherry.testing.model_server import Asked, ModelServer, Pieces, Refusal

MOST_TEXTS = 100
_PATH = re.compile(r"/v1(?:beta)?/models/(?P<model>[^/:]+):(?P<act>\w+)")
_STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
           429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}  # fmt: skip
_INFO = "type.googleapis.com/google.rpc."


class GeminiServer(ModelServer):
    """Speaks the Gemini API. Only vectors of full width have unit length, and long texts are cut in silence.

    The text of a task type changes its vector, so that questions and documents differ as they do there.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"cuts_in_silence": True, "text_tokens": 2048, **settings})

    def answer(self, asked: Asked) -> Any:
        """Answer one request. Raises Refusal."""
        if self.key is not None and asked.headers.get("x-goog-api-key") != self.key:
            raise Refusal(400, "API_KEY_INVALID", "API key not valid. Please pass a valid API key.")
        match = _PATH.fullmatch(asked.path)
        if match is None:
            raise Refusal(404, "", f"{asked.path} is not there")
        acts = {"batchEmbedContents": self._embedded, "generateContent": self._chatted}
        if match["act"] == "streamGenerateContent":
            return Pieces("text/event-stream", self._events(self._chatted(asked.body)))
        return acts[match["act"]](asked.body)

    def refusal(self, refused: Refusal) -> tuple[dict[str, str], Any]:
        """Return an error as Google writes it; a wait that is asked for stands in the body."""
        details: list[dict[str, Any]] = []
        if refused.code == "API_KEY_INVALID":
            details.append({"@type": f"{_INFO}ErrorInfo", "reason": "API_KEY_INVALID"})
        if "PerDay" in refused.code:
            details.append({"@type": f"{_INFO}QuotaFailure", "violations": [{"quotaId": refused.code}]})
        asked_to_wait = refused.headers.pop("retry-after", None)
        if asked_to_wait is not None:
            details.append({"@type": f"{_INFO}RetryInfo", "retryDelay": f"{asked_to_wait}s"})
        status = _STATUS.get(refused.status, "UNKNOWN")
        return {}, {"error": {"code": refused.status, "message": refused.words, "status": status, "details": details}}

    def _embedded(self, body: dict[str, Any]) -> Any:
        requests = body["requests"]
        if len(requests) > MOST_TEXTS:
            raise Refusal(400, "", f"at most {MOST_TEXTS} requests can be in one batch")
        # Several parts of one content make one vector.
        texts = ["".join(part["text"] for part in request["content"]["parts"]) for request in requests]
        tasks = [request.get("taskType", "") for request in requests]
        dimension = requests[0].get("outputDimensionality")
        told = [
            f"{text} {task}" if task == "RETRIEVAL_QUERY" else text for text, task in zip(texts, tasks, strict=True)
        ]
        rows = self.vectors(told, dimension, unit=dimension in (None, self.dimension))
        return {"embeddings": [{"values": row} for row in rows]}

    def _chatted(self, body: dict[str, Any]) -> Any:
        turns = ["".join(part["text"] for part in turn["parts"]) for turn in body["contents"]]
        text = self.spoken(turns)
        most = body.get("generationConfig", {}).get("maxOutputTokens")
        reason = "MAX_TOKENS" if most is not None and self.tokens(text) > most else "STOP"
        return {
            "candidates": [
                {"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": reason, "index": 0}
            ],
            "usageMetadata": {
                "promptTokenCount": sum(map(self.tokens, turns)),
                "candidatesTokenCount": self.tokens(text),
                "totalTokenCount": sum(map(self.tokens, turns)) + self.tokens(text),
            },
            "modelVersion": "gemini-test",
        }

    def _events(self, whole: dict[str, Any]) -> Iterator[bytes]:
        candidate = whole["candidates"][0]
        pieces = self.pieces(candidate["content"]["parts"][0]["text"])
        for piece in pieces:
            part = {"content": {"role": "model", "parts": [{"text": piece}]}, "index": 0}
            yield f"data: {json.dumps({**whole, 'candidates': [part]})}\r\n\r\n".encode()
        last = {"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": candidate["finishReason"]}
        yield f"data: {json.dumps({**whole, 'candidates': [last]})}\r\n\r\n".encode()
