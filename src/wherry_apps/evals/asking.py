"""Answers over guide and runs: numbers are computed, everything else rests on the three best documents."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

import wherry
from wherry import Answer, NotFound, Searcher, Usage
from wherry_apps.evals import questions
from wherry_apps.evals.index import Index
from wherry_apps.evals.runs import Json
from wherry_apps.evals.searching import Finder, condition, hit_of, places
from wherry_apps.evals.tables import RagSource

CONTEXTS = 3
LABEL = "[검색 결과]"
_LONGEST_QUESTION = 4_000
_RULES = (
    "당신은 RAG 평가 실행과 사용자 가이드에 대한 질문에 답합니다. 주어진 자료만 근거로 답하고, 수치는 자료에 있는 "
    "그대로 옮기며, 정보가 부족하면 무엇이 더 필요한지 물으십시오. 질문이 동사만 있으면 선택된 실행에 대한 질문입니다."
)


@dataclass(frozen=True)
class Asked:
    """A question with what was selected when it was asked. chat: the spec of a model, None as the settings say."""

    question: str
    run_id: str | None = None
    category: str | None = None
    chat: str | None = None

    def require(self) -> None:
        """Raise Usage for a question that cannot be."""
        if not self.question.strip():
            raise Usage("the question is empty", where="question")
        if len(self.question) > _LONGEST_QUESTION:
            raise Usage(f"the question has more than {_LONGEST_QUESTION:,} characters", where="question")


@dataclass(frozen=True)
class Reply:
    """An answer. how: computed from the runs, written by a model, or the contexts as they were found."""

    asked: Asked
    text: str
    how: str
    citations: tuple[Json, ...] = ()
    contexts: tuple[Json, ...] = ()
    model: str = "offline"
    notes: tuple[str, ...] = ()
    figures: Json = field(default_factory=dict)
    seconds: float = 0.0

    def to_dict(self) -> Json:
        """Return the JSON object that the command and the endpoint give."""
        return {
            "question": self.asked.question, "run_id": self.asked.run_id, "category": self.asked.category,
            "answer": self.text, "how": self.how, "citations": list(self.citations),
            "contexts": list(self.contexts), "model": self.model, "notes": list(self.notes),
            "figures": self.figures, "seconds": self.seconds,
        }  # fmt: skip


class Answers:
    """Answers questions; threads may share it. now: the clock, for a test another."""

    def __init__(self, index: Index, finder: Finder, now: Callable[[], datetime] | None = None) -> None:
        self.index, self.finder, self._now = index, finder, now

    def ask(self, asked: Asked, owner: str | None) -> Reply:
        """Return the answer. Raises Usage, NotFound for a run that is not there, StoreError."""
        return [piece for piece in self.stream(asked, owner) if isinstance(piece, Reply)][-1]

    def stream(self, asked: Asked, owner: str | None) -> Iterator[str | Reply]:
        """Yield the answer's text in pieces, and at last the Reply, whose text is the one that counts."""
        started = time.perf_counter()
        asked.require()
        if asked.run_id is not None:
            self._require_run(asked.run_id, owner)
        reply = self._computed(asked, owner)
        if reply is None:
            reply = yield from self._found(asked, owner)
        else:
            yield reply.text
        seconds = round(time.perf_counter() - started, 4)
        yield Reply(**{**reply.__dict__, "seconds": seconds})

    def _computed(self, asked: Asked, owner: str | None) -> Reply | None:
        """Answer a question about numbers from what is kept of the runs, None where it is none."""
        now = self._now() if self._now is not None else None
        if questions.parsed(asked.question, (), asked.run_id is not None, now) is None:
            return None
        metrics = self._metrics(owner)
        numbers = questions.parsed(asked.question, metrics, asked.run_id is not None, now)
        if numbers is None:
            return None
        told = questions.answered(numbers, self._meant(numbers, asked.run_id, owner))
        return Reply(asked, told.text, "computed", told.cites, figures=told.figures)

    def _found(self, asked: Asked, owner: str | None) -> Iterator[str | Reply]:
        with self.finder.opened() as searcher:
            if searcher is None:
                empty = "색인된 문서가 없습니다. `wherry evals preindex`로 먼저 색인하십시오."
                yield empty
                return Reply(asked, f"{LABEL}\n{empty}", "found", notes=("nothing is indexed yet",))
            spec = asked.chat or self.index.settings.chat_spec()
            if spec == "offline":
                reply = self._contexts(asked, owner, searcher)
                yield reply.text
                return reply
            return (yield from self._written(asked, owner, searcher, spec))

    def _contexts(self, asked: Asked, owner: str | None, searcher: Searcher) -> Reply:
        """Return the best documents themselves."""
        found = searcher.search(_searched(asked), CONTEXTS, self.finder.mode, _condition(asked, owner))
        contexts = tuple(hit_of(hit) for hit in found)
        return Reply(asked, shown(contexts), "found", tuple(places(contexts)), contexts, notes=found.notes)

    def _written(self, asked: Asked, owner: str | None, searcher: Searcher, spec: str) -> Iterator[str | Reply]:
        """Let a model write from the three best documents; where it fails, they are the answer."""
        answers: list[Answer] = []
        timeout = self.index.settings.chat_timeout_s
        for piece in wherry.ask_stream(
            _searched(asked), searcher, spec, CONTEXTS, _condition(asked, owner), timeout_s=timeout,
            instructions=_instructions(asked), mode=self.finder.mode, label=LABEL,
        ):  # fmt: skip
            if isinstance(piece, Answer):
                answers.append(piece)
            else:
                yield piece
        answer = answers[-1]
        contexts = tuple(_context(passage) for passage in answer.passages)
        if answer.extractive:
            return Reply(asked, shown(contexts), "found", tuple(places(contexts)), contexts, notes=answer.notes)
        by_id = {passage.id: context for passage, context in zip(answer.passages, contexts, strict=True)}
        cited = tuple(places([by_id[one.id] for one in answer.citations]))
        return Reply(asked, answer.text, "written", cited, contexts, answer.model, answer.notes)

    def _meant(self, numbers: questions.Numbers, run_id: str | None, owner: str | None) -> list[questions.Run]:
        """Return the runs a question means, newest first."""
        started = RagSource.facts["started_at"].astext
        statement = sa.select(RagSource.source, RagSource.facts).where(RagSource.facts != {})
        if owner is not None:
            statement = statement.where(RagSource.owner == owner)
        if run_id is not None:
            statement = statement.where(RagSource.source == f"run:{run_id}")
        elif numbers.period is not None:
            period = numbers.period
            statement = statement.where(started >= period.start.isoformat(), started < period.end.isoformat())
        order = (sa.nulls_last(started.desc()), RagSource.source)
        statement = statement.order_by(*order).limit(1 if numbers.latest and run_id is None else None)
        with self.index.database.session() as session:
            return [questions.Run(row.source, row.facts) for row in session.execute(statement)]

    def _metrics(self, owner: str | None) -> list[str]:
        """Return the names of all metrics that were measured in runs somebody may see."""
        names = sa.func.jsonb_object_keys(RagSource.facts["averages"])
        statement = sa.select(names).distinct().where(RagSource.facts.has_key("averages"))
        if owner is not None:
            statement = statement.where(RagSource.owner == owner)
        with self.index.database.session() as session:
            return list(session.execute(statement).scalars())

    def _require_run(self, run_id: str, owner: str | None) -> None:
        statement = sa.select(RagSource.source).where(RagSource.source == f"run:{run_id}")
        if owner is not None:
            statement = statement.where(RagSource.owner == owner)
        with self.index.database.session() as session:
            if session.execute(statement.limit(1)).scalar() is None:
                raise NotFound(f"there is no run {run_id}", where="run_id", next="wherry evals runs lists them")


