"""What comes in, checked field by field before anything is done with it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

import wherry

F = TypeVar("F", bound=BaseModel)
_MOST_SHOWN = 20
_SURROGATE = re.compile("[\ud800-\udfff]")


def _stored(text: str) -> str:
    if not storable(text):
        raise ValueError("holds a zero character or a lone surrogate, which PostgreSQL does not keep")
    return text


def _named(text: str) -> str:
    if not text.strip():
        raise ValueError("is blank")
    return text.strip()


Text = Annotated[str, Field(max_length=100_000), AfterValidator(_stored)]
Named = Annotated[Text, AfterValidator(_named)]
MOST_ID = 2**31 - 1
Id = Annotated[int, Field(ge=0, le=MOST_ID)]
Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Score = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Words = list[Text]


class Form(BaseModel):
    """What all have: no field besides those that are known."""

    model_config = ConfigDict(extra="forbid")


class CompanyForm(Form):
    """A company."""

    name: Annotated[Named, Field(max_length=200)]
    values_text: Text | None = None
    culture_desc: Text | None = None
    core_values: Words = Field(default_factory=list)
    category_weights: dict[Text, Share] = Field(default_factory=dict)
    priority_weights: dict[Text, Share] = Field(default_factory=dict)
    blind_mode: bool = False


class ApplicantForm(Form):
    """An applicant."""

    name: Annotated[Named, Field(max_length=100)]
    email: Annotated[Named, Field(max_length=200, pattern=r"^[^@\s]+@[^@\s]+$")] | None = None
    age: Annotated[int, Field(ge=0, le=150)] | None = None
    education: Text | None = None
    gender: Annotated[Text, Field(max_length=20)] | None = None
    skills: Words = Field(default_factory=list)
    domain_experience: Words = Field(default_factory=list)
    special_experience: Words = Field(default_factory=list)
    total_experience_years: Annotated[int, Field(ge=0, le=100)] = 0
    resume_parsed_data: dict[str, Any] = Field(default_factory=dict)


class JobForm(Form):
    """A job post that is typed; files go to jobs/upload."""

    company_id: Id
    title: Annotated[Named, Field(max_length=500)]
    description: Annotated[str, Field(max_length=2_000_000), AfterValidator(_stored)] = ""
    required_skills: Words | None = None
    preferred_skills: Words | None = None
    domain_requirements: Words | None = None
    dynamic_evaluation_criteria: Words | None = None
    competency_weights: dict[Text, Share] | None = None
    main_responsibilities: Words | None = None
    position_type: Annotated[Text, Field(max_length=100)] | None = None
    seniority_level: Annotated[Text, Field(max_length=50)] | None = None


class QuestionForm(Form):
    """A question."""

    job_id: Id | None = None
    persona_id: Id | None = None
    question_type: Annotated[Named, Field(max_length=50)]
    question_text: Named
    expected_keywords: Words | dict[Text, Words] = Field(default_factory=list)
    evaluation_criteria: Words | dict[str, Any] = Field(default_factory=list)
    evaluation_dimensions: Words = Field(default_factory=list)
    dimension_weights: dict[Text, Share] = Field(default_factory=dict)
    target_competencies: Words = Field(default_factory=list)
    follow_up_if_weak: Text | None = None
    difficulty_level: Annotated[int, Field(ge=1, le=5)] = 3
    is_common: bool = False


class SessionForm(Form):
    """An interview of an applicant: for one to three jobs, or for a company."""

    applicant_id: Id
    job_id: Id | None = None
    job_ids: Annotated[list[Id], Field(max_length=3)] = Field(default_factory=list)
    company_id: Id | None = None


class SessionChange(Form):
    """What may be changed of a session: its status, the way it goes."""

    status: Literal["pending", "in_progress", "completed", "failed"]


class StatementForm(Form):
    """A strength or weakness with the applicant's own words; start and end are found anew."""

    text: Named
    quote: Named
    start: int | None = None
    end: int | None = None


