"""Questions about numbers: which cases failed, which score was lowest, which runs failed a metric last week.

They are answered from what is kept of the runs, never guessed by a model. A question that none of the patterns knows
is for the search.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from wherry_apps.evals.runs import Json

# Listed by name; what is beyond is counted.
LISTED_RUNS, LISTED_CASES, LISTED_REASONS = 10, 20, 3
_FAILED = re.compile(r"실패|미달|탈락|못\s*넘|통과하지\s*못|fail|below\s+(?:the\s+)?threshold", re.I)
_LOWEST = re.compile(r"가장\s*(?:낮|나쁜|못)|최저|최하|lowest|worst|minimum", re.I)
_HIGHEST = re.compile(r"가장\s*(?:높|좋|잘)|최고|highest|best|maximum", re.I)
_RATE = re.compile(r"통과율|합격률|pass[ _]?rate", re.I)
_AVERAGE = re.compile(r"평균|average|mean\b", re.I)
_OF_RUNS = re.compile(
    r"어떤\s*(?:실행|런|run)|실행(?:은|들|이|을|\s*목록)|which\s+(?:evaluation\s+)?runs?|runs\b", re.I
)
_OF_CASES = re.compile(r"케이스|문항|사례|case|question", re.I)
_SCORE = re.compile(r"점수|score|메트릭|지표|metric|케이스|case|문항", re.I)
_LATEST = re.compile(
    r"마지막\s*(?:실행|런|run|평가)|(?:최신|가장\s*최근|최근)\s*(?:실행|런|run|평가)|last\s+run|latest\s+run", re.I
)
_DAYS = re.compile(r"(?:최근|지난)\s*(\d{1,3})\s*일|(?:last|past)\s+(\d{1,3})\s+days", re.I)
# What else a metric is called.
_CALLED = {"충실": "faithfulness", "답변 관련": "answer_relevancy", "문맥 정밀": "context_precision",
           "문맥 재현": "context_recall", "정확": "factual_correctness"}  # fmt: skip
_VERBS = re.compile(
    r"^(?:(?:이거|이것|그거|좀|자세히|간단히|please|it|this|that)\s*)*"
    r"(?:요약|설명|분석|정리|비교|알려|보여|말해|해석|평가|summari[sz]e|explain|analy[sz]e|describe|show|tell)"
    r"(?:\s*(?:해\s*줘|해\s*주세요|해\s*봐|해라|하라|해|줘|주세요|me|it|this|that|please|좀|부탁해|요))*\s*[.!?~]*$",
    re.I,
)


@dataclass(frozen=True)
class Period:
    """From `start` up to, and without, `end`, in UTC as the runs are. name: as it was asked for."""

    name: str
    start: datetime
    end: datetime

    def holds(self, started_at: str | None) -> bool:
        """Tell whether a run that started then is meant."""
        return started_at is not None and self.start <= datetime.fromisoformat(started_at) < self.end


@dataclass(frozen=True)
class Numbers:
    """A question about numbers. about: failed_cases, failed_runs, lowest, highest, pass_rate or average."""

    about: str
    metric: str | None = None
    period: Period | None = None
    latest: bool = False
    korean: bool = True


@dataclass(frozen=True)
class Told:
    """An answer that was computed. cites: (source, doc_id) it rests on. figures: the same for programs."""

    text: str
    cites: tuple[Json, ...] = ()
    figures: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A run of the index with its facts."""

    source: str
    facts: Json


def is_verb_alone(question: str) -> bool:
    """Tell whether a question says only what to do, and nothing of what with: it means the selected run."""
    return bool(_VERBS.match(question.strip()))


def parsed(question: str, metrics: Iterable[str], run_selected: bool, now: datetime | None = None) -> Numbers | None:
    """Return the question about numbers that a question is, None where it is none.

    metrics: names that runs measured. now: in UTC; the clock by default.
    """
    about = _about(question, run_selected)
    if about is None:
        return None
    moment = (now or datetime.now(UTC)).replace(tzinfo=None)
    latest = bool(_LATEST.search(question))
    korean = bool(re.search(r"[가-힣]", question))
    return Numbers(about, metric_in(question, metrics), period_in(question, moment), latest, korean)


def metric_in(question: str, metrics: Iterable[str]) -> str | None:
    """Return the metric a question names, the longest where several fit."""
    plain = re.sub(r"[\s_-]+", "", question.lower())
    named = [name for name in metrics if re.sub(r"[\s_-]+", "", name.lower()) in plain]
    if named:
        return max(named, key=len)
    return next((name for words, name in _CALLED.items() if words.replace(" ", "") in plain), None)


