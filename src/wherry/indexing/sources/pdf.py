"""PDF: the text of each page, through PDFium."""

from __future__ import annotations

import re
import threading
from typing import Any

from wherry.errors import BadRecord
from wherry.indexing.base import Document, Part
from wherry.indexing.sources.decoding import tidy

# PDFium may be used by one thread at a time.
_one_at_a_time = threading.Lock()
# What PDFium writes for a hyphen at the end of a line, and signs no text needs.
_HYPHEN = re.compile("[\ufffe\x02\u00ad](?:\n|$)")
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_TITLE = 300
# What programs write when nobody gave a title.
_NO_TITLE = re.compile(
    r"microsoft word - .*|untitled.*|제목 ?없음.*|(?:문서|document) ?\d*"
    r"|.*\.(?:docx?|hwpx?|pptx?|xlsx?|pdf|indd|rtf|odt|tmp)",
    re.IGNORECASE,
)


def read_pdf(document: str, data: bytes) -> Document:
    """Return a PDF as one part per page that has text.

    Raises BadRecord where it is damaged or encrypted, and where no page holds text.
    """
    if not data:
        return Document(document, (), None, {"format": "pdf"})
    with _one_at_a_time:
        opened = _open(document, data)
        try:
            texts = _texts(document, opened)
            title = _title(opened)
        finally:
            opened.close()
    parts = tuple(Part(text, page) for page, text in enumerate(texts, 1) if text.strip())
    if texts and not parts:
        raise BadRecord(
            f"none of its {len(texts):,} pages holds text: they are pictures",
            where=document,
            next="recognise the text first (OCR), or leave the file out with an exclude pattern",
        )
    return Document(document, parts, title, {"format": "pdf"})


def _open(document: str, data: bytes) -> Any:
    import pypdfium2 as pdfium

    try:
        return pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower():
            raise BadRecord(
                "the PDF is encrypted and wants a password",
                where=document,
                next="store it without a password, or leave it out with an exclude pattern",
            ) from None
        raise BadRecord(
            f"the PDF cannot be opened: {error}", where=document, next="repair or replace the file"
        ) from None


def _title(opened: Any) -> str | None:
    try:
        title = _cleaned(opened.get_metadata_value("Title")).strip()[:_TITLE]
    except UnicodeDecodeError:
        # A damaged title is none; the text may be whole.
        return None
    return title if title and not _NO_TITLE.fullmatch(title) else None


def _texts(document: str, opened: Any) -> list[str]:
    import pypdfium2 as pdfium

    texts = []
    for number in range(len(opened)):
        try:
            page = opened[number]
            text = page.get_textpage()
            texts.append(_cleaned(text.get_text_bounded()))
        except (pdfium.PdfiumError, UnicodeDecodeError) as error:
            raise BadRecord(
                f"page {number + 1} of the PDF cannot be read: {error}", where=document, next="repair the file"
            ) from None
        # Pages are closed as they are read: a long file stays small in memory.
        text.close()
        page.close()
    return texts


def _cleaned(text: str) -> str:
    return _CONTROL.sub("", _SURROGATE.sub("�", _HYPHEN.sub("", tidy(text))))
