"""The start-up probe: what a model really does, found out before anything is paid for.

Two small requests show the width and length of its vectors, whether they are finite, whether equal texts get
equal bits, and whether a text gets the same vector in a batch as alone, in its place. A third, longer than
the model reads, must be refused: a model that reads the beginning and says nothing loses documents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from wherry.errors import BadAnswer, Rejected, TimedOut
from wherry.models import checking

# Three texts of two languages; the first comes back at the end of the batch.
TEXTS = (
    "공복 혈당은 여덟 시간 금식한 뒤에 잽니다.",
    "Blood pressure is taken sitting, after a rest.",
    "간 수치 ALT 40 U/L",
)
SAME = 0.9999
# Below this a text in a batch has not a slightly different vector but another text's.
SIMILAR = 0.99
_TELLING_WIDTH = 16
Ask = Callable[[Sequence[str]], np.ndarray]
TooLong = Literal["refused", "read", "cut in silence", "not tested"]


@dataclass(frozen=True)
class Probe:
    """What a model was found to do.

    width: components as sent, before any cut. unit: whether they arrive with unit length. batch_varies: a text
    gets slightly another vector in company, so texts are sent one by one. equal_bits: equal texts of one
    request get equal vectors to the bit. too_long: what happens to a text beyond the documented limit.
    """

    width: int
    unit: bool
    batch_varies: bool = False
    equal_bits: bool = True
    too_long: TooLong = "not tested"

    def to_dict(self) -> dict[str, Any]:
        """Return the findings as a JSON object."""
        return asdict(self)


def probed(ask: Ask, items: int, text_tokens: int | None, where: str) -> Probe:
    """Probe a model. ask: one request, without retry of what is refused. items: texts per request.

    Raises BadAnswer when its vectors cannot be used, or what the request raises.
    """
    first = TEXTS[0]
    rows = _asked(ask, [*TEXTS, first], items)
    alone = _asked(ask, [TEXTS[1]], items)
    checking.require_shape(rows, 4, None, where)
    checking.require_shape(alone, 1, rows.shape[1], where)
    if checking.faults(np.concatenate([rows, alone]), list(range(5)), where):
        raise BadAnswer("the model answers with vectors that are zero or not finite", where=where, next=checking.NEXT)
    _require_order(rows, alone, where)
    found = Probe(
        width=rows.shape[1],
        unit=checking.is_unit(rows),
        batch_varies=items > 1 and checking.cosine(rows[1], alone[0]) < SAME,
        equal_bits=rows[0].tobytes() == rows[3].tobytes(),
    )
    return found if text_tokens is None else replace(found, too_long=_too_long(ask, text_tokens))


def _asked(ask: Ask, texts: Sequence[str], items: int) -> np.ndarray:
    parts = [ask(texts[n : n + items]) for n in range(0, len(texts), items)]
    return np.concatenate(parts) if len({part.shape[1:] for part in parts}) == 1 else parts[0]


def _require_order(rows: np.ndarray, alone: np.ndarray, where: str) -> None:
    if checking.cosine(rows[0], rows[3]) < SAME:
        raise BadAnswer("the model gives equal texts different vectors", where=where, next=checking.NEXT)
    if checking.cosine(rows[1], alone[0]) < SIMILAR:
        raise BadAnswer(
            "the model gives a text another vector in a batch than alone; it may answer in another order",
            where=where,
            next="try ?batch=1, or another server",
        )
    # In a handful of components two texts may meet by chance.
    if rows.shape[1] >= _TELLING_WIDTH and rows[0].tobytes() == rows[1].tobytes():
        raise BadAnswer("the model gives different texts the same vector", where=where, next=checking.NEXT)


def _too_long(ask: Ask, text_tokens: int) -> TooLong:
    # A word is at least one token, so this is longer than the model reads; only the last word differs.
    beginning = " ".join(f"n{number % 10}" for number in range(text_tokens + 16))
    try:
        vectors = [ask([f"{beginning} {end}"])[0] for end in ("혈압", "glucose")]
    except Rejected:
        return "refused"
    except TimedOut:
        return "not tested"
    return "cut in silence" if vectors[0].tobytes() == vectors[1].tobytes() else "read"