def period_in(question: str, now: datetime) -> Period | None:
    """Return the stretch of time a question names: weeks begin on Monday, days at midnight, in UTC."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    week, month = today - timedelta(days=today.weekday()), today.replace(day=1)
    before = (month - timedelta(days=1)).replace(day=1)
    tomorrow = today + timedelta(days=1)
    counted = _DAYS.search(question)
    if counted:
        days = int(counted.group(1) or counted.group(2))
        return Period(counted.group(), today - timedelta(days=days), tomorrow)
    for words, start, end in (
        (r"지난\s*주|저번\s*주|last\s+week", week - timedelta(days=7), week),
        (r"이번\s*주|this\s+week", week, week + timedelta(days=7)),
        (r"지난\s*달|저번\s*달|last\s+month", before, month),
        (r"이번\s*달|this\s+month", month, tomorrow),
        (r"어제|yesterday", today - timedelta(days=1), today),
        (r"오늘|today", today, tomorrow),
    ):
        found = re.search(words, question, re.I)
        if found:
            return Period(found.group(), start, end)
    return None


def answered(asked: Numbers, runs: Sequence[Run]) -> Told:
    """Return the answer to a question about numbers. runs: those that are meant, newest first."""
    if not runs:
        words = ("해당하는 실행이 없습니다.", "There is no such run.")
        return Told(_said(asked, *words) + _when(asked))
    acts: dict[str, Callable[[Numbers, Sequence[Run]], Told]] = {
        "failed_cases": _failed_cases, "failed_runs": _failed_runs, "lowest": _extreme, "highest": _extreme,
        "pass_rate": _rates, "average": _averages,
    }  # fmt: skip
    return acts[asked.about](asked, runs)


def _about(question: str, run_selected: bool) -> str | None:
    if _LOWEST.search(question) and _SCORE.search(question):
        return "lowest"
    if _HIGHEST.search(question) and _SCORE.search(question):
        return "highest"
    if _FAILED.search(question):
        if _OF_RUNS.search(question) and not run_selected:
            return "failed_runs"
        if _OF_CASES.search(question) or run_selected:
            return "failed_cases"
        return "failed_runs" if re.search(r"실행|런\b|\brun", question, re.I) else None
    if _RATE.search(question):
        return "pass_rate"
    return "average" if _AVERAGE.search(question) and _SCORE.search(question) else None


def _failed_cases(asked: Numbers, runs: Sequence[Run]) -> Told:
    found = [(run, case, worst) for run in runs for case, worst in _failing(run, asked.metric)]
    found.sort(key=lambda one: (one[2]["score"] - one[2]["threshold"], one[0].source, one[1]["case_id"]))
    evaluated = sum(case["passed"] is not None for run in runs for case in run.facts["cases"])
    name = asked.metric or _said(asked, "평가", "their metrics")
    if not found:
        text = _said(asked, f"{name} 기준에 실패한 케이스가 없습니다", f"No case failed {name}")
        return Told(f"{text} (0/{evaluated}).{_when(asked)}", _summaries(runs), {"failed": 0, "evaluated": evaluated})
    head = _said(asked, f"{name}에 실패한 케이스 {len(found)}개 (평가된 {evaluated}개 중)",
                 f"{len(found)} of {evaluated} evaluated cases failed {name}")  # fmt: skip
    shown = found[:LISTED_CASES]
    lines = [f"- {case['case_id']} [{run.source}#{case['doc_id']}]: {_scores(case)}" for run, case, _ in shown]
    if len(found) > len(shown):
        lines.append(_said(asked, f"… 그 밖에 {len(found) - len(shown)}개", f"... and {len(found) - len(shown)} more"))
    cases = [{"source": run.source, "case_id": case["case_id"]} for run, case, _ in found]
    return Told(
        "\n".join([head + _when(asked), *lines]),
        tuple(_cite(run, case) for run, case, _ in shown),
        {"failed": len(found), "evaluated": evaluated, "cases": cases},
    )


def _failed_runs(asked: Numbers, runs: Sequence[Run]) -> Told:
    failed = [run for run in runs if any(True for _ in _failing(run, asked.metric))]
    name = asked.metric or _said(asked, "평가", "a metric")
    head = _said(asked, f"{name}에 실패한 실행 {len(failed)}개 (전체 {len(runs)}개 중)",
                 f"{len(failed)} of {len(runs)} runs failed {name}")  # fmt: skip
    lines, cites = [head + _when(asked)], []
    for run in failed[:LISTED_RUNS]:
        found = sorted(_failing(run, asked.metric), key=lambda one: one[1]["score"] - one[1]["threshold"])
        lines.append(f"- {_named(run)}: {_of_run(asked, run, len(found))}")
        for case, worst in found[:LISTED_REASONS]:
            why = worst.get("reason") or _said(asked, "이유가 기록되지 않음", "no reason was recorded")
            lines.append(f"  · {case['case_id']} {worst['name']}={worst['score']} (< {worst['threshold']}): {why}")
            cites.append(_cite(run, case))
        cites.append({"source": run.source, "doc_id": 0, "run_id": run.facts["run_id"]})
    if len(failed) > LISTED_RUNS:
        more = len(failed) - LISTED_RUNS
        lines.append(_said(asked, f"… 그 밖에 {more}개", f"... and {more} more"))
    figures = {"failed": len(failed), "runs": len(runs), "sources": [run.source for run in failed]}
    return Told("\n".join(lines), tuple(cites), figures)


def _extreme(asked: Numbers, runs: Sequence[Run]) -> Told:
    measured = [
        (metric["score"], run, case, metric)
        for run in runs for case in run.facts["cases"] for metric in case["metrics"]
        if metric["score"] is not None and asked.metric in (None, metric["name"])
    ]  # fmt: skip
    if not measured:
        return Told(_said(asked, "측정된 점수가 없습니다.", "No score was measured.") + _when(asked))
    pick = min if asked.about == "lowest" else max
    best = pick(one[0] for one in measured)
    found = [one for one in measured if one[0] == best]
    words = (("가장 낮은 점수", "The lowest score") if asked.about == "lowest"
             else ("가장 높은 점수", "The highest score"))  # fmt: skip
    head = f"{_said(asked, *words)}{f' ({asked.metric})' if asked.metric else ''}: {best}{_when(asked)}"
    shown = found[:LISTED_CASES]
    lines = [
        f"- {case['case_id']} [{run.source}#{case['doc_id']}]: {metric['name']}={metric['score']}"
        f" (threshold={metric['threshold']}) {case['question'] or ''}".rstrip()
        for _, run, case, metric in shown
    ]
    cites = tuple(_cite(run, case) for _, run, case, _ in shown)
    return Told("\n".join([head, *lines]), cites, {"score": best, "cases": len(found)})


def _rates(asked: Numbers, runs: Sequence[Run]) -> Told:
    lines = [_said(asked, "통과율", "Pass rates") + _when(asked)]
    for run in runs[:LISTED_RUNS]:
        facts, evaluated = run.facts, run.facts["total_test_cases"] - run.facts["unevaluated"]
        rate = (
            _said(asked, "평가된 케이스 없음", "nothing measured") if facts["pass_rate"] is None else facts["pass_rate"]
        )
        lines.append(f"- {_named(run)}: {rate} ({facts['passed_test_cases']}/{evaluated})")
    return Told("\n".join(lines), _summaries(runs), {run.source: run.facts["pass_rate"] for run in runs})


def _averages(asked: Numbers, runs: Sequence[Run]) -> Told:
    lines = [_said(asked, "평균 점수", "Average scores") + _when(asked)]
    figures: dict[str, Any] = {}
    for run in runs[:LISTED_RUNS]:
        means = {n: m for n, m in run.facts["averages"].items() if asked.metric in (None, n)}
        figures[run.source] = means
        lines.append(f"- {_named(run)}: {', '.join(f'{name} {mean}' for name, mean in means.items()) or '-'}")
    return Told("\n".join(lines), _summaries(runs), figures)


def _failing(run: Run, metric: str | None) -> Iterable[tuple[Json, Json]]:
    """Yield failed cases, each with the metric it missed by most."""
    for case in run.facts["cases"]:
        missed = [m for m in case["metrics"] if m["passed"] is False and metric in (None, m["name"])]
        if missed:
            yield case, min(missed, key=lambda one: one["score"] - one["threshold"])


def _scores(case: Json) -> str:
    missed = [m for m in case["metrics"] if m["passed"] is False]
    told = ", ".join(f"{m['name']}={m['score']} (< {m['threshold']})" for m in missed)
    reasons = "; ".join(m["reason"] for m in missed if m.get("reason"))
    return " — ".join(filter(None, (told, case["question"], reasons)))


def _named(run: Run) -> str:
    facts = run.facts
    return " ".join(filter(None, (run.source, facts["dataset_name"], facts["model_name"], facts["started_at"])))


def _of_run(asked: Numbers, run: Run, failed: int) -> str:
    facts, parts = run.facts, []
    if asked.metric in facts["averages"]:
        parts.append(_said(asked, "평균", "average") + f" {facts['averages'][asked.metric]}")
    evaluated = facts["total_test_cases"] - facts["unevaluated"]
    return ", ".join([*parts, _said(asked, "실패", "failed") + f" {failed}/{evaluated}"])


def _summaries(runs: Sequence[Run]) -> tuple[Json, ...]:
    return tuple({"source": run.source, "doc_id": 0, "run_id": run.facts["run_id"]} for run in runs[:LISTED_RUNS])


def _cite(run: Run, case: Json) -> Json:
    return {
        "source": run.source, "doc_id": case["doc_id"], "run_id": run.facts["run_id"], "case_id": case["case_id"],
    }  # fmt: skip


def _when(asked: Numbers) -> str:
    if asked.period is None:
        return ""
    last = asked.period.end - timedelta(days=1)
    return f" [{asked.period.name}: {asked.period.start:%Y-%m-%d} ~ {last:%Y-%m-%d}]"


def _said(asked: Numbers, korean: str, english: str) -> str:
    return korean if asked.korean else english
