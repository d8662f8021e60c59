"""Vectors of chunks: five at a time, each with the embedder that made it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import wherry
from wherry_apps.interview.service.opened import Interview
from wherry_apps.interview.tables import DIMENSION

BATCH, MOST_CHARACTERS = 5, 20_000
Vector = np.ndarray


def card(on: Interview) -> dict[str, Any]:
    """Return the embedder as rows record it: {provider, model, dim, normalised}. Raises SpaceMismatch.

    An embedder of another dimension needs a collection of its own: the column holds 1,024 components.
    """
    space = on.embedder.space()
    if space.dimension != DIMENSION:
        raise wherry.SpaceMismatch(
            f"{on.embedder_spec} makes vectors of {space.dimension} components; job_chunks holds {DIMENSION}",
            where="job_chunks.embedding",
            left="nothing was written",
            next=f"take an embedder of {DIMENSION} dimensions, or index into a collection of its own: wherry index",
        )
    found = {"provider": space.provider, "model": space.model, "dim": space.dimension}
    return {**found, "normalised": bool(space.normalised)}


def named(embedder: dict[str, Any] | None) -> str:
    """Return an embedder as people read it: provider and model."""
    if not embedder:
        return "an embedder that was not recorded"
    return f"{embedder.get('provider')}/{embedder.get('model')} ({embedder.get('dim')})"


def vectors(on: Interview, texts: Sequence[str]) -> list[Vector | wherry.WherryError]:
    """Return a vector (float32, 1,024 components) or an error for each text; a text is never cut."""
    found: list[Vector | wherry.WherryError] = []
    for start in range(0, len(texts), BATCH):
        found += _batch(on, texts[start : start + BATCH])
    return found


def query_vector(on: Interview, text: str) -> Vector:
    """Return the vector of a question. Raises BadRecord for one that is empty or too long, and what models raise."""
    _require_short(text, "the question")
    card(on)
    return np.asarray(on.embedder.embed_query(text), np.float32)


def cosine(on: Interview, one: str, other: str) -> float:
    """Return the cosine of two texts, -1 to 1."""
    a, b = np.asarray(on.embedder.embed([one, other]), np.float64)
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / length if length else 0.0


def _batch(on: Interview, texts: Sequence[str]) -> list[Vector | wherry.WherryError]:
    """Embed a batch; what stops all of it is the error of each of its texts."""
    errors: dict[int, wherry.WherryError] = {}
    for place, text in enumerate(texts):
        try:
            _require_short(text, f"chunk {place}")
        except wherry.BadRecord as error:
            errors[place] = error
    sent = [text for place, text in enumerate(texts) if place not in errors]
    try:
        came: list[Any] = on.embedder.embed_each(sent) if sent else []
    except wherry.WherryError as error:
        came = [error] * len(sent)
    answers = iter(came)
    return [errors[place] if place in errors else _fit(next(answers), on) for place in range(len(texts))]


def _fit(found: Any, on: Interview) -> Vector | wherry.WherryError:
    if isinstance(found, wherry.WherryError):
        return found
    vector = np.asarray(found, np.float32)
    if vector.shape != (DIMENSION,) or not np.isfinite(vector).all():
        return wherry.Integrity(f"{on.embedder_spec} answered with {vector.shape} components, not {DIMENSION}")
    return vector


def _require_short(text: str, what: str) -> None:
    if not text.strip():
        raise wherry.BadRecord(f"{what} is empty", fields=["query"])
    if len(text) > MOST_CHARACTERS:
        raise wherry.BadRecord(
            f"{what} has {len(text):,} characters; {MOST_CHARACTERS:,} are the most, and nothing is cut",
            fields=["query"],
        )
