"""A file that comes in: PDF or text, told by its content and never by its name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import wherry
from wherry_apps.interview.forms import storable
from wherry_apps.interview.rules.text import clean

MOST_BYTES = 10 * 1024 * 1024
_PDF = b"%PDF-"
# A PDF may begin with a few bytes that are none of its own.
_HEAD = 1_024
_NEXT = "send a PDF with text in it, or a text file"


class BadFile(wherry.BadRecord):
    """The file is no PDF and no text, or too large."""


@dataclass(frozen=True)
class Post:
    """A job post as it came in. text: cleaned. name: of the file, empty for text that was typed,
    which has no digest either."""

    text: str
    sha256: str | None
    name: str


def require_fit(data: bytes, name: str) -> None:
    """Raise BadFile where the data is too large, empty, or neither PDF nor text; nothing else was done by then."""
    if len(data) > MOST_BYTES:
        raise BadFile(f"the file has {len(data):,} bytes; {MOST_BYTES:,} are the most", where=name, fields=["file"])
    if not data.strip():
        raise BadFile("the file is empty", where=name, fields=["file"], next=_NEXT)
    if not _is_pdf(data) and _looks_binary(data):
        raise BadFile("the file is no PDF and no text, whatever its name says", where=name, fields=["file"], next=_NEXT)


def read(data: bytes, name: str) -> Post:
    """Return the text of a PDF or a text file. Raises BadFile, and BadRecord where a PDF holds no text."""
    require_fit(data, name)
    document = _as_pdf(data, name) if _is_pdf(data) else _as_text(data, name)
    text = clean("\n\n".join(part.text for part in document.parts))
    if not text:
        raise _no_text(name)
    # The name is the sender's: only what a column keeps of it is kept.
    return Post(text, hashlib.sha256(data).hexdigest(), name[:500] if storable(name) else "")


def _is_pdf(data: bytes) -> bool:
    return _PDF in data[:_HEAD]


def _looks_binary(data: bytes) -> bool:
    """Tell whether zero bytes stand where no UTF-16 or UTF-32 mark explains them."""
    return b"\x00" in data[:_HEAD] and not data.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff"))


def _no_text(name: str) -> wherry.BadRecord:
    return wherry.BadRecord(
        "no text can be taken from the file: scanned pages need OCR (text recognition) first",
        where=name,
        left="nothing was stored",
        fields=["file"],
        next="recognise the text first, then upload the result",
    )


def _as_pdf(data: bytes, name: str) -> wherry.Document:
    try:
        return wherry.read_document("post.pdf", data)
    except wherry.BadRecord as error:
        # What the reader advises where every page is a picture.
        if "OCR" in error.next:
            raise _no_text(name) from None
        raise


def _as_text(data: bytes, name: str) -> wherry.Document:
    try:
        return wherry.read_document("post.txt", data)
    except wherry.BadRecord as error:
        raise BadFile(f"no PDF, and no text: {error.what}", where=name, fields=["file"], next=_NEXT) from None
