"""Conversations kept by id: a bounded history in a file of the state folder, and what a follow-up means.

A turn belongs to the collection and the condition it was asked under. A question under another condition never
reads it: what one tenant was told cannot reach the next one through a conversation they share.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

from wherry.errors import JournalCorrupt, Usage
from wherry.state import home
from wherry.where import Where

FILE = "conversations.sqlite3"
NEW = "new"
MOST_TURNS, MOST_CONVERSATIONS = 20, 10_000
_LONGEST_QUESTION, _LONGEST_ANSWER = 2_000, 4_000
_ID = re.compile(r"[\w.:-]{1,100}")
_FOLLOWS = re.compile(
    r"\s*(?:그럼|그러면|그렇다면|그건|그거|그것은|그것|그게|그때|그중|그\s|그리고|그런데|근데|그래서|또\s|이건|이거|이것|저건|왜요|더\s"
    r"|and\b|what about|how about|then\b|so\b|but\b|why\b|it\b|that\b|those\b|these\b|they\b|also\b|or\b)",
    re.I,
)
# A question this short says too little by itself.
_SHORT = 8
_SCHEMA = """
CREATE TABLE IF NOT EXISTS turn (
    no INTEGER PRIMARY KEY, conversation TEXT NOT NULL, scope TEXT NOT NULL, question TEXT NOT NULL,
    answer TEXT NOT NULL, asked REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS turn_of ON turn (conversation, no);
"""
_OLDEST = """
DELETE FROM turn WHERE conversation IN (
    SELECT conversation FROM turn GROUP BY conversation ORDER BY max(no) DESC LIMIT -1 OFFSET ?
)
"""


@dataclass(frozen=True)
class Turn:
    """A question and its answer; long ones are kept as their beginning."""

    question: str
    answer: str


def id_of(conversation: str) -> str:
    """Return the id of a conversation: a new, unguessable one for `new`. Raises Usage."""
    if conversation == NEW:
        return secrets.token_hex(8)
    if not _ID.fullmatch(conversation):
        raise Usage(
            "this cannot be the id of a conversation",
            where="conversation",
            next="use up to 100 letters, digits and . : _ - , or new",
        )
    return conversation


def scope_of(address: str, where: Where | None) -> str:
    """Return what tells apart whose answers may be read: the collection and the condition, hashed."""
    return hashlib.sha256(f"{address}\n{where!r}".encode()).hexdigest()[:32]


def turns(conversation: str, scope: str) -> tuple[Turn, ...]:
    """Return the turns of a conversation under one scope, oldest first. Raises JournalCorrupt."""
    if not (home() / FILE).exists():
        return ()
    with _opened() as file:
        rows = file.execute(
            "SELECT question, answer FROM turn WHERE conversation = ? AND scope = ? ORDER BY no DESC LIMIT ?",
            (conversation, scope, MOST_TURNS),
        ).fetchall()
    return tuple(Turn(*row) for row in reversed(rows))


def keep(conversation: str, scope: str, turn: Turn) -> None:
    """Add a turn; the oldest beyond the bounds go. Raises JournalCorrupt."""
    with _opened() as file, file:
        file.execute(
            "INSERT INTO turn (conversation, scope, question, answer, asked) VALUES (?, ?, ?, ?, ?)",
            (conversation, scope, turn.question[:_LONGEST_QUESTION], turn.answer[:_LONGEST_ANSWER], time.time()),
        )
        file.execute(
            "DELETE FROM turn WHERE conversation = ? AND no NOT IN"
            " (SELECT no FROM turn WHERE conversation = ? ORDER BY no DESC LIMIT ?)",
            (conversation, conversation, MOST_TURNS),
        )
        file.execute(_OLDEST, (MOST_CONVERSATIONS,))


def forget(conversation: str) -> int:
    """Remove a conversation; return how many turns it had."""
    if not (home() / FILE).exists():
        return 0
    with _opened() as file, file:
        return file.execute("DELETE FROM turn WHERE conversation = ?", (conversation,)).rowcount


def followed(question: str, history: Sequence[Turn]) -> str:
    """Return the earlier question that this one cannot be understood without, empty where it stands by itself.

    A follow-up of a follow-up goes on to the question both are about.
    """
    if not history or not _follows(question):
        return ""
    for turn in reversed(history):
        if not _follows(turn.question):
            return turn.question
    return history[-1].question


def own_words(question: str) -> str:
    """Return a follow-up without the word that ties it to what was said before (`그럼 혈압은?` -> `혈압은?`)."""
    return _FOLLOWS.sub("", question, count=1).strip(" ,.") or question


def _follows(question: str) -> bool:
    return bool(_FOLLOWS.match(question)) or len("".join(question.split())) <= _SHORT


@contextmanager
def _opened() -> Iterator[sqlite3.Connection]:
    path = home() / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # Questions are private: nobody else on the machine reads them.
        path.touch(mode=0o600)
    try:
        with closing(sqlite3.connect(path, timeout=30)) as file:
            file.executescript(_SCHEMA)
            yield file
    except sqlite3.Error as error:
        raise JournalCorrupt(
            f"the conversations cannot be read or written: {error}",
            where=str(path),
            left="the question was not kept",
            next="move the file away to begin anew, or ask without a conversation",
        ) from None
