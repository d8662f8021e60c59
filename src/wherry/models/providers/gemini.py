"""Google's Gemini API: embeddings and chat, through google-genai.

Facts: questions and documents want different task types, or for the second generation different words before
the text; only 3,072 components arrive with unit length; a text beyond the limit is cut in silence; of a list
of strings the second generation makes one vector, so each text is sent as a content of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from google import genai
from google.genai import errors, types

from wherry.models import faults
from wherry.models.base import Message, Reply, Usage
from wherry.models.providers.transport import USUAL_TIMEOUT_S, speaking
from wherry.models.spec import EMBED_OPTIONS, GUARD_OPTIONS, ModelSpec
from wherry.models.wire import Limits, Sent, matrix, prompted
from wherry.space import Metric, Space

KEY = "GEMINI_API_KEY"
_DIMENSIONS = {"gemini-embedding-001": 3072, "gemini-embedding-2": 3072}
_LONGEST = {"gemini-embedding-001": 2048, "gemini-embedding-2": 8192}
# The first generation has task types; the second is told the task by words.
_TASKS = ("RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT")
_WORDS = ("task: search result | query: ", "title: none | text: ")
_FINISH = {"STOP": "stop", "MAX_TOKENS": "length"}


class _Link:
    """A client of the API, and its errors in Wherry's words."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec, self.where = spec, str(spec)
        self.timeout_s = spec.seconds("timeout") or USUAL_TIMEOUT_S
        self.key = faults.key(KEY, "GOOGLE_API_KEY", "GOOGLE_GEMINI_API_KEY")
        self.client = genai.Client(
            api_key=self.key,
            vertexai=False,
            http_options=types.HttpOptions(
                base_url=spec.text("base_url"),
                timeout=max(1, round(self.timeout_s * 1000)),
                retry_options=types.HttpRetryOptions(attempts=1),
            ),
        )

    @contextmanager
    def asking(self, texts: Sequence[str]) -> Iterator[None]:
        """Turn the client's exceptions into Wherry's."""
        with speaking(self.where, self.timeout_s):
            try:
                yield
            except errors.APIError as error:
                raise faults.refused(
                    _status(error),
                    error.message or "",
                    where=self.where,
                    code="insufficient_quota" if _for_the_day(error) else str(error.status or ""),
                    retry_after_s=_asked_to_wait(error),
                    secrets=[self.key],
                    texts=texts,
                    key_name=KEY,
                ) from None


