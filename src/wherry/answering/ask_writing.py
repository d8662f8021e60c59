"""Writing an answer: by a model, piece by piece and checked, or by quoting where there is none or it fails."""

from __future__ import annotations

import re
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from wherry.answering.ask_settings import Settings
from wherry.answering.citations import LONGEST_ANSWER, Checked, Citation
from wherry.answering.conversation import Turn, own_words
from wherry.answering.evaluation_questions import language_of
from wherry.answering.extractive import Quoting, citations_of, text_of
from wherry.answering.passages import Passage
from wherry.answering.prompt import messages_of
from wherry.errors import Integrity, StoreError, TimedOut, WherryError
from wherry.models.base import Chat, Message, Usage
from wherry.models.calls import Patience
from wherry.models.registry import PROVIDERS, open_chat
from wherry.models.spec import ModelSpec
from wherry.models.tokens import estimate, estimate_all

OFFLINE = "offline"
# What makes a model fail that was named rightly; a spec that names none is the asker's mistake and is raised.
_FAILURES = (StoreError, Integrity, OSError)
_LABEL = {"ko": "[발췌 답변]", "en": "[Extractive answer]"}
_QUOTED = {
    "ko": "찾은 문서의 문장을 그대로 옮깁니다.",
    "en": "These are sentences of the records found, word for word.",
}
_NOTHING = {"ko": "이 질문에 답이 되는 내용을 찾지 못했습니다.", "en": "Nothing was found that answers this question."}
_FAILED = {"ko": "모델이 답을 마치지 못했습니다.", "en": "The model did not finish an answer."}
_GROUP = re.compile(r"(?:\[\d{1,4}\]\s*)+")
_LOW_SUPPORT = 0.15

_NONE = Usage()

Pieces = Generator[str, None, "Written"]


@dataclass(frozen=True)
class Written:
    """A text with what it rests on."""

    text: str
    citations: tuple[Citation, ...]
    model: str = OFFLINE
    usage: Usage = _NONE
    extractive: bool = True
    notes: tuple[str, ...] = ()


@dataclass
class _Spoken:
    """What a model has said so far."""

    checked: Checked
    model: str
    parts: list[str] = field(default_factory=list)
    usage: Usage = _NONE
    failure: str = ""

    @property
    def text(self) -> str:
        return "".join(self.parts)


