"""What checkup values mean, what may be said about them, and what must not be repeated: the rules, without any store.

Bands are data (`bands.toml`); everything else is here: what counts as measured, how old a record may be, what is
masked before it is kept or sent, how alike a passage is, and in which order passages stand.
"""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import wherry

BANDS = "CHECKUP_BANDS"
FLOOR, MEDIUM, HIGH = 0.30, 0.35, 0.50
MONTHS = 36
_STALE_YEARS = 2
_OLDEST, _FIRST_YEAR = 120, 1900
STATUSES = ("normal", "borderline", "suspected")
WORDS = {"normal": "정상", "borderline": "경계", "suspected": "질환 의심", "": "기준표에 없는 범위"}
Status = Literal["normal", "borderline", "suspected", ""]

_RESIDENT = re.compile(r"(?<!\d)\d{6}\s?-?\s?\d{7}(?!\d)")
_CARD = re.compile(r"(?<![\d-])\d(?:[ -]?\d){12,18}(?![\d-])")


@dataclass(frozen=True)
class Band:
    """One item's bands, perhaps of one sex. ranges: status -> ranges, each {from, to} inclusive, {above, below} not."""

    key: str
    name: str
    unit: str
    group: str
    sex: str | None
    ranges: Mapping[str, Sequence[Mapping[str, float]]]

    def status(self, value: float) -> Status:
        """Return where a value lies, empty where no band holds it."""
        return next((s for s in STATUSES if any(_within(value, r) for r in self.ranges[s])), "")  # type: ignore[return-value]

    def words(self, status: str) -> str:
        """Return the band of a status as people write it."""
        return " 또는 ".join(_range_words(r) for r in self.ranges.get(status, ()))


@dataclass(frozen=True)
class Bands:
    """The reference bands. source, version: of the data file, told with every judgement."""

    source: str
    version: str
    items: tuple[Band, ...]

    def of(self, key: str, sex: str | None) -> Band | None:
        """Return the band of an item, None where there is none or the sex it needs is unknown."""
        return next((band for band in self.items if band.key == key and band.sex in (None, sex)), None)

    def names(self) -> dict[str, str]:
        """Return the items there are, as key -> name."""
        return {band.key: band.name for band in self.items}


