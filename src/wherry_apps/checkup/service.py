"""The service: questions and evidence from the library, documents of hospitals, conversations.

An `owner` is the tenant whose key asks; None sees everything (the command line, operators). What belongs to
another owner, or to another person of the same one, is not there.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import Any

from sqlalchemy import select, update

import wherry
from wherry_apps.checkup import answers, rules, words
from wherry_apps.checkup.documents import Documents
from wherry_apps.checkup.library import Library
from wherry_apps.checkup.manifests import LIBRARY, read_manifest
from wherry_apps.checkup.phases import disk
from wherry_apps.checkup.places import Places, keys_set, places
from wherry_apps.checkup.tables import LOCAL, CheckupMessage, CheckupSession, database

CHAT_K, EVIDENCE_K = 5, 10
_HISTORY = 6
Json = dict[str, Any]


class Checkup:
    """Everything the endpoints and commands share; threads may use one."""

    def __init__(self, where: Places | None = None, url: str | None = None, chat: str | None = None) -> None:
        self.places = where or places()
        self.database = database(url)
        self.documents = Documents(self.database, self.places)
        self.library = Library(self.places, self.documents)
        self._spec = chat or self.places.chat
        self._chat: wherry.Chat | None = None
        self._lock = threading.Lock()

    @property
    def chat(self) -> wherry.Chat:
        """The model that writes answers, opened when it is first needed."""
        with self._lock:
            if self._chat is None:
                self._chat = wherry.open_chat(self._spec)
            return self._chat

    def message(self, asked: Mapping[str, Any], owner: str | None = None) -> Iterator[Json]:
        """Yield an answer piece by piece, then sources, suggestions and the session.

        asked: uuid, message, and hospital_id, session_id, patient_info, health_data, checkup_results where given.
        Raises NotFound for a session that is not this person's, and what store and model raise.
        """
        person, hospital = str(asked["uuid"]), asked.get("hospital_id")
        question, warnings = rules.masked(str(asked["message"]))
        session = self._session(asked.get("session_id"), person, hospital, owner)
        return self._answered(session, question, warnings, asked, owner)

    def _answered(
        self, session: CheckupSession, question: str, warnings: list[str], asked: Mapping[str, Any], owner: str | None
    ) -> Iterator[Json]:
        number, hospital = session.session_id, asked.get("hospital_id") or session.hospital_id
        history = self._history(number)
        self._keep(number, "user", question, [])
        context = context_of(question, asked, warnings, history)
        found = self.library.search(_searched(context), CHAT_K, hospital, owner)
        context = replace(context, passages=found.passages)
        into = answers.Written()
        for piece in answers.written(context, self.chat, into):
            yield {"answer": piece, "done": False}
        sources = [passage.source() for passage in found.passages]
        count = self._keep(number, "assistant", into.text, sources)
        yield {
            "answer": "", "done": True, "sources": sources, "suggestions": into.suggestions, "session_id": number,
            "message_count": count, "backend": found.backend, "offline": found.offline and into.model == "offline",
            "by_rule": into.by_rule, "model": into.model, "replaced": into.replaced, "warnings": warnings,
        }  # fmt: skip

    def evidence(self, asked: Mapping[str, Any], owner: str | None = None) -> Json:
        """Return the passages that lie under abnormal results, family history and concerns."""
        person = asked.get("patient_info") or {}
        sex, age = rules.sex_of(person.get("sex")), rules.age_of(person.get("birth_date"))
        result = (rules.recent(asked.get("checkup_results") or []) or [{}])[0]
        found = [f for f in rules.findings(result, sex) if f.abnormal]
        family, concerns = (_masked_all(asked.get(name) or []) for name in ("family_history", "concerns"))
        items = _masked_all(asked.get("abnormal_items") or [])
        query = "\n".join(filter(None, (rules.evidence_query(found, family, concerns, age, sex), *items)))
        if not query.strip():
            raise wherry.BadRecord(
                "there is nothing to lay evidence under", where="checkup_results", next="send values"
            )
        searched = self.library.search(query, EVIDENCE_K, asked.get("hospital_id"), owner)
        return {
            "query": query, "context_text": answers.quotes(searched.passages),
            "structured_evidences": [p.evidence() for p in searched.passages],
            "abnormal": [f.to_dict() for f in found], "backend": searched.backend, "offline": searched.offline,
        }  # fmt: skip

    def search(self, query: str, k: int = CHAT_K, hospital: str | None = None, owner: str | None = None) -> Json:
        """Return the passages found for a text."""
        plain, warnings = rules.masked(query)
        found = self.library.search(plain, k, hospital, owner)
        return {"passages": [{"id": p.id, **p.source()} for p in found.passages], "backend": found.backend,
                "offline": found.offline, "warnings": warnings}  # fmt: skip

    def diagnose(self) -> Json:
        """Return how the service stands: which side answers, what it is made of, what leaves the machine."""
        backend, address = self.library.leads_to()
        where = self.library.places
        here = address.partition(":")[0].partition("+")[0] != "llamacloud"
        return {
            "backend": backend, "offline": here and self.library.embeds_here() and self._spec == "offline",
            "embedder": where.config.embedder, "chat": self._spec, "floor": where.floor, "keys": keys_set(),
            "manifest": read_manifest(where, LIBRARY), **disk(where),
        }  # fmt: skip

    def messages(self, session: str, person: str, owner: str | None = None) -> list[Json]:
        """Return a conversation. Raises NotFound for one that is not this person's."""
        found = self._required(session, person, owner)
        with self.database.session() as opened:
            rows = opened.scalars(_turns(found.session_id))
            return [{"role": r.role, "content": r.content, "sources": r.sources,
                     "created_at": r.created_at.isoformat()} for r in rows]  # fmt: skip

    def forget(self, session: str, person: str, owner: str | None = None) -> None:
        """Remove a conversation and everything said in it. Raises NotFound."""
        found = self._required(session, person, owner)
        with self.database.session() as opened:
            opened.delete(opened.get_one(CheckupSession, found.session_id))

    def _required(self, session: str, person: str, owner: str | None) -> CheckupSession:
        with self.database.session() as opened:
            found = opened.get(CheckupSession, session)
        if found is None or found.user_key != person or owner not in (None, found.owner):
            raise wherry.NotFound("there is no such conversation", next="leave session_id out to begin one")
        return found

    def _session(self, session: str | None, person: str, hospital: str | None, owner: str | None) -> CheckupSession:
        if session:
            return self._required(session, person, owner)
        made = CheckupSession(
            session_id=uuid.uuid4().hex, owner=owner or LOCAL, user_key=person, hospital_id=hospital
        )  # fmt: skip
        with self.database.session() as opened:
            opened.add(made)
        return made

    def _history(self, session: str) -> tuple[answers.Turn, ...]:
        with self.database.session() as opened:
            rows = list(opened.scalars(_turns(session)))
        turns = [
            answers.Turn(a.content, b.content) for a, b in pairwise(rows) if (a.role, b.role) == ("user", "assistant")
        ]
        return tuple(turns[-_HISTORY:])

    def _keep(self, session: str, role: str, content: str, sources: list[Json]) -> int:
        """Keep a turn; return how many the conversation has."""
        with self.database.session() as opened:
            opened.add(CheckupMessage(session_id=session, role=role, content=content, sources=sources))
            counted = update(CheckupSession).where(CheckupSession.session_id == session)
            counted = counted.values(message_count=CheckupSession.message_count + 1)
            return int(opened.scalars(counted.returning(CheckupSession.message_count)).one())

    def close(self) -> None:
        """Close everything; a second call does nothing."""
        self.library.close()
        with self._lock:
            chat, self._chat = self._chat, None
        if chat is not None:
            chat.close()
        self.database.close()

    def __enter__(self) -> Checkup:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def context_of(
    question: str,
    asked: Mapping[str, Any],
    warnings: Sequence[str] = (),
    history: tuple[answers.Turn, ...] = (),
    today: date | None = None,
) -> answers.Context:
    """Return what an answer is to take into account, without the passages."""
    person = asked.get("patient_info") or {}
    sex, age = rules.sex_of(person.get("sex")), rules.age_of(person.get("birth_date"), today)
    given = asked.get("checkup_results") or []
    recent = rules.recent(given, today)
    result = {**_numbers(asked.get("health_data")), **(recent[0] if recent else {})}
    told = [*warnings, *([words.TOO_OLD] if given and not recent else [])]
    if lacking := rules.not_measured(result):
        told.append(words.NOT_MEASURED.format(", ".join(lacking)))
    if rules.stale(result, today):
        told.append(words.STALE.format(str(result["exam_date"])[:4]))
    about = " ".join(filter(None, (f"{age}세" if age else "", {"M": "남성", "F": "여성"}.get(sex or ""))))
    return answers.Context(question, (), answers.findings_of(question, result, sex), tuple(told), history, about)


def _searched(context: answers.Context) -> str:
    """Return what is searched for: the question, and what of the results is abnormal or named in it."""
    named = [f for f in context.findings if f.abnormal or f.key in answers.asked_values(context.question)]
    return "\n".join([context.question, *(f"{f.name} {f.value:g} {f.unit} {rules.WORDS[f.status]}" for f in named)])


def _numbers(data: object) -> dict[str, Any]:
    """Return what health data say of items that have bands."""
    known = rules.bands().names()
    return {k: v for k, v in data.items() if k in known} if isinstance(data, dict) else {}


def _masked_all(texts: Sequence[Any]) -> list[str]:
    return [rules.masked(str(text))[0] for text in texts]


def _turns(session: str) -> Any:
    return select(CheckupMessage).where(CheckupMessage.session_id == session).order_by(CheckupMessage.id)


def open_service() -> Checkup:
    """Open the service as the environment says."""
    return Checkup()
