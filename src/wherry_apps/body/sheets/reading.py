"""Reading a sheet: find its fields whatever their shape, judge each, and say everything that is wrong at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import wherry
from wherry_apps.body.rules import FAT, MUSCLE, PARTS, Limits, body_types, grades_of
from wherry_apps.body.sheets import fields as known
from wherry_apps.body.sheets.checks import checks
from wherry_apps.body.sheets.values import Unreadable, grade_or_weight, numeric, read_sex

_MISSING = "is required"
_NEXT = "correct these fields of the sheet, then run the same again"


@dataclass(frozen=True)
class Sheet:
    """A sheet that was read.

    measurements: by the keys of the flat sheet, with the untouched original under `_raw`. nulls: optional fields
    that were given as null. ignored: keys that mean nothing here; they stay in the original. warnings: what does not
    add up, one sentence each.
    """

    measurements: dict[str, Any]
    nulls: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the sheet as a JSON object, without the original."""
        shown = {key: value for key, value in self.measurements.items() if key != known.RAW}
        return {
            "measurements": shown,
            "nulls": list(self.nulls),
            "ignored": list(self.ignored),
            "warnings": list(self.warnings),
        }


@dataclass
class _Found:
    """What was found so far: field -> value as written, and what is wrong: field -> in words."""

    values: dict[str, Any] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)

    def put(self, name: str, value: Any) -> None:
        """Keep a value; the same field twice is fine only where both say the same."""
        if name in self.values and self.values[name] is not None and value is not None and self.values[name] != value:
            self.wrong[name] = "is given twice with different values"
        elif self.values.get(name) is None:
            self.values[name] = value


def read_sheet(raw: Any, limits: Limits | None = None) -> Sheet:
    """Return a sheet with its types, from any of the shapes.

    Raises BadRecord listing every field that is missing, null, out of bounds or needs confirmation.
    """
    limits = limits or Limits()
    if not isinstance(raw, Mapping):
        raise refused({"measurements": "is no JSON object"})
    _require_plain(raw)
    found = _Found()
    _gather(raw, found)
    nulls = tuple(name for name in known.OPTIONAL if name in found.values and found.values[name] is None)
    measured = _judged(found, limits)
    if found.wrong:
        raise refused(found.wrong)
    warnings = checks(measured)
    _typed(measured, limits)
    measured[known.RAW] = dict(raw)
    return Sheet(measured, nulls, tuple(found.ignored), warnings)


def corrected(measurements: Mapping[str, Any], changes: Mapping[str, Any], limits: Limits | None = None) -> Sheet:
    """Return a stored sheet with some fields written anew; the first original stays. Raises BadRecord."""
    kept = {name: value for name, value in measurements.items() if name in known.FIELDS and name not in known.TYPES}
    supplied = measurements.get(known.SUPPLIED) or {}
    _require_plain(changes)
    fresh = _Found()
    _gather(changes, fresh)
    if fresh.wrong:
        raise refused(fresh.wrong)
    if fresh.ignored:
        raise refused(dict.fromkeys(fresh.ignored, "is no field of a sheet"))
    sheet = read_sheet({**kept, **supplied, **fresh.values}, limits)
    sheet.measurements[known.RAW] = measurements.get(known.RAW, dict(measurements))
    return sheet


def refused(wrong: Mapping[str, str]) -> wherry.BadRecord:
    """Return the error that lists fields with what is wrong about each."""
    listed = ", ".join(f"{name} {why}" for name, why in wrong.items())
    return wherry.BadRecord(f"the sheet cannot be taken: {listed}", fields=list(wrong), left="nothing", next=_NEXT)


def _gather(raw: Mapping[str, Any], found: _Found, depth: int = 0) -> None:
    """Put every field of a shape where the flat sheet has it."""
    for key, value in raw.items():
        name = str(key).strip()
        if name == known.RAW:
            continue
        part, _, tissue = name.rpartition(" ")
        if name in known.GROUPS and depth == 0:
            if isinstance(value, Mapping):
                _gather(value, found, depth + 1)
            elif value is not None:
                found.wrong[name] = "is no JSON object"
        elif part in known.PARTS and tissue in known.TISSUES:
            found.values.setdefault(known.TISSUES[tissue], {})
            _put_part(found, known.TISSUES[tissue], part, value)
        elif (field_name := known.ALIASES.get(name, name)) in (MUSCLE, FAT):
            _put_parts(found, field_name, value)
        elif field_name in known.FIELDS:
            found.put(field_name, value)
        else:
            found.ignored.append(name)


def _put_parts(found: _Found, name: str, value: Any) -> None:
    if value is None:
        found.values.setdefault(name, None)
    elif not isinstance(value, Mapping):
        found.wrong[name] = "is no JSON object of the five parts"
    else:
        if found.values.get(name) is None:
            found.values[name] = {}
        for part, grade in value.items():
            _put_part(found, name, str(part).strip(), grade)


