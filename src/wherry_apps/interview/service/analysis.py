"""What a job post asks for: by a model, chunk by chunk, or by rule."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

import wherry
from wherry_apps.interview.rules import posts
from wherry_apps.interview.rules.posts import Analysis
from wherry_apps.interview.rules.text import Piece
from wherry_apps.interview.service import prompts
from wherry_apps.interview.service.opened import Interview


class PartOfPost(BaseModel):
    """What a model finds in one chunk of a post."""

    required_skills: list[str] = Field(default_factory=list)
    preferred_skills: list[str] = Field(default_factory=list)
    domain_requirements: list[str] = Field(default_factory=list)
    dynamic_evaluation_criteria: list[str] = Field(default_factory=list)
    competency_weights: dict[str, float] = Field(default_factory=dict)
    main_responsibilities: list[str] = Field(default_factory=list)
    position_type: str | None = Field(None, max_length=100)
    seniority_level: str | None = Field(None, max_length=50)


def analysed(on: Interview, title: str, text: str, pieces: list[Piece]) -> tuple[Analysis, dict[str, Any] | None]:
    """Return what a post asks for, and why rules did it where a model was asked and could not."""
    if on.offline:
        return posts.analyse(title, text), None
    try:
        found = [_asked(on, title, piece) for piece in pieces]
    except wherry.WherryError as error:
        return posts.analyse(title, text), {"asked": on.chat_name, "why": error.what}
    return posts.merged([part.model_dump() for part in found], on.chat_name), None


def _asked(on: Interview, title: str, piece: Piece) -> PartOfPost:
    told = prompts.messages(prompts.ANALYSE, title=title, part=piece.text)
    return wherry.structured(on.chat, told, PartOfPost)
