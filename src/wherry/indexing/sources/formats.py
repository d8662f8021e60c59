"""Which parser reads which file."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

from wherry.errors import BadRecord
from wherry.indexing.base import Document
from wherry.indexing.sources.html import read_html
from wherry.indexing.sources.markdown import read_markdown, read_text
from wherry.indexing.sources.pdf import read_pdf

# Whoever changes what a parser returns raises this: every document is then read again, and embedded only
# where its text changed.
VERSION = 1
Read = Callable[[str, bytes], Document]
READERS: dict[str, Read] = {
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".mdx": read_markdown,
    ".txt": read_text,
    ".text": read_text,
    ".log": read_text,
    ".rst": read_text,
    ".pdf": read_pdf,
    ".html": read_html,
    ".htm": read_html,
    ".xhtml": read_html,
}
TABLES = frozenset({".csv", ".tsv", ".jsonl", ".ndjson"})
# Where nothing reads them, the advice is another than for a text in a strange encoding.
_OFFICE = frozenset({".doc", ".docx", ".hwp", ".hwpx", ".odt", ".ppt", ".pptx", ".rtf", ".xls", ".xlsx", ".ods"})
KNOWN = READERS.keys() | TABLES


def suffix_of(name: str) -> str:
    """Return the suffix of a file name in small letters, with its dot; empty where there is none."""
    at = name.rfind(".")
    return name[at:].lower() if at > 0 else ""


def reader_of(name: str) -> Read:
    """Return what reads a file of this name; a kind that is not known is read as text."""
    suffix = suffix_of(name)
    return _refuse if suffix in _OFFICE else READERS.get(suffix, read_text)


def read_document(name: str, data: bytes) -> Document:
    """Return what a file of this name holds, for a source of your own. Raises BadRecord where it cannot be read."""
    return reader_of(name)(name, data)


def _refuse(document: str, data: bytes) -> Document:
    raise BadRecord(
        "files of office programs are not read",
        where=document,
        next="export it as PDF, HTML, CSV or text and index that",
    )


def identity() -> str:
    """Return name and version of everything that turns files into documents."""
    return f"wherry-files/{VERSION} pypdfium2/{version('pypdfium2')} selectolax/{version('selectolax')}"