def shown(contexts: tuple[Json, ...]) -> str:
    """Return contexts as an answer: each under where it stands."""
    if not contexts:
        return f"{LABEL}\n질문에 맞는 문서를 찾지 못했습니다."
    parts = [f"[{hit['source']}#{hit['doc_id']}]\n{hit['content']}" for hit in contexts]
    return f"{LABEL}\n" + "\n\n".join(parts)


def _searched(asked: Asked) -> str:
    """Return what is searched for: a verb alone means the selected run."""
    if asked.run_id is not None and questions.is_verb_alone(asked.question):
        return f"run_id: {asked.run_id} RUN SUMMARY {asked.question}"
    return asked.question


def _condition(asked: Asked, owner: str | None) -> Json | None:
    if asked.run_id is not None and questions.is_verb_alone(asked.question):
        kinds = {"kind": {"$in": ["run_summary", "run_failures", "report"]}}
        return condition(owner, asked.run_id, kinds)
    return condition(owner, asked.run_id)


def _instructions(asked: Asked) -> str:
    told = [_RULES]
    told += [f"선택된 실행(run_id): {asked.run_id}"] if asked.run_id else []
    told += [f"분류(category): {asked.category}"] if asked.category else []
    return "\n".join([*told, f"질문: {asked.question}"])


def _context(passage: wherry.Passage) -> Json:
    metadata = dict(passage.metadata)
    kept = {key: value for key, value in metadata.items() if key not in ("owner", "source", "source_hash", "doc_id")}
    return {
        "source": metadata.get("source"), "doc_id": metadata.get("doc_id"), "score": passage.score,
        "similarity": passage.similarity, "content": passage.text, "metadata": kept,
    }  # fmt: skip