class GeminiEmbedder:
    """Sends texts to `batchEmbedContents`."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self._link = _Link(spec)
        self._by_words = not spec.model.startswith(("gemini-embedding-001", "gemini-embedding-exp", "text-embedding"))
        longest = None if spec.flag("truncate") else _LONGEST.get(spec.model)
        self.limits = Limits(items=100, tokens=None, text_tokens=longest, concurrency=4)

    def space(self) -> Space:
        """Return the card of its vectors; what a question and a document are told apart by are its prompts."""
        query, document = _WORDS if self._by_words else _TASKS
        return Space(
            dimension=self.spec.whole("dim") or _DIMENSIONS.get(self.spec.model),
            metric=Metric.COSINE,
            provider="gemini",
            model=self.spec.model,
            normalised=True,
            query_prompt=query,
            document_prompt=document,
        )

    def send(self, texts: Sequence[str], *, query: bool) -> Sent:
        """Embed texts by one request."""
        which = 0 if query else 1
        written = prompted(texts, _WORDS[which] if self._by_words else None)
        wishes = types.EmbedContentConfig(
            task_type=None if self._by_words else _TASKS[which], output_dimensionality=self.spec.whole("dim")
        )
        with self._link.asking(texts):
            contents: list[Any] = [types.Content(parts=[types.Part(text=text)], role="user") for text in written]
            answer = self._link.client.models.embed_content(model=self.spec.model, contents=contents, config=wishes)
            used = answer.usage_metadata
            rows = [entry.values or [] for entry in answer.embeddings or []]
            return Sent(matrix(rows, self._link.where), used.prompt_token_count if used else None)

    def close(self) -> None:
        """Release connections."""
        self._link.client.close()


class GeminiChat:
    """Sends conversations to `generateContent`."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self._link = _Link(spec)

    def reply(
        self, messages: Sequence[Message], *, max_tokens: int | None = None, schema: dict[str, Any] | None = None
    ) -> Reply:
        """Return the answer to one request."""
        with self._link.asking([message.content for message in messages]):
            answer = self._link.client.models.generate_content(**self._request(messages, max_tokens, schema))
            finish = _finish(answer)
            if finish is None:
                raise ValueError("an answer without a candidate")
            return self._whole(answer.text or "", answer, finish)

    def stream(self, messages: Sequence[Message], *, max_tokens: int | None = None) -> Iterator[str | Reply]:
        """Yield the pieces of the answer, then the whole."""
        pieces: list[str] = []
        last, finish = None, None
        with self._link.asking([message.content for message in messages]):
            for last in self._link.client.models.generate_content_stream(**self._request(messages, max_tokens, None)):
                finish = _finish(last) or finish
                if last.text:
                    pieces.append(last.text)
                    yield last.text
        if last is None or finish is None:
            raise faults.unreachable(ConnectionError("the stream ended early"), self._link.where)
        yield self._whole("".join(pieces), last, finish)

    def close(self) -> None:
        """Release connections."""
        self._link.client.close()

    def _request(
        self, messages: Sequence[Message], max_tokens: int | None, schema: dict[str, Any] | None
    ) -> dict[str, Any]:
        system = "\n\n".join(message.content for message in messages if message.role == "system")
        turns = [
            types.Content(
                role="model" if message.role == "assistant" else "user", parts=[types.Part(text=message.content)]
            )
            for message in messages
            if message.role != "system"
        ]
        wishes = types.GenerateContentConfig(
            system_instruction=system or None,
            max_output_tokens=max_tokens,
            temperature=self.spec.temperature(),
            response_mime_type="application/json" if schema else None,
            response_json_schema=schema,
        )
        return {"model": self.spec.model, "contents": turns, "config": wishes}

    def _whole(self, text: str, answer: Any, finish: str | None) -> Reply:
        used = answer.usage_metadata
        # Thinking is billed as output but counted beside it.
        out = (used.candidates_token_count or 0) + (used.thoughts_token_count or 0) if used else 0
        usage = Usage((used.prompt_token_count or 0) if used else 0, out)
        return Reply(text, answer.model_version or self.spec.model, usage, {"finish": finish})


def open_embedder(spec: ModelSpec) -> GeminiEmbedder:
    """Open `gemini:MODEL`. Raises BadAddress, or AuthFailed when there is no key."""
    spec.require(EMBED_OPTIONS | {"base_url", "truncate"})
    return GeminiEmbedder(spec)


def open_chat(spec: ModelSpec) -> GeminiChat:
    """Open `gemini:MODEL`. Raises BadAddress, or AuthFailed when there is no key."""
    spec.require(GUARD_OPTIONS | {"base_url", "temperature"})
    return GeminiChat(spec)


def _finish(answer: Any) -> str | None:
    blocked = answer.prompt_feedback and answer.prompt_feedback.block_reason
    if blocked:
        return "refusal"
    reason = answer.candidates[0].finish_reason if answer.candidates else None
    return _FINISH.get(reason.value, "refusal") if reason else None


def _details(error: errors.APIError) -> list[dict[str, Any]]:
    body = error.details if isinstance(error.details, dict) else {}
    found = body.get("error", body)
    details = found.get("details", []) if isinstance(found, dict) else []
    return [entry for entry in details if isinstance(entry, dict)]


def _status(error: errors.APIError) -> int:
    # A key that is no key is answered with 400.
    wrong_key = any(entry.get("reason") == "API_KEY_INVALID" for entry in _details(error))
    return 401 if wrong_key else int(error.code or 500)


def _for_the_day(error: errors.APIError) -> bool:
    """Tell whether a quota counts by the day, so that waiting a minute does not help."""
    violated = [v for entry in _details(error) for v in entry.get("violations", []) if isinstance(v, dict)]
    return any("PerDay" in str(violation.get("quotaId", "")) for violation in violated)


def _asked_to_wait(error: errors.APIError) -> float | None:
    told = next((entry["retryDelay"] for entry in _details(error) if "retryDelay" in entry), None)
    if told is not None:
        return faults.retry_after({"retry-after": str(told).removesuffix("s")})
    return faults.retry_after(getattr(error.response, "headers", None) or {})