@dataclass(frozen=True)
class Writing:
    """One answer to be written. before: the question this one follows, or empty. turns: earlier ones."""

    question: str
    before: str
    language: str
    passages: tuple[Passage, ...]
    turns: tuple[Turn, ...]
    quoting: Quoting
    settings: Settings

    def written(self, streaming: bool) -> Pieces:
        """Yield the text piece by piece; return all of it."""
        chat = self.settings.chat
        if (chat if isinstance(chat, str) else chat.spec) == OFFLINE:
            return (yield from self._quoted())
        if not self.passages:
            quoted = yield from self._quoted()
            return replace(quoted, notes=("nothing was found, so the model was not asked",))
        spoken = yield from self._spoken(chat, streaming)
        if spoken.failure or not spoken.text.strip():
            return (yield from self._instead(spoken))
        return self._finished(spoken)

    def _spoken(self, chat: str | Chat, streaming: bool) -> Generator[str, None, _Spoken]:
        """Let the model speak; what it says is checked before it is passed on."""
        spoken = _Spoken(Checked(p.number for p in self.passages), str(chat) if isinstance(chat, str) else chat.spec)
        asked = self._messages()
        try:
            with _opened(chat, self.settings.timeout_s) as model:
                for piece in self._heard(model, asked, spoken, streaming):
                    shown = spoken.checked.feed(piece)
                    if shown:
                        spoken.parts.append(shown)
                        yield shown
                    if spoken.checked.full:
                        break
        except _FAILURES as error:
            spoken.failure = error.what if isinstance(error, WherryError) else type(error).__name__
        if rest := spoken.checked.end():
            spoken.parts.append(rest)
            yield rest
        return spoken

    def _heard(self, chat: Chat, asked: tuple[Message, ...], spoken: _Spoken, streaming: bool) -> Iterator[str]:
        most = self.settings.max_tokens
        if not streaming:
            reply = chat.reply(asked, max_tokens=most)
            spoken.usage = reply.usage
            yield reply.text
            return
        ends, said, before = time.monotonic() + self.settings.timeout_s, 0, _account(chat)
        for piece in chat.stream(asked, max_tokens=most):
            said += len(piece)
            yield piece
            spoken.usage = Usage(estimate_all(m.content for m in asked), estimate(spoken.text or " "))
            if time.monotonic() > ends:
                raise TimedOut(f"the model was not done within {self.settings.timeout_s:g} s", where=spoken.model)
        spoken.usage = _used(before, _account(chat)) or spoken.usage

    def _messages(self) -> tuple[Message, ...]:
        return messages_of(self.question, self.language, self.passages, self.turns, self.settings.instructions)

    def _quoted(self, lead: str = "") -> Pieces:
        """Yield the sentences that support an answer best, labelled."""
        tongue = self._tongue
        asked = own_words(self.question) if self.before else self.question
        chosen = self.quoting.chosen(asked, self.before, self.passages)
        label = " ".join(
            filter(None, (self.settings.label or _LABEL[tongue], lead, _QUOTED[tongue] if chosen else _NOTHING[tongue]))
        )
        text = f"{label}\n\n{text_of(chosen)}" if chosen else label
        yield text
        return Written(text, citations_of(chosen))

    def _instead(self, spoken: _Spoken) -> Pieces:
        """Quote where a model failed, behind what it has said already."""
        told = spoken.text
        if told:
            told += "\n\n"
            yield "\n\n"
        quoted = yield from self._quoted(_FAILED[self._tongue])
        why = f"the model {spoken.model} failed: {spoken.failure}" if spoken.failure else "the model answered nothing"
        notes = (f"{why}; the sentences found are quoted instead", *_removed(spoken.checked))
        said = {one.number: one for one in (*self._cited(spoken), *quoted.citations)}
        citations = tuple(said[number] for number in sorted(said))
        return Written(told + quoted.text, citations, spoken.model if told else OFFLINE, spoken.usage, True, notes)

    def _finished(self, spoken: _Spoken) -> Written:
        citations = self._cited(spoken)
        notes = [*_removed(spoken.checked), *self._doubts(citations)]
        return Written(spoken.text, citations, spoken.model, spoken.usage, False, tuple(notes))

    def _cited(self, spoken: _Spoken) -> tuple[Citation, ...]:
        claims = claims_of(spoken.text)
        return tuple(
            self.quoting.citation(passage, claims.get(passage.number) or self.question)
            for passage in self.passages
            if passage.number in spoken.checked.cited
        )

    def _doubts(self, citations: tuple[Citation, ...]) -> Iterator[str]:
        """Say where what was said and what it cites have little in common."""
        if not citations:
            yield "the answer cites no passage, so nothing in it could be checked"
        weak = [
            f"[{c.number}]" for c in citations if c.support < _LOW_SUPPORT and language_of(c.quote) == self.language
        ]
        if weak:
            yield f"few words of what is said stand in the passage cited for it: {', '.join(weak)}"

    @property
    def _tongue(self) -> str:
        return "ko" if self.language == "ko" else "en"


def claims_of(text: str) -> dict[int, str]:
    """Return what each number in an answer is cited for: the text before it, back to the citation or line before."""
    claims: dict[int, str] = {}
    last = 0
    for group in _GROUP.finditer(text):
        claim = text[last : group.start()].rstrip().rpartition("\n")[2]
        last = group.end()
        for number in map(int, re.findall(r"\d+", group.group())):
            claims[number] = f"{claims.get(number, '')} {claim}".strip()
    return claims


@contextmanager
def _opened(chat: str | Chat, timeout_s: float) -> Iterator[Chat]:
    """Open a model by its spec, which may take so long; one that is open stays open."""
    if not isinstance(chat, str):
        yield chat
        return
    spec = ModelSpec.parse(chat)
    if spec.provider in PROVIDERS and "timeout" not in spec.options:
        spec = replace(spec, options={**spec.options, "timeout": f"{timeout_s:g}"})
    model = open_chat(str(spec), patience=Patience(deadline_s=timeout_s))
    try:
        yield model
    finally:
        model.close()


def _removed(checked: Checked) -> Iterator[str]:
    """Say what was taken out of an answer."""
    if checked.invalid:
        numbers = ", ".join(f"[{n}]" for n in dict.fromkeys(checked.invalid))
        yield f"removed from the answer: citations of passages that were not retrieved, {numbers[:200]}"
    if checked.defused:
        yield f"made harmless in the answer: {checked.defused} links, images or pieces of markup"
    if checked.full:
        yield f"the answer was cut at {LONGEST_ANSWER:,} characters"


def _account(chat: Chat) -> Usage | None:
    account = getattr(chat, "account", None)
    return None if account is None else Usage(account.tokens_in, account.tokens_out, account.cost)


def _used(before: Usage | None, after: Usage | None) -> Usage | None:
    if before is None or after is None or after.tokens_in == before.tokens_in:
        return None
    cost = None if after.cost is None else after.cost - (before.cost or 0.0)
    return Usage(after.tokens_in - before.tokens_in, after.tokens_out - before.tokens_out, cost)
