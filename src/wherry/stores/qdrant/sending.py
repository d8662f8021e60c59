"""How many points go into one request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

# A server takes 32 MiB per request; a quarter is left for estimates that are too low.
REQUEST_BYTES = 24 << 20
_MOST_ROWS = 1000
# A component as JSON: up to 20 digits of a double, sign, exponent and comma.
_COMPONENT_BYTES = 24
_POINT_BYTES = 64


def slices(payloads: Sequence[dict[str, Any]], dimension: int, limit: int | None) -> Iterator[tuple[int, int]]:
    """Yield (first, end) of requests that stay below REQUEST_BYTES and `limit` points.

    A single point beyond REQUEST_BYTES goes alone: the server has the last word.
    """
    most = min(_MOST_ROWS, limit or _MOST_ROWS)
    first, size = 0, 0
    for row, payload in enumerate(payloads):
        width = len(orjson.dumps(payload)) + dimension * _COMPONENT_BYTES + _POINT_BYTES
        if row > first and (row - first == most or size + width > REQUEST_BYTES):
            yield first, row
            first, size = row, 0
        size += width
    if first < len(payloads):
        yield first, len(payloads)