@dataclass(frozen=True)
class Finding:
    """A measured value and where it lies. status: empty where no band holds it or the sex is unknown."""

    key: str
    name: str
    value: float
    unit: str
    group: str
    status: Status
    band: str = ""
    note: str = ""

    @property
    def abnormal(self) -> bool:
        """Whether it lies outside the normal band."""
        return self.status in ("borderline", "suspected")

    def line(self) -> str:
        """Return the finding as a person reads it."""
        said = self.note or WORDS[self.status]
        band = f" ({WORDS[self.status]} 기준 {self.band})" if self.band else ""
        return f"{self.name} {self.value:g} {self.unit}: {said}{band}"

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as a JSON object."""
        return dict(self.__dict__)


def bands() -> Bands:
    """Return the bands of CHECKUP_BANDS, else those that are shipped. Raises Usage for a file that cannot be read."""
    return _read(os.environ.get(BANDS) or str(Path(__file__).with_name("bands.toml")))


@cache
def _read(path: str) -> Bands:
    try:
        found = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        items = tuple(
            Band(i["key"], i["name"], i["unit"], i["group"], i.get("sex"), {s: i.get(s, []) for s in STATUSES})
            for i in found["item"]
        )
        return Bands(str(found["source"]), str(found["version"]), items)
    except (OSError, ValueError, KeyError) as error:
        raise wherry.Usage(f"the reference bands cannot be read: {error}", where=path) from None


def _within(value: float, limits: Mapping[str, float]) -> bool:
    return (
        value >= limits.get("from", value)
        and value <= limits.get("to", value)
        and not ("above" in limits and value <= limits["above"])
        and not ("below" in limits and value >= limits["below"])
    )


def _range_words(limits: Mapping[str, float]) -> str:
    words = {"from": "{:g} 이상", "above": "{:g} 초과", "to": "{:g} 이하", "below": "{:g} 미만"}
    return " ".join(text.format(limits[name]) for name, text in words.items() if name in limits)


def measured(value: object) -> float | None:
    """Return a value as a number, None for what was not measured: absent, zero, negative or no number at all."""
    if value is None or isinstance(value, bool):
        return None
    try:
        number = float(str(value).strip())
    except ValueError:
        return None
    return number if isfinite(number) and number > 0 else None


def findings(result: Mapping[str, Any], sex: str | None) -> list[Finding]:
    """Return every measured item of a checkup with where it lies, in the order of the bands."""
    found, table = [], bands()
    for key, name in table.names().items():
        value = measured(result.get(key))
        if value is None:
            continue
        band = table.of(key, sex)
        sample = next(b for b in table.items if b.key == key)
        status: Status = band.status(value) if band else ""
        note = "" if band else "성별을 알 수 없어 판정하지 않음"
        words = band.words(status) if band else ""
        found.append(Finding(key, name, value, sample.unit, sample.group, status, words, note))
    return found


def not_measured(result: Mapping[str, Any]) -> list[str]:
    """Return the names of items a checkup carries without having measured them."""
    return [name for key, name in bands().names().items() if key in result and measured(result[key]) is None]


def worst(found: Iterable[Finding]) -> Status:
    """Return the gravest status: of blood pressure, either value decides."""
    ranks = [STATUSES.index(f.status) for f in found if f.status]
    return STATUSES[max(ranks)] if ranks else ""  # type: ignore[return-value]


def sex_of(value: object) -> str | None:
    """Return M or F for however it is written, None where it is unknown."""
    word = str(value or "").strip().lower()
    if word in ("m", "male", "남", "남성", "남자", "1"):
        return "M"
    return "F" if word in ("f", "female", "여", "여성", "여자", "2") else None


def age_of(birth: object, today: date | None = None) -> int | None:
    """Return full years, None for a birth date that is absent, unreadable, of 1900 or before, or over 120 years ago."""
    born, now = _date(birth), today or date.today()
    if born is None or born.year <= _FIRST_YEAR or born > now:
        return None
    age = now.year - born.year - ((now.month, now.day) < (born.month, born.day))
    return age if age <= _OLDEST else None


def recent(results: Iterable[Mapping[str, Any]], today: date | None = None) -> list[Mapping[str, Any]]:
    """Return the records of the last 36 months, latest first; those without a date stand last."""
    now = today or date.today()
    year, month = divmod(now.year * 12 + now.month - 1 - MONTHS, 12)
    first = date(year, month + 1, min(now.day, 28))
    dated = [(_date(r.get("exam_date")), r) for r in results]
    kept = [(when, r) for when, r in dated if when is None or first <= when <= now]
    return [r for _, r in sorted(kept, key=lambda one: one[0] or date.min, reverse=True)]


def stale(result: Mapping[str, Any], today: date | None = None) -> bool:
    """Tell whether the exam lies two calendar years back or more."""
    when = _date(result.get("exam_date"))
    return when is not None and (today or date.today()).year - when.year >= _STALE_YEARS


def _date(value: object) -> date | None:
    digits = re.sub(r"\D", "", str(value or ""))
    try:
        return date(int(digits[:4]), int(digits[4:6] or 1), int(digits[6:8] or 1)) if len(digits) >= 4 else None
    except ValueError:
        return None


def masked(text: str) -> tuple[str, list[str]]:
    """Return a text without resident and card numbers, and what was masked, one warning each."""
    plain = unicodedata.normalize("NFKC", text) if re.search(r"[０-９]", text) else text
    shown, residents = _RESIDENT.subn("[주민등록번호 가림]", plain)
    cards = [found.group() for found in _CARD.finditer(shown) if _luhn(found.group())]
    for card in cards:
        shown = shown.replace(card, "[카드번호 가림]")
    warnings = ["주민등록번호로 보이는 숫자를 가렸습니다."] if residents else []
    return shown, warnings + (["카드번호로 보이는 숫자를 가렸습니다."] if cards else [])


def _luhn(text: str) -> bool:
    digits = [int(c) for c in text if c.isdigit()][::-1]
    doubled = [d if n % 2 == 0 else sum(divmod(2 * d, 10)) for n, d in enumerate(digits)]
    return 13 <= len(digits) <= 19 and sum(doubled) % 10 == 0


def label(similarity: float) -> str:
    """Return how alike: `high` from 0.50, `medium` from 0.35, else `low`."""
    return "high" if similarity >= HIGH else "medium" if similarity >= MEDIUM else "low"


def of_squared_l2(distance: float) -> float:
    """Return the cosine of two unit vectors from the squared distance an L2 index of FAISS tells: 1 - d/2."""
    return 1.0 - distance / 2.0


def text_hash(text: str) -> str:
    """Return the SHA-256 of a text as it is kept beside it."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Passage:
    """A passage of guidance. similarity: cosine with the question. source_type: `hospital` or `global`."""

    id: str
    text: str
    similarity: float
    source_type: str
    metadata: Mapping[str, Any]

    @property
    def title(self) -> str:
        """What the passage is cited as."""
        return str(self.first("title", "file_name", "source") or self.id)

    @property
    def page(self) -> str | None:
        """The page, or the sheet, as its document counts it."""
        found = self.first("page_label", "page", "sheet_name")
        return None if found is None else str(found)

    @property
    def file(self) -> str:
        """The file it stands in."""
        return str(self.first("file_name", "source", "title") or self.id)

    def first(self, *keys: str) -> Any:
        """Return the first of some metadata that is there, None for none."""
        return next((v for key in keys if (v := self.metadata.get(key)) not in (None, "")), None)

    def source(self) -> dict[str, Any]:
        """Return the passage as a chat answer names its sources."""
        return {
            "text": self.text[:500],
            "similarity": round(self.similarity, 6),
            "label": label(self.similarity),
            "title": self.title,
            "page": self.page,
            "category": self.first("category", "main_category"),
            "source_type": self.source_type,
        }

    def evidence(self) -> dict[str, Any]:
        """Return the passage as evidence; who published it and when only where the source says so."""
        year = self.first("published_year", "year")
        return {
            "source_document": self.file,
            "page": self.page,
            "citation": self.text[:100],
            "full_text": self.text,
            "similarity": round(self.similarity, 6),
            "organization": self.first("publisher", "organization"),
            "year": int(year) if str(year or "").isdigit() else None,
        }


