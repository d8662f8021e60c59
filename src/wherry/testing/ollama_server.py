"""An Ollama server for tests: `/api/embed`, `/api/chat`, `/api/tags`, `/api/show`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from wherry.testing.model_server import Asked, ModelServer, Pieces, Refusal


class OllamaServer(ModelServer):
    """Speaks Ollama's API. models: name -> digest, which a new pull of a tag changes.

    old: as older servers do, it ignores `dimensions` and `truncate`, and cuts long texts in silence.
    """

    def __init__(self, *models: str, old: bool = False, **settings: Any) -> None:
        super().__init__(**settings)
        self.models = {name: sha256(name.encode()).hexdigest() for name in models or ("nomic-embed-text:latest",)}
        self.old = old

    def pull(self, model: str) -> None:
        """Let a tag name another model from now on."""
        self.models[model] = sha256(self.models[model].encode()).hexdigest()

    def answer(self, asked: Asked) -> Any:
        """Answer one request. Raises Refusal."""
        if asked.path == "/api/tags":
            listed = [{"name": name, "model": name, "digest": digest} for name, digest in self.models.items()]
            return {"models": listed}
        name = asked.body["model"]
        if name not in self.models and f"{name}:latest" not in self.models:
            raise Refusal(404, "", f'model "{name}" not found, try pulling it first')
        acts = {"/api/show": self._shown, "/api/embed": self._embedded, "/api/chat": self._chatted}
        if asked.path not in acts:
            raise Refusal(404, "", "404 page not found")
        return acts[asked.path](asked.body)

    def refusal(self, refused: Refusal) -> tuple[dict[str, str], Any]:
        """Return an error as Ollama writes it."""
        return {}, {"error": refused.words}

    def _shown(self, body: dict[str, Any]) -> Any:
        traits = {
            "general.architecture": "testing",
            "testing.context_length": self.text_tokens,
            "testing.embedding_length": self.dimension,
        }
        return {"details": {"family": "testing"}, "model_info": traits, "capabilities": ["embedding"]}

    def _embedded(self, body: dict[str, Any]) -> Any:
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        self.cuts_in_silence = self.old or body.get("truncate", True)
        rows = self.vectors(texts, None if self.old else body.get("dimensions"))
        if any(value != value for row in rows for value in row):
            raise Refusal(500, "", "failed to encode response: json: unsupported value: NaN")
        return {"model": body["model"], "embeddings": rows, "prompt_eval_count": sum(map(self.tokens, texts))}

    def _chatted(self, body: dict[str, Any]) -> Any:
        messages = [message["content"] for message in body["messages"]]
        text = self.spoken(messages)
        most = (body.get("options") or {}).get("num_predict")
        reason = "length" if most is not None and self.tokens(text) > most else "stop"
        counts = {"prompt_eval_count": sum(map(self.tokens, messages)), "eval_count": self.tokens(text)}
        last = {"model": body["model"], "done": True, "done_reason": reason, **counts}
        if body.get("stream"):
            return Pieces("application/x-ndjson", self._lines(text, last))
        return {**last, "message": {"role": "assistant", "content": text}}

    def _lines(self, text: str, last: dict[str, Any]) -> Iterator[bytes]:
        for piece in self.pieces(text):
            message = {"role": "assistant", "content": piece}
            yield json.dumps({"model": last["model"], "message": message, "done": False}).encode() + b"\n"
        yield json.dumps({**last, "message": {"role": "assistant", "content": ""}}).encode() + b"\n"
