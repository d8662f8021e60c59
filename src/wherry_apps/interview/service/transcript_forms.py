"""The three shapes of transcripts, checked field by field, and the one form they become."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from wherry_apps.interview.forms import Id, Share, Text, Words

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_MEASURED = (
    "answer_duration_sec",
    "char_index_start",
    "char_index_end",
    "timestamp_start",
    "timestamp_end",
    "stt_confidence",
    "stt_provider",
)


@dataclass(frozen=True)
class Spoken:
    """One question with its answer. measured: what was measured while it was said; meta: what else the file tells."""

    order: int
    question: str
    answer: str
    interviewer: str | None
    turn_type: str = "main"
    question_id: int | None = None
    question_type: str | None = None
    common: bool = False
    competencies: list[str] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)


class TargetCompetencies(BaseModel):
    """Which competencies a question is aimed at: those of everybody and those of the job."""

    common: Words = Field(default_factory=list)
    job_specific: Words = Field(default_factory=list)


class Speaking(BaseModel):
    """How something was said."""

    model_config = ConfigDict(extra="allow")
    speaking_speed_wpm: Seconds | None = None
    pause_count: Annotated[int, Field(ge=0)] | None = None
    filler_words: Words = Field(default_factory=list)


class Segment(BaseModel):
    """One segment of T1; T2 has what stands below segment_type too."""

    model_config = ConfigDict(extra="allow")
    segment_id: int | Text
    segment_order: int
    interviewer_id: int | Text | None = None
    turn_type: Literal["main", "follow_up"] = "main"
    question_text: Text
    answer_text: Text
    answer_duration_sec: Seconds | None = None
    char_index_start: Annotated[int, Field(ge=0)] | None = None
    char_index_end: Annotated[int, Field(ge=0)] | None = None
    timestamp_start: float | Text | None = None
    timestamp_end: float | Text | None = None
    segment_type: Literal["common", "job_specific"] | None = None
    question_id: Id | None = None
    question_type: Text | None = None
    target_competencies: TargetCompetencies | None = None
    stt_confidence: Annotated[float, Field(ge=0, le=1)] | None = None
    stt_provider: Text | None = None
    metadata: Speaking | None = None

    def spoken(self, full: str | None) -> Spoken:
        """Return it in the one form. full: the whole transcript, in which its places are checked."""
        aimed = self.target_competencies or TargetCompetencies()
        measured = {name: getattr(self, name) for name in _MEASURED if getattr(self, name) is not None}
        if self.metadata is not None:
            measured["speaking"] = self.metadata.model_dump(exclude_none=True)
        places = (self.char_index_start, self.char_index_end)
        if full is not None and None not in places and full[slice(*places)] != self.answer_text:
            measured["misplaced"] = True
        return Spoken(
            self.segment_order,
            self.question_text,
            self.answer_text,
            None if self.interviewer_id is None else str(self.interviewer_id),
            self.turn_type,
            self.question_id,
            self.question_type,
            self.segment_type == "common",
            [*aimed.common, *aimed.job_specific],
            measured,
            {"segment_id": self.segment_id, "segment_type": self.segment_type, **(self.model_extra or {})},
        )

    @property
    def is_second(self) -> bool:
        """Whether it has what only T2 has."""
        return any(v is not None for v in (self.segment_type, self.target_competencies, self.stt_confidence))


class GivenWeights(BaseModel):
    """Weights that come with a transcript."""

    competency: dict[Text, Share] = Field(default_factory=dict)
    category: dict[Text, Share] = Field(default_factory=dict)


class Transcript12(BaseModel):
    """T1, or T2."""

    model_config = ConfigDict(extra="allow")
    interview_id: Id | None = None
    applicant_id: Id | None = None
    job_id: Id | None = None
    persona_meta: Any = None
    weights: GivenWeights = Field(default_factory=GivenWeights)
    segments: list[Segment]
    full_transcript: Annotated[str, Field(max_length=5_000_000)] | None = None

    @property
    def is_second(self) -> bool:
        """Whether it is T2."""
        return self.full_transcript is not None or any(one.is_second for one in self.segments)


class T3Turn(BaseModel):
    """One turn of T3."""

    model_config = ConfigDict(extra="allow")
    global_index: int
    interviewer_id: int | Text | None = None
    interviewer_type: Text | None = None
    question_index: int | None = None
    question: Text
    answer: Text
    target_competencies: Words = Field(default_factory=list)

    def spoken(self) -> Spoken:
        """Return it in the one form."""
        return Spoken(
            self.global_index,
            self.question,
            self.answer,
            None if self.interviewer_id is None else str(self.interviewer_id),
            question_type=self.interviewer_type,
            competencies=self.target_competencies,
            meta={"question_index": self.question_index, **(self.model_extra or {})},
        )