def _put_part(found: _Found, name: str, part: str, value: Any) -> None:
    if part not in known.PARTS:
        found.wrong[f"{name}.{part}"] = "is no part of the body that is graded"
        return
    held, own = found.values[name], known.PARTS[part]
    if held.get(own) is not None and value is not None and held[own] != value:
        found.wrong[f"{name}.{own}"] = "is given twice with different values"
    elif held.get(own) is None:
        held[own] = value


def _judged(found: _Found, limits: Limits) -> dict[str, Any]:
    """Return the fields with values of the right kind; what is wrong is added to `found.wrong`."""
    measured: dict[str, Any] = {}
    for name in known.FIELDS:
        if found.values.get(name) is None:
            if name in known.REQUIRED:
                found.wrong.setdefault(name, "is null" if name in found.values else _MISSING)
            elif name in found.values:
                measured[name] = None
            continue
        try:
            measured[name] = _value(name, found.values[name], limits)
        except Unreadable as error:
            found.wrong |= {f"{name}.{part}" if part else name: why for part, why in error.why.items()}
    _require_consistent(measured, found)
    return measured


def _value(name: str, value: Any, limits: Limits) -> Any:
    if name in known.NUMBERS:
        return numeric(value, known.NUMBERS[name])
    if name == "성별":
        return read_sex(value)
    if name in (MUSCLE, FAT):
        return _grades(value, limits.muscle_share if name == MUSCLE else limits.fat_share, limits)
    if not isinstance(value, str) or not 0 < len(value.strip()) <= 100:
        raise Unreadable("is no name of a type")
    return value.strip()


def _grades(values: Mapping[str, Any], share: tuple[float, ...], limits: Limits) -> dict[str, str | None]:
    """Return the grade of every part that was given, whether as a grade or in kilograms."""
    wrong: dict[str, str] = {}
    read: dict[str, str | float | None] = {}
    for part, value in values.items():
        try:
            read[part] = None if value is None else grade_or_weight(value)
        except Unreadable as error:
            wrong[part] = error.why[""]
    weighed = {part: value for part, value in read.items() if isinstance(value, float)}
    if weighed and len(weighed) < len(PARTS):
        # Grades stand; what a lone weight means nobody can tell.
        wrong |= dict.fromkeys(weighed, "is a weight beside grades or missing parts and needs confirmation")
    if wrong:
        raise Unreadable(wrong)
    if not weighed:
        if not any(read.values()):
            raise Unreadable("holds no grade")
        return {part: value for part, value in read.items() if not isinstance(value, float)}
    try:
        return dict(grades_of(weighed, share, limits.spread))
    except ValueError as error:
        raise Unreadable(str(error)) from None


def _require_consistent(measured: dict[str, Any], found: _Found) -> None:
    weight = measured.get("체중")
    for name in ("골격근량", "체지방", "제지방량"):
        part = measured.get(name)
        if weight is not None and part is not None and part > weight:
            found.wrong[name] = "is more than 체중"
    if measured.get("골격근량") == 0:
        found.wrong["골격근량"] = "is 0"


def _typed(measured: dict[str, Any], limits: Limits) -> None:
    """Put the computed types into the sheet; what it said itself is kept beside them."""
    supplied = {name: measured.pop(name) for name in known.TYPES if name in measured}
    if any(supplied.values()):
        measured[known.SUPPLIED] = supplied
    types = body_types(measured, limits)
    measured |= {"body_type1": types.body_type1, "body_type2": types.body_type2}


def _require_plain(raw: Mapping[str, Any]) -> None:
    """Raise BadRecord for what PostgreSQL's JSON cannot keep: NUL, half a surrogate pair, numbers without end."""
    try:
        text = json.dumps(raw, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (ValueError, TypeError, RecursionError, UnicodeEncodeError):
        raise refused(_unkept(raw)) from None
    if "\\u0000" in text:
        raise refused(_unkept(raw))


def _unkept(raw: Mapping[str, Any]) -> dict[str, str]:
    """Return which fields of a sheet cannot be kept."""
    found: dict[str, str] = {}
    for key, value in raw.items():
        try:
            text = json.dumps({str(key): value}, ensure_ascii=False, allow_nan=False)
            text.encode()
            bad = "\\u0000" in text
        except (ValueError, TypeError, RecursionError, UnicodeEncodeError):
            bad = True
        if bad:
            found[str(key).encode(errors="backslashreplace").decode().replace("\x00", "\\0")] = "cannot be kept as JSON"
    return found or {"measurements": "cannot be kept as JSON"}
