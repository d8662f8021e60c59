"""Answers from a collection: search, a prompt of fenced passages, and an answer whose citations are checked.

wherry.ask("공복혈당이 얼마면 당뇨인가요?", in_="pgvector:#guides", chat="ollama:llama3.1:8b")

Without a model, and where one fails, the answer consists of the sentences that support it best, word for word, and
says so. The condition holds in the search itself: what it leaves out never comes near the prompt.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from wherry.address import Address
from wherry.answering import conversation as talks
from wherry.answering.ask_results import Answer
from wherry.answering.ask_settings import MOST_TOKENS, TIMEOUT_S, TOKEN_BUDGET, Settings
from wherry.answering.ask_writing import Writing, Written
from wherry.answering.citations import visible
from wherry.answering.conversation import Turn
from wherry.answering.evaluation_questions import language_of
from wherry.answering.extractive import Quoting
from wherry.answering.hits import Hit, Hits
from wherry.answering.passages import packed
from wherry.answering.prompt import HISTORY_SHARE, within
from wherry.answering.search import Condition, Searcher, condition_of, resolved
from wherry.errors import JournalCorrupt, Usage
from wherry.models.base import Chat, Embedder
from wherry.models.tokens import estimate
from wherry.moving.opening import reading
from wherry.stores.base import Readable
from wherry.stores.lexical import idf
from wherry.where import Where

LONGEST_QUESTION = 20_000
# What is searched for: more words find nothing better, and embedders read no more.
_LONGEST_SEARCH = 2_000
Place = str | Path | Address | Readable | Searcher


def ask(
    question: str,
    in_: Place,
    chat: str | Chat = "offline",
    k: int = 5,
    where: Condition | None = None,
    conversation: str | None = None,
    *,
    token_budget: int = TOKEN_BUDGET,
    max_tokens: int = MOST_TOKENS,
    timeout_s: float = TIMEOUT_S,
    instructions: str | None = None,
    embedder: str | Embedder | None = None,
    mode: str | None = None,
    label: str | None = None,
) -> Answer:
    """Return an answer that cites the records it rests on.

    in_: an address, a route, an open store, or a Searcher, which stays open. chat: a spec or an open model;
    `offline` quotes. k: how many records are searched for. where: a condition on metadata that every record must
    fit. conversation: an id, or `new` for one that nobody can guess. token_budget: for passages and earlier turns
    together. max_tokens: of the answer. timeout_s: how long a model named by its spec may take. instructions: of
    your application, behind the rules. mode: of the search. label: stands in front of quotations instead of
    `[발췌 답변]`, in plain text. Raises Usage for a question or a setting that cannot be, and what `search`
    raises; a model that fails is no error but a note.
    """
    settings = Settings(
        chat, k, where, conversation, token_budget, max_tokens, timeout_s, instructions, embedder, mode, label
    )
    return _last(answered(question, in_, settings, streaming=False))


def ask_stream(
    question: str,
    in_: Place,
    chat: str | Chat = "offline",
    k: int = 5,
    where: Condition | None = None,
    conversation: str | None = None,
    *,
    token_budget: int = TOKEN_BUDGET,
    max_tokens: int = MOST_TOKENS,
    timeout_s: float = TIMEOUT_S,
    instructions: str | None = None,
    embedder: str | Embedder | None = None,
    mode: str | None = None,
    label: str | None = None,
) -> Iterator[str | Answer]:
    """Yield the answer's text piece by piece, and at last the whole Answer; parameters and errors as of `ask`.

    The pieces are checked as they come: joined, they are the text of the answer.
    """
    settings = Settings(
        chat, k, where, conversation, token_budget, max_tokens, timeout_s, instructions, embedder, mode, label
    )
    return answered(question, in_, settings, streaming=True)


def answered(question: str, in_: Place, settings: Settings, streaming: bool) -> Iterator[str | Answer]:
    """Yield the text of an answer, in pieces as they come or as a whole, and at last the Answer; as of `ask`."""
    started = time.perf_counter()
    asked, condition = _question(question), condition_of(settings.where)
    settings.require()
    name = None if settings.conversation is None else talks.id_of(settings.conversation)
    with _searcher(in_, settings.embedder) as searcher:
        # As it was named: a conversation goes on when its route leads elsewhere.
        scope = talks.scope_of(in_ if isinstance(in_, str) else searcher.store.address, condition)
        history = talks.turns(name, scope) if name else ()
        before = talks.followed(asked, history)
        hits = _found(searcher, (asked, before), settings, condition)
        turns = within(history, int(settings.token_budget * HISTORY_SHARE))
        chosen = packed(hits.hits, settings.token_budget - sum(_tokens(turn) for turn in turns))
        writing = Writing(asked, before, language_of(asked), chosen.passages, turns, _quoting(searcher), settings)
        written = yield from writing.written(streaming)
    notes = (*_searched_notes(asked), *hits.notes, *chosen.notes, *written.notes, *_kept(name, scope, asked, written))
    seconds = time.perf_counter() - started
    yield _answer(writing, replace(written, notes=tuple(dict.fromkeys(notes))), hits.address, name, seconds)


def _answer(writing: Writing, written: Written, address: str, name: str | None, seconds: float) -> Answer:
    return Answer(
        writing.question,
        written.text,
        written.citations,
        writing.passages,
        written.model,
        written.usage,
        written.extractive,
        writing.language,
        address,
        written.notes,
        name,
        seconds,
    )


def _found(searcher: Searcher, questions: tuple[str, str], settings: Settings, where: Where | None) -> Hits:
    """Search for a question; for one that follows another (the second), also for both together, and take turns."""
    (asked, before), k, mode = questions, settings.k, settings.mode
    hits = searcher.search(asked[:_LONGEST_SEARCH], k, mode, where)
    if not before:
        return hits
    both = searcher.search(f"{before} {asked}"[:_LONGEST_SEARCH], k, mode, where)
    mixed: dict[str, Hit] = {}
    for pair in zip([*hits, *[None] * k], [*both, *[None] * k], strict=False):
        mixed |= {hit.id: hit for hit in pair if hit is not None and hit.id not in mixed}
    return replace(hits, hits=tuple(mixed.values())[:k], notes=tuple(dict.fromkeys((*hits.notes, *both.notes))))


def _quoting(searcher: Searcher) -> Quoting:
    def worth(tokens: np.ndarray) -> np.ndarray:
        lexical = searcher.words.ready()
        # A word that no record holds tells no more than one that a single record holds.
        return idf(lexical.statistics().count, np.maximum(lexical.frequencies(tokens), 1.0))

    return Quoting(searcher.words.tokenizer, worth)


@contextmanager
def _searcher(in_: Place, embedder: str | Embedder | None) -> Iterator[Searcher]:
    if isinstance(in_, Searcher):
        yield in_
        return
    with reading(resolved(in_)) as store:
        searcher = Searcher(store, embedder)
        try:
            yield searcher
        finally:
            searcher.close()


def _question(question: str) -> str:
    """Return a question fit to be asked. Raises Usage."""
    if not isinstance(question, str):
        raise Usage("the question is no text", where="question")
    asked = visible(question).strip()
    if not asked:
        raise Usage("the question is empty", where="question", next="write what you want to know")
    if len(asked) > LONGEST_QUESTION:
        raise Usage(
            f"the question has {len(asked):,} characters; at most {LONGEST_QUESTION:,} are read",
            where="question",
            next="shorten it, or index the long text and ask about it",
        )
    return asked


def _kept(name: str | None, scope: str, asked: str, written: Written) -> Iterator[str]:
    """Keep the turn; an answer that is there already is not lost because that fails, which is said."""
    try:
        if name is not None:
            talks.keep(name, scope, Turn(asked, written.text))
    except JournalCorrupt as error:
        yield error.what


def _searched_notes(asked: str) -> Iterator[str]:
    if len(asked) > _LONGEST_SEARCH:
        yield f"only the first {_LONGEST_SEARCH:,} characters of the question were searched for"


def _tokens(turn: Turn) -> int:
    return estimate(turn.question) + estimate(turn.answer)


def _last(pieces: Iterator[str | Answer]) -> Answer:
    found: str | Answer | None = None
    for found in pieces:  # noqa: B007 - the last one is the answer
        pass
    if not isinstance(found, Answer):
        raise TypeError("the answer has no end")
    return found
