"""Answers that are objects: a Pydantic model in, a validated instance out.

The model is told the schema by its provider's own means. What comes back is validated here; an answer that
does not fit is shown to the model once, with what is wrong, and then it is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from wherry.errors import BadAnswer
from wherry.models.base import Chat, Message, Reply

T = TypeVar("T", bound=BaseModel)
_FENCED = re.compile(r"^```(?:json)?\s*\n(.*?)\n?```$", re.DOTALL)
_REPAIR = (
    "Your answer does not fit the schema:\n{faults}\n"
    "Answer again, with nothing but one JSON object that fits this JSON Schema:\n{schema}"
)


def structured(chat: Chat, messages: Sequence[Message], model: type[T], *, max_tokens: int | None = None) -> T:
    """Return the answer as an instance of `model`, validated.

    Raises BadAnswer, naming the fields but never their content, when two answers did not fit; and what
    `chat.reply` raises.
    """
    schema = model.model_json_schema()
    reply = chat.reply(messages, max_tokens=max_tokens, schema=schema)
    try:
        return _read(model, reply)
    except ValidationError as error:
        asked = [*messages, *_asked_again(reply, error, schema)]
    second = chat.reply(asked, max_tokens=max_tokens, schema=schema)
    try:
        return _read(model, second)
    except ValidationError as error:
        raise _unfit(chat, model, second, error) from None


def _read(model: type[T], reply: Reply) -> T:
    text = reply.text.strip()
    fenced = _FENCED.match(text)
    return model.model_validate_json(fenced[1] if fenced else text)


def _asked_again(reply: Reply, error: ValidationError, schema: dict[str, object]) -> list[Message]:
    faults = "\n".join(f"- {_place(entry['loc'])}: {entry['msg']}" for entry in error.errors(include_url=False))
    request = _REPAIR.format(faults=faults, schema=json.dumps(schema, ensure_ascii=False))
    # No provider takes an empty turn.
    return [Message("assistant", reply.text.strip() or "(no answer)"), Message("user", request)]


def _unfit(chat: Chat, model: type[BaseModel], reply: Reply, error: ValidationError) -> BadAnswer:
    # The messages of Pydantic may repeat the answer; places and kinds of fault do not.
    faults = ", ".join(f"{_place(entry['loc'])} ({entry['type']})" for entry in error.errors()[:5])
    ended = reply.extra.get("finish")
    why = f"; the answer ended by {ended!r}" if ended not in (None, "stop") else ""
    return BadAnswer(
        f"the model did not answer with a {model.__name__} in two attempts: {faults}{why}",
        where=chat.spec,
        next="raise max_tokens" if ended == "length" else "ask a more capable model, or a simpler schema",
    )


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "the answer"
