"""Evaluation runs as they are kept in every shape, and the one form that everything here works on.

Each reader hands over the JSON object of a run (`EvaluationRun` of the product); `run_of` checks it and brings its
values to one form, so that a run has the same documents whichever database it was read from: scores and thresholds
have four decimals and costs six (what PostgreSQL keeps), times are in UTC, cases stand in the order of their ids.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from wherry import BadRecord

Json = dict[str, Any]
SCORE_DIGITS, COST_DIGITS = 4, 6
_LONGEST_ID = 300
_NUMBERS = re.compile(r"\d+")
_ESCAPED = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")


@dataclass(frozen=True)
class Score:
    """One metric of one case. score: None where it was not measured. threshold: None where only the run has one."""

    name: str
    score: float | None
    threshold: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Case:
    """One question of a run: what was expected, what was answered, and how it was scored."""

    case_id: str
    question: str | None = None
    ground_truth: str | None = None
    prediction: str | None = None
    error: str | None = None
    contexts: tuple[str, ...] = ()
    scores: tuple[Score, ...] = ()


@dataclass(frozen=True)
class Feedback:
    """What a person said about a case; who it was is not kept. satisfaction: as given, usually 1 to 5."""

    case_id: str
    satisfaction: float | None = None
    thumb: str | None = None
    comment: str | None = None


@dataclass(frozen=True)
class Report:
    """A report or artefact of a run. path: where the whole of it is, if that is known."""

    kind: str
    text: str
    path: str | None = None


@dataclass(frozen=True)
class EvaluationRun:
    """A run in the one form. thresholds: metric -> 0 to 1. pass_rate: as it was stored, which is only compared."""

    run_id: str
    dataset_name: str | None = None
    dataset_version: str | None = None
    model_name: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    project_id: str = "default"
    cases: tuple[Case, ...] = ()
    metrics: tuple[str, ...] = ()
    thresholds: dict[str, float] = field(default_factory=dict)
    total_tokens: int = 0
    total_cost_usd: float | None = None
    trace_ids: Json = field(default_factory=dict)
    metadata: Json = field(default_factory=dict)
    retrieval: Json = field(default_factory=dict)
    feedback: tuple[Feedback, ...] = ()
    reports: tuple[Report, ...] = ()
    pass_rate: float | None = None

    @property
    def source(self) -> str:
        """The name of its documents in the index."""
        return f"run:{self.run_id}"


def run_of(document: Json) -> EvaluationRun:
    """Return a run from its JSON object, also the short form with `cases`. Raises BadRecord, naming the field."""
    run_id = _required(document, "run_id", "a run")
    where = f"run {run_id}"
    results = document.get("results", document.get("cases")) or []
    _require(isinstance(results, list), "results is no list", where)
    cases = sorted((_case(result, where) for result in results), key=lambda case: natural(case.case_id))
    return EvaluationRun(
        run_id=run_id,
        dataset_name=text_of(document.get("dataset_name")),
        dataset_version=text_of(document.get("dataset_version")),
        model_name=text_of(document.get("model_name")),
        started_at=moment(document.get("started_at"), where),
        finished_at=moment(document.get("finished_at"), where),
        project_id=text_of(document.get("project_id")) or "default",
        cases=tuple(cases),
        metrics=_metrics(document, cases, where),
        thresholds=_thresholds(document.get("thresholds"), where),
        total_tokens=int(number(document.get("total_tokens"), where, 0) or 0),
        total_cost_usd=number(document.get("total_cost_usd"), where, COST_DIGITS),
        trace_ids=_trace_ids(document, where),
        metadata=_object(document.get("tracker_metadata") or document.get("metadata"), "tracker_metadata", where),
        retrieval=_object(document.get("retrieval_metadata"), "retrieval_metadata", where),
        feedback=tuple(_feedback(one, where) for one in _list(document.get("feedback"), "feedback", where)),
        reports=tuple(_report(one, where) for one in _list(document.get("reports"), "reports", where)),
        pass_rate=number(document.get("pass_rate"), where, SCORE_DIGITS),
    )


def natural(name: str) -> tuple[str, str]:
    """Return a key by which `c2` comes before `c10`."""
    return _NUMBERS.sub(lambda found: found.group().zfill(12), name), name


def number(value: Any, where: str, digits: int) -> float | None:
    """Return a number with so many decimals, None where it is missing or not finite. Raises BadRecord for no number.

    Halves go away from zero, as PostgreSQL rounds a DECIMAL.
    """
    if value is None:
        return None
    try:
        exact = Decimal(value) if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation:
        raise BadRecord(f"{str(value)[:40]!r} is no number", where=where) from None
    if isinstance(value, bool) or not exact.is_finite():
        return None
    try:
        found = float(exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))
    except InvalidOperation:
        raise BadRecord("a number is too large", where=where) from None
    # A zero has no sign here: -0.0 and 0.0 would print, and hash, differently.
    return found + 0.0 if math.isfinite(found) else None


def moment(value: Any, where: str) -> str | None:
    """Return a time as ISO 8601 in UTC without an offset; one that has none is taken for UTC. Raises BadRecord."""
    if value is None or value == "":
        return None
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise BadRecord(f"{str(value)[:40]!r} is no time", where=where) from None
    return (found.astimezone(UTC) if found.tzinfo else found).replace(tzinfo=None).isoformat()


def text_of(value: Any) -> str | None:
    """Return a value as text that a database takes, None where it is missing.

    Old databases hold \\uXXXX where a character was meant; U+0000 and halves of pairs become U+FFFD.
    """
    if value is None:
        return None
    found = str(value)
    if "\\u" in found and found.isascii():
        found = _ESCAPED.sub(lambda escaped: json.loads(f'"{escaped.group()}"'), found)
    found = found.replace("\x00", "\ufffd")
    return found if found.isascii() else found.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _case(result: Any, where: str) -> Case:
    _require(isinstance(result, dict), "a result is no object", where)
    case_id = _required(result, "test_case_id", where)
    where = f"{where}, case {case_id}"
    contexts = result.get("contexts") or []
    contexts = [contexts] if isinstance(contexts, str) else contexts
    _require(isinstance(contexts, list), "contexts is no list", where)
    prediction = result.get("prediction")
    return Case(
        case_id,
        text_of(result.get("question")),
        text_of(result.get("ground_truth")),
        text_of(result.get("answer") if prediction is None else prediction),
        text_of(result.get("error")),
        tuple(text_of(context) or "" for context in contexts),
        tuple(_scores(result, where)),
    )


def _scores(result: Json, where: str) -> list[Score]:
    given = result.get("metrics")
    if given is None:
        short = _object(result.get("scores"), "scores", where)
        given = [{"name": name, "score": score} for name, score in short.items()]
    found = [_score(one, where) for one in _list(given, "metrics", where)]
    return sorted(found, key=lambda score: score.name)


def _score(one: Any, where: str) -> Score:
    _require(isinstance(one, dict), "a metric is no object", where)
    name = _required(one, "name", where)
    where = f"{where}, metric {name}"
    score, threshold = (number(one.get(key), where, SCORE_DIGITS) for key in ("score", "threshold"))
    return Score(name, score, threshold, text_of(one.get("reason")))


def _metrics(document: Json, cases: list[Case], where: str) -> tuple[str, ...]:
    given = _list(document.get("metrics_evaluated"), "metrics_evaluated", where)
    seen = sorted({score.name for case in cases for score in case.scores})
    return tuple(dict.fromkeys([*(str(name) for name in given), *seen]))


def _thresholds(value: Any, where: str) -> dict[str, float]:
    found = {name: number(one, where, SCORE_DIGITS) for name, one in _object(value, "thresholds", where).items()}
    return {name: found[name] for name in sorted(found) if found[name] is not None}  # type: ignore[misc]


def _trace_ids(document: Json, where: str) -> Json:
    found = _object(document.get("tracker_trace_ids"), "tracker_trace_ids", where)
    langfuse = document.get("langfuse_trace_id")
    return found or ({"langfuse": langfuse} if langfuse else {})


def _feedback(one: Any, where: str) -> Feedback:
    _require(isinstance(one, dict), "a feedback is no object", where)
    satisfaction = number(one.get("satisfaction_score"), where, 2)
    texts = (text_of(one.get(key)) for key in ("thumb_feedback", "comment"))
    return Feedback(_required(one, "test_case_id", where), satisfaction, *texts)


def _report(one: Any, where: str) -> Report:
    _require(isinstance(one, dict), "a report is no object", where)
    return Report(text_of(one.get("report_type")) or "report", text_of(one.get("content")) or "", _path(one, where))


def _path(one: Json, where: str) -> str | None:
    metadata = _object(one.get("metadata"), "metadata of a report", where)
    return text_of(one.get("path") or metadata.get("path") or metadata.get("report_path"))


def _required(document: Any, name: str, where: str) -> str:
    _require(isinstance(document, dict), f"{where} is no object", where)
    value = document.get(name)
    found = (text_of(value) or "").strip() if not isinstance(value, dict | list) else ""
    _require(bool(found), f"{name} is missing", where)
    _require(len(found) <= _LONGEST_ID, f"{name} has more than {_LONGEST_ID} characters", where)
    return found


def _object(value: Any, name: str, where: str) -> Json:
    if value is None or value == "":
        return {}
    _require(isinstance(value, dict), f"{name} is no object", where)
    return value


def _list(value: Any, name: str, where: str) -> list[Any]:
    if value is None or value == "":
        return []
    _require(isinstance(value, list), f"{name} is no list", where)
    return value


def _require(holds: bool, what: str, where: str) -> None:
    if not holds:
        raise BadRecord(what, where=where, next="mend the run where it is stored, then run the same command again")