class ResultForm(Form):
    """A question with its answer and scores."""

    interview_id: Id
    question_id: Id | None = None
    question_text: Text | None = None
    question_type: Annotated[Text, Field(max_length=50)] | None = None
    is_common: bool = False
    job_id: Id | None = None
    stt_full_text: Text
    logic_score: Score | None = None
    relevance_score: Score | None = None
    technical_score: Score | None = None
    communication_score: Score | None = None
    overall_score: Score | None = None
    scores: dict[Text, Score | None] = Field(default_factory=dict)
    keywords: dict[Text, Words] = Field(default_factory=dict)
    strengths: list[Text | StatementForm] = Field(default_factory=list)
    weaknesses: list[Text | StatementForm] = Field(default_factory=list)
    ai_feedback: Text | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    scored_by: Annotated[Text, Field(max_length=200)] | None = None


class AnswerForm(Form):
    """An answer to the current question. turn: which one it answers, so that one sent twice counts once."""

    text: Annotated[str, Field(max_length=20_000), AfterValidator(_stored)]
    turn: Annotated[int, Field(ge=0)] | None = None


class PreparedQuestion(BaseModel):
    """One question of a question file."""

    question: Named
    intent: Text | None = None
    target_competencies: Words = Field(default_factory=list)
    follow_up_if_weak: Text | None = None


class Interviewer(BaseModel):
    """One interviewer of a question file."""

    id: str | int
    type: Annotated[Named, Field(max_length=50)]
    resume_based_questions: list[PreparedQuestion] = Field(default_factory=list)


class QuestionFile(BaseModel):
    """A question file."""

    interviewers: Annotated[list[Interviewer], Field(min_length=1, max_length=20)]


def validated(form: type[F], content: Any) -> F:
    """Return content as a form. Raises BadRecord, naming each field that does not fit, but never its value."""
    unfit = list(unstorable(content))
    if unfit:
        raise wherry.BadRecord(
            f"no column keeps these (zero characters, lone surrogates, NaN): {', '.join(unfit[:20])}",
            left="nothing was written",
            next="put them right and send all of it again",
            fields=unfit,
        )
    try:
        return form.model_validate(content)
    except ValidationError as error:
        raise refused(error) from None


def unstorable(content: Any) -> Iterator[str]:
    """Yield the place of every text or number of a JSON value that PostgreSQL keeps in no column."""
    waiting: list[tuple[str, Any]] = [("", content)]
    while waiting:
        place, value = waiting.pop()
        if (isinstance(value, str) and not storable(value)) or (isinstance(value, float) and not math.isfinite(value)):
            yield place or "(whole)"
        elif isinstance(value, Mapping):
            named = {name: inner for name, inner in value.items() if storable(str(name))}
            if len(named) < len(value):
                yield place or "(whole)"
            waiting += [(f"{place}.{name}" if place else str(name), inner) for name, inner in named.items()]
        elif isinstance(value, list):
            waiting += [(f"{place}.{n}" if place else str(n), inner) for n, inner in enumerate(value)]


def storable(text: str) -> bool:
    """Tell whether PostgreSQL keeps a text: no zero characters, no lone surrogates."""
    return "\x00" not in text and not _SURROGATE.search(text)


def refused(error: ValidationError) -> wherry.BadRecord:
    """Return what is wrong with a form, field by field."""
    wrong = [(".".join(str(part) for part in one["loc"]) or "(whole)", one["msg"]) for one in error.errors()]
    told = "; ".join(f"{name}: {words}" for name, words in wrong[:_MOST_SHOWN])
    more = f"; and {len(wrong) - _MOST_SHOWN} more" if len(wrong) > _MOST_SHOWN else ""
    return wherry.BadRecord(
        f"these fields cannot be taken: {told}{more}",
        left="nothing was written",
        next="put them right and send all of it again",
        fields=list(dict.fromkeys(name for name, _ in wrong)),
    )
