"""Ids: which point holds which record, and back.

Qdrant's points have unsigned 64-bit integers or UUIDs as ids and fold the spellings of one UUID
together. An id is its own point only in the one spelling the engine gives back (`5`,
`6ba7b810-9dad-11d1-80b4-00c04fd430c8`); every other text (`0004`, `-1`, `abc`, an upper-case UUID) goes
to the point whose UUID is a hash of it, and the payload keeps the text under `_wherry_id`.

Hashed UUIDs are of version 8, the version for custom schemes: the usual kinds of UUID can never meet
one, so only points of version 8 have to be looked at for a clash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any
from uuid import UUID

PointId = int | str
# As the engine in this process names a point. Its text costs more than reading the payload: only who needs it makes it.
Found = PointId | UUID

ID_KEY = "_wherry_id"
_NAMESPACE = b"wherry.stores.qdrant\x00"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_BEYOND = 1 << 64
_LONGEST_INTEGER = 20
_VERSION_AT = 14
# In a UUID as a number: all but version and variant, and what a hashed one has there.
_UNMARKED, _MARKS = ~(0xF << 76 | 0xF << 60), 0x8 << 76 | 0xA << 60
_NONE = object()


def point_of(record_id: str) -> PointId:
    """Return the point that holds a record: an integer, or a UUID in lower case with hyphens."""
    native = _native(record_id)
    return _hashed(record_id) if native is None else native


def points_of(record_ids: Iterable[str]) -> list[PointId]:
    """Return the points of many records, in order."""
    return [point_of(record_id) for record_id in record_ids]


def plain(point: Found) -> PointId:
    """Return a point's id in the form in which points are asked for."""
    return str(point) if isinstance(point, UUID) else point


def is_hashed(point: PointId) -> bool:
    """Tell whether a point's id has the form of a hashed one; another tool's may have it too."""
    return isinstance(point, str) and point[_VERSION_AT] == "8"


def owner_of(point: Found, payload: dict[str, Any]) -> str | None:
    """Return the id of the record a point holds, taking `_wherry_id` out of the payload.

    None when the payload names an id that belongs to another point: such a record could be read,
    but never be found again under its id.
    """
    owner = payload.pop(ID_KEY, _NONE)
    if owner is _NONE:
        return str(point)
    if not isinstance(owner, str) or _native(owner) is not None:
        return None
    proved = _number(owner) == point.int if isinstance(point, UUID) else _hashed(owner) == point
    return owner if proved else None


def clash_in(record_ids: Sequence[str], points: Sequence[PointId]) -> tuple[str, str] | None:
    """Return two different ids of one batch that go to the same point, if there are such."""
    if len(set(points)) == len(points):
        return None
    seen: dict[PointId, str] = {}
    for record_id, point in zip(record_ids, points, strict=True):
        if seen.setdefault(point, record_id) != record_id:
            return seen[point], record_id
    return None


def _native(record_id: str) -> PointId | None:
    if record_id.isdigit() and record_id.isascii():
        plain = len(record_id) <= _LONGEST_INTEGER and (record_id[0] != "0" or record_id == "0")
        number = int(record_id) if plain else _BEYOND
        return number if number < _BEYOND else None
    return record_id if len(record_id) == 36 and _UUID.fullmatch(record_id) else None


def _hashed(record_id: str) -> str:
    h = f"{_number(record_id):032x}"
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def _number(record_id: str) -> int:
    return int.from_bytes(sha256(_NAMESPACE + record_id.encode()).digest()[:16], "big") & _UNMARKED | _MARKS
