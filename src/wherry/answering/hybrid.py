"""Searches that read words: the lexical leg alone, or both legs fused by how far each is trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from wherry.answering.agreement import Agreement
from wherry.answering.fusion import UNMEASURED, Fused, fuse
from wherry.answering.hits import Hit, Part, decoded, of_vectors
from wherry.record import vectors_of
from wherry.space import Space
from wherry.stores import exact
from wherry.stores.base import Readable
from wherry.stores.lexical import FILL, FusedHit, Fusion, Ranked

__all__ = ["DEPTH", "Legs", "alone", "depth", "fused", "hits_of", "of_store", "of_vectors", "weights_of"]

# Each leg is asked for at least so many records before they are fused.
DEPTH = 50


@dataclass(frozen=True)
class Legs:
    """What the legs of one search found, and what each weighs. vector: None where it was left out, and why."""

    words: Sequence[Ranked]
    vector: Sequence[Hit] | None
    weights: Mapping[str, float]
    notes: tuple[str, ...] = ()


def depth(k: int) -> int:
    """Return how many records each leg is asked for."""
    return max(DEPTH, 2 * k)


def weights_of(
    agreement: Agreement | None, start: Mapping[str, float] | None = None
) -> tuple[Mapping[str, float], tuple[str, ...]]:
    """Return the weight of each leg, and what a reader should know about them.

    start: weights to begin with; what was measured may lower one of them, and raises none.
    """
    if agreement is None:
        if start is not None:
            return start, ()
        return UNMEASURED, ("too few sentences to measure the vector leg by: words decide",)
    weights = agreement.weights if start is None else lowered(start, agreement.weights)
    if weights.get("vector", 0.0) == 0.0:
        found = ", ".join(f"{leg} {value:.2f}" for leg, value in agreement.quality.items() if leg != "hybrid")
        return weights, (f"the vector leg weighs nothing here: it adds nothing to the words ({found})",)
    return weights, ()


def lowered(start: Mapping[str, float], measured: Mapping[str, float]) -> Mapping[str, float]:
    """Return starting weights with one leg lowered until the two stand in the ratio that was measured best."""
    words, vector = start["lexical"], start["vector"]
    of_words, of_vector = measured.get("lexical", 0.0), measured.get("vector", 0.0)
    if of_vector * words < of_words * vector:
        return {"lexical": words, "vector": words * of_vector / of_words}
    return {"lexical": vector * of_words / of_vector if of_vector else words, "vector": vector}


def fused(legs: Legs, k: int) -> list[Fused]:
    """Return the k best records of both legs; where they hold fewer, the vector leg fills up."""
    ranked = {"lexical": [(hit.id, hit.score) for hit in legs.words]}
    if legs.vector is not None:
        ranked["vector"] = [(hit.id, hit.score) for hit in legs.vector]
    found = fuse(ranked, legs.weights, k)
    if len(found) == k or legs.vector is None:
        return found
    there = {hit.id for hit in found}
    rest = fuse({"vector": ranked["vector"]}, {"vector": FILL})
    return found + [hit for hit in rest if hit.id not in there][: k - len(found)]


def hits_of(
    store: Readable, chosen: Sequence[Fused], vector: Sequence[Hit] | None, query: np.ndarray | None, space: Space
) -> tuple[Hit, ...]:
    """Return the chosen records as hits; what the vector leg did not bring along is fetched.

    query: the question's vector, by which fetched records get their similarity; None where there is none. A record
    that was deleted in the meantime is left out.
    """
    brought = {hit.id: hit for hit in vector or ()}
    missing = [hit.id for hit in chosen if hit.id not in brought]
    if missing:
        brought |= {hit.id: hit for hit in _fetched(store, missing, query, space)}
    return tuple(_hit(brought[one.id], one) for one in chosen if one.id in brought)


def of_store(found: Sequence[FusedHit], fusion: Fusion) -> tuple[Hit, ...]:
    """Return what a store fused by itself as public hits."""
    return tuple(_of_store(one, fusion) for one in found)


def alone(words: Sequence[Ranked]) -> list[Fused]:
    """Return what the lexical leg found by itself: its score is the score."""
    legs = fuse({"lexical": [(hit.id, hit.score) for hit in words]}, {"lexical": 1.0})
    return [Fused(hit.id, hit.parts["lexical"].score, hit.parts) for hit in legs]


def _hit(record: Hit, one: Fused) -> Hit:
    parts = {leg: Part(standing.rank, standing.score, standing.share) for leg, standing in one.parts.items()}
    if len(parts) == 1 and one.score == next(iter(parts.values())).score:
        parts = {leg: Part(part.rank, part.score, part.score) for leg, part in parts.items()}
    return Hit(
        record.id, record.similarity, record.distance, record.text, record.metadata, one.score, parts, record.metric
    )


def _of_store(one: FusedHit, fusion: Fusion) -> Hit:
    hit, parts = one.hit, {}
    if one.by_words is not None:
        score = fusion.words[one.by_words - 1].score
        parts["lexical"] = Part(one.by_words, score, _share("lexical", one.by_words, fusion))
    if one.by_vector is not None:
        parts["vector"] = Part(one.by_vector, hit.similarity, _share("vector", one.by_vector, fusion))
    score = sum(part.share for part in parts.values())
    if not score and one.by_vector is not None:
        score = FILL / (fusion.smoothing + one.by_vector)
    return Hit(hit.id, hit.similarity, hit.distance, hit.text, decoded(hit.metadata), score, parts, hit.metric)


def _share(leg: str, rank: int, fusion: Fusion) -> float:
    return fusion.weights.get(leg, 0.0) / (fusion.smoothing + rank)


def _fetched(store: Readable, ids: Sequence[str], query: np.ndarray | None, space: Space) -> list[Hit]:
    batch = store.fetch(pa.array(ids, type=pa.string())).records
    apart: Sequence[float | None] = [None] * batch.num_rows
    metric = None
    if query is not None and batch.num_rows:
        asked = exact.checked(query, 1, space, store.address)
        apart, metric = exact.distances(vectors_of(batch), asked).tolist(), asked.metric
    columns = (batch.column(name).to_pylist() for name in ("id", "text", "metadata"))
    found = []
    for name, text, metadata, distance in zip(*columns, apart, strict=True):
        near = None if distance is None or metric is None else exact.similarity(distance, metric)
        found.append(Hit(name, near, distance, text, decoded(metadata), 0.0, {}, metric))
    return found
