"""The week a plan is for: it begins on the Monday after today, where the person lives."""

from __future__ import annotations

import os
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import wherry

DAYS = ("월요일", "화요일", "수요일", "목요일", "금요일", "토요일", "일요일")
ZONE = "Asia/Seoul"


def today(zone: str | None = None) -> date:
    """Return today's date in a time zone; BODY_TIMEZONE by default, else Seoul. Raises Usage for an unknown one."""
    name = zone or os.environ.get("BODY_TIMEZONE") or ZONE
    try:
        return datetime.now(ZoneInfo(name)).date()
    except (ValueError, OSError, KeyError):
        raise wherry.Usage(f"there is no time zone {name!r}", where="BODY_TIMEZONE", next=f"use {ZONE}") from None


def week_after(day: date) -> tuple[date, date]:
    """Return Monday and Sunday of the week that begins strictly after a day."""
    monday = day + timedelta(days=7 - day.weekday())
    return monday, monday + timedelta(days=6)


def week_from(start: date) -> tuple[date, date]:
    """Return a week by its Monday. Raises BadRecord for another day."""
    if start.weekday() != 0:
        raise wherry.BadRecord(
            f"{start.isoformat()} is a {DAYS[start.weekday()]}, and a week begins on a Monday",
            fields=["start_date"],
            left="nothing",
            next=f"use {(start - timedelta(days=start.weekday())).isoformat()}",
        )
    try:
        return start, start + timedelta(days=6)
    except OverflowError:
        raise wherry.BadRecord("the week ends after the last year there is", fields=["start_date"]) from None


def read_date(text: str, name: str) -> date:
    """Return a date written as 2026-03-02. Raises BadRecord naming the field."""
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise wherry.BadRecord(f"{name} is no date", fields=[name], left="nothing", next="write 2026-03-02") from None
