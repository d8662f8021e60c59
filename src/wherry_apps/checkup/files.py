"""Files as documents: PDF by page, workbooks by sheet, CSV, Markdown and text whole."""

from __future__ import annotations

import io
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import wherry
from wherry_apps.checkup.rules import masked

VERSION = 1
CHUNKER = "fixed?size=1000&overlap=200"
_MOST_BYTES = 200_000_000
_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_REL = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_ENCODINGS = ("utf-8-sig", "cp949")


@dataclass(frozen=True)
class Shelf:
    """The documents below a folder, for `wherry.index`.

    key: names the source; documents of two shelves never mix. metadata: what every document carries.
    each: path -> what that one carries besides.
    """

    key: str
    folder: Path
    metadata: Mapping[str, Any] = field(default_factory=dict)
    each: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    complete = True

    @property
    def name(self) -> str:
        """Return the name of the source."""
        return f"checkup {self.key}"

    @property
    def parser(self) -> str:
        """Return what reads the files, with what their metadata say."""
        return f"checkup-files/{VERSION} {dict(sorted(self.metadata.items()))}"

    def documents(self) -> Iterator[Found]:
        """Yield every file of a kind that is read, by its path, NFC-normalised."""
        if not self.folder.is_dir():
            raise wherry.Usage(
                "there is no such folder", where=str(self.folder), next="name the folder of the documents"
            )
        for path in sorted(p for p in self.folder.rglob("*") if p.suffix.lower() in READERS and p.is_file()):
            name = unicodedata.normalize("NFC", path.relative_to(self.folder).as_posix())
            if not any(part.startswith(".") for part in name.split("/")):
                yield Found(name, path, {**self.metadata, **self.each.get(name, {})})


@dataclass(frozen=True)
class Found:
    """One file that was shown and not read yet."""

    id: str
    path: Path
    metadata: Mapping[str, Any]

    @property
    def stamp(self) -> wherry.Stamp:
        """Return what tells without reading whether it changed."""
        seen = self.path.stat()
        return wherry.Stamp(seen.st_size, seen.st_mtime_ns, seen.st_ino)

    def bytes(self) -> bytes:
        """Return the file."""
        return self.path.read_bytes()

    def read(self, data: bytes) -> wherry.Document:
        """Parse the file. Raises BadRecord, saying why, when it cannot be."""
        suffix = Path(self.id).suffix.lower()
        # Whoever it names, numbers of people are neither stored nor sent.
        parts = tuple(replace(part, text=masked(part.text)[0]) for part in READERS[suffix](self.id, data))
        folders = self.id.split("/")[:-1]
        known = {
            "file_name": self.id.rpartition("/")[2], "file_path": self.id, "doc_type": suffix.removeprefix("."),
            "category": "/".join(folders) or None, "main_category": folders[0] if folders else None,
            "sub_category": folders[1] if len(folders) > 1 else None, **self.metadata,
        }  # fmt: skip
        return wherry.Document(self.id, parts, metadata={k: v for k, v in known.items() if v is not None})


Parts = tuple[wherry.Part, ...]


def _pdf(name: str, data: bytes) -> Parts:
    found = wherry.read_document(name, data).parts
    return tuple(wherry.Part(p.text, p.page, {"page_label": str(p.page)}) for p in found)


def _text(name: str, data: bytes) -> Parts:
    for encoding in _ENCODINGS:
        try:
            return (wherry.Part(data.decode(encoding)),)
        except UnicodeDecodeError:
            continue
    raise wherry.BadRecord("the text is neither UTF-8 nor CP949", where=name, next="save it as UTF-8")


def _workbook(name: str, data: bytes) -> Parts:
    """Return a part per sheet, a line per row, its cells apart by tabs."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            if sum(entry.file_size for entry in book.infolist()) > _MOST_BYTES:
                raise wherry.BadRecord("the workbook unpacks to more than 200 MB", where=name)
            shared = _shared(book)
            sheets = [(title, _rows(book, place, shared)) for title, place in _sheets(book)]
    except (zipfile.BadZipFile, KeyError, ValueError, IndexError, ElementTree.ParseError) as error:
        raise wherry.BadRecord(f"the workbook is damaged: {error}", where=name, next="save it again") from None
    return tuple(wherry.Part(text, None, {"sheet_name": title}) for title, text in sheets if text.strip())


def _shared(book: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in book.namelist():
        return []
    root = ElementTree.fromstring(book.read("xl/sharedStrings.xml"))
    return ["".join(t.text or "" for t in entry.iter(f"{_MAIN}t")) for entry in root.findall(f"{_MAIN}si")]


def _sheets(book: zipfile.ZipFile) -> Iterator[tuple[str, str]]:
    links = ElementTree.fromstring(book.read("xl/_rels/workbook.xml.rels"))
    targets = {link.get("Id"): str(link.get("Target")) for link in links}
    for sheet in ElementTree.fromstring(book.read("xl/workbook.xml")).iter(f"{_MAIN}sheet"):
        target = targets[sheet.get(_REL)]
        yield str(sheet.get("name")), target.lstrip("/") if target.startswith("/") else f"xl/{target}"


def _rows(book: zipfile.ZipFile, place: str, shared: list[str]) -> str:
    root = ElementTree.fromstring(book.read(place))
    return "\n".join(
        "\t".join(_cell(cell, shared) for cell in row.findall(f"{_MAIN}c")) for row in root.iter(f"{_MAIN}row")
    )


def _cell(cell: ElementTree.Element, shared: list[str]) -> str:
    if cell.get("t") == "inlineStr":
        return "".join(t.text or "" for t in cell.iter(f"{_MAIN}t"))
    value = cell.findtext(f"{_MAIN}v") or ""
    return shared[int(value)] if cell.get("t") == "s" and value else value


READERS: dict[str, Callable[[str, bytes], Parts]] = {
    ".pdf": _pdf, ".xlsx": _workbook, ".csv": _text, ".md": _text, ".markdown": _text, ".txt": _text,
}  # fmt: skip
