"""`compare_chat`: the same questions and the same passages to two chat models.

found = wherry.compare_chat("openai:gpt-4o-mini", "ollama:llama3.1:8b", "questions.txt", in_="pgvector:#guides")
found.wording.mean, found.new.cited, found.old.per_month
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from wherry.answering.ask_settings import TOKEN_BUDGET
from wherry.answering.evaluation_questions import language_of
from wherry.answering.passages import packed
from wherry.answering.prompt import messages_of
from wherry.answering.search import Searcher, resolved
from wherry.comparing.chat_metrics import citations
from wherry.comparing.chat_page import write_page
from wherry.comparing.chat_reporting import Heard, Wishes, reported
from wherry.comparing.chat_results import Answer, ChatComparison
from wherry.comparing.costs import PER_MONTH
from wherry.comparing.questions import Question, Questions, read_questions
from wherry.comparing.sides import End
from wherry.errors import AuthFailed, MissingExtra, QuotaExceeded, TimedOut, Unreachable, Usage, WherryError
from wherry.models.base import Chat, Embedder, Message
from wherry.models.registry import open_chat
from wherry.moving.opening import reading
from wherry.moving.progress import Progress, silent
from wherry.pages.frame import require_place

PASSAGES = 5
_ABSENT = (Unreachable, TimedOut, AuthFailed, QuotaExceeded, MissingExtra)
WORST = 10


def compare_chat(
    old: str | Chat,
    new: str | Chat,
    questions: Questions,
    *,
    in_: End,
    k: int = PASSAGES,
    min_agreement: float | None = None,
    min_cited: float | None = None,
    max_failed: float | None = None,
    max_tokens: int | None = None,
    embedder: str | Embedder | None = None,
    seed: int = 0,
    per_month: int = PER_MONTH,
    worst: int = WORST,
    report: str | Path | None = None,
    progress: Progress = silent,
) -> ChatComparison:
    """Ask two chat models the same questions about the same passages.

    Both are told what `wherry.ask` tells a model. old, new: specs or open models. questions: texts, as
    `read_questions` reads them. in_: where the k passages of a question are searched. min_agreement: what the
    likeness of wording has to reach; min_cited: the share of NEW's answers that cite, and only what they were given;
    max_failed: the share of questions NEW may fail on. embedder: for the search. worst: questions listed with both
    answers. report: where a page is written.

    A question a model fails on is counted and named, and the others go on. Raises Usage, what `search` raises, and
    the error of a model that cannot be reached at the start or answers no question at all.
    """
    started, written = time.perf_counter(), Path(report) if report is not None else None
    require_place(written)
    asked = _texts(read_questions(questions))
    wishes = Wishes(_share(min_agreement), _share(min_cited), _share(max_failed), worst, per_month)
    with ExitStack() as stack:
        chats = [_opened(stack, chat) for chat in (old, new)]
        store = stack.enter_context(reading(resolved(in_)))
        searcher = stack.enter_context(closing(Searcher(store, embedder)))
        packs = [packed(searcher.search(q.text or "", k), TOKEN_BUDGET).passages for q in asked]
        found = [tuple(passage.text for passage in pack) for pack in packs]
        # Written once for both: what fences passages off is drawn by chance.
        talks = [
            messages_of(q.text or "", language_of(q.text or ""), pack) for q, pack in zip(asked, packs, strict=True)
        ]
        answers = _answers(chats, talks, [len(pack) for pack in packs], max_tokens, seed, progress)
        heard = Heard(asked, found, answers, (chats[0].spec, chats[1].spec), store.address, k, seed)
        made = replace(reported(heard, wishes), seconds=time.perf_counter() - started)
    if written is not None:
        write_page(made, written)
    return made


def _texts(questions: tuple[Question, ...]) -> tuple[Question, ...]:
    for question in questions:
        if question.text is None:
            raise Usage(f"question {question.name} is a vector; a chat model is asked with texts", where="questions")
    return questions


def _share(value: float | None) -> float | None:
    if value is not None and not (isinstance(value, (int, float)) and 0 <= value <= 1):
        raise Usage(f"a bar is {value!r}; it has to be between 0 and 1", where="compare-chat")
    return value


def _opened(stack: ExitStack, chat: str | Chat) -> Chat:
    if isinstance(chat, Chat):
        return chat
    return stack.enter_context(closing(open_chat(chat)))


def _answers(
    chats: Sequence[Chat],
    talks: Sequence[tuple[Message, ...]],
    passages: Sequence[int],
    max_tokens: int | None,
    seed: int,
    progress: Progress,
) -> list[list[Answer]]:
    """Ask both models everything in one shuffled order; the first question warms them up and is asked again."""
    for chat in chats:
        _, error = _answer(chat, talks[0], passages[0], max_tokens)
        # A model that is not there is waited for once, not once a question.
        if isinstance(error, _ABSENT):
            raise error
    order = [(which, number) for which in range(len(chats)) for number in range(len(talks))]
    random.Random(seed).shuffle(order)
    answers = [[Answer()] * len(talks) for _ in chats]
    errors: list[list[WherryError]] = [[] for _ in chats]
    for done, (which, number) in enumerate(order, 1):
        answer, error = _answer(chats[which], talks[number], passages[number], max_tokens)
        answers[which][number] = answer
        errors[which] += [error] if error else []
        progress("ask", done, len(order))
    for failed in errors:
        if len(failed) == len(talks):
            raise failed[0]
    return answers


def _answer(
    chat: Chat, talk: Sequence[Message], passages: int, max_tokens: int | None
) -> tuple[Answer, WherryError | None]:
    started = time.perf_counter()
    try:
        reply = chat.reply(talk, max_tokens=max_tokens)
    except WherryError as error:
        seconds = time.perf_counter() - started
        return Answer(seconds=seconds, error=type(error).__name__, why=error.what), error
    used = reply.usage
    return (
        Answer(
            reply.text,
            time.perf_counter() - started,
            used.tokens_in,
            used.tokens_out,
            used.cost,
            citations(reply.text, passages),
        ),
        None,
    )