def merged(passages: Iterable[Passage], k: int, floor: float = FLOOR) -> list[Passage]:
    """Return the best k: the hospital's first, then the common ones, each by similarity, without repeats.

    A repeat has the same source type, path and page, or the same text as a better one.
    """
    ranked = sorted(passages, key=lambda p: (p.source_type != "hospital", -p.similarity, p.id))
    kept: list[Passage] = []
    places: set[tuple[Any, ...]] = set()
    texts: set[str] = set()
    for one in ranked:
        path = one.first("file_path", "file_name", "source")
        # Pieces of one page are repeats only where they say which page: a file without pages has many pieces.
        place = (one.source_type, path, one.page) if path and one.page is not None else (one.id,)
        digest = text_hash(" ".join(one.text.split()))
        if one.similarity >= floor and place not in places and digest not in texts:
            kept.append(one)
            places.add(place)
            texts.add(digest)
    return kept[:k]


def evidence_query(
    found: Sequence[Finding],
    family_history: Sequence[str] = (),
    concerns: Sequence[str] = (),
    age: int | None = None,
    sex: str | None = None,
) -> str:
    """Return the question evidence is searched by: one line each for person, abnormal items, family and concerns."""
    person = " ".join(filter(None, (f"{age}세" if age is not None else "", {"M": "남성", "F": "여성"}.get(sex or ""))))
    lines = [person] if person else []
    lines += [f"{f.name} {f.value:g} {f.unit} {WORDS[f.status]}" for f in found if f.abnormal]
    lines += [f"가족력: {one}" for one in family_history if one.strip()]
    return "\n".join([*lines, *(f"걱정: {one}" for one in concerns if one.strip())])
