"""The demo's knowledge base: guides to the health checkup, cut into records by page.

A guide is one Markdown file of `guides/`: a head of `name: value` lines between `---`, then sections
that begin with `## `. A section is one page of the guide and becomes one record, its heading in
front. Publisher and year are absent because the guides have none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import pyarrow as pa

from wherry.errors import ArchiveCorrupt
from wherry.models.hashing import HashEmbedder
from wherry.record import Record, dimension_of, from_records, to_records

INDEX_NAME = "Dr.Welno"
INDEX_ID = "wherry-demo-guides"
_HEAD = ("title", "source", "category", "tags")


@dataclass(frozen=True)
class Section:
    """One page of a guide. page: counted from 1. heading, text: as the reader sees them."""

    page: int
    heading: str
    text: str


@dataclass(frozen=True)
class Guide:
    """One document. id: `g001`. source: the file it is cited as. category: main/sub. tags: search words."""

    id: str
    title: str
    source: str
    category: str
    tags: tuple[str, ...]
    sections: tuple[Section, ...]

    def metadata(self, section: Section) -> dict[str, object]:
        """Return the metadata of one section's record."""
        return {
            "source": self.source,
            "page": section.page,
            "category": self.category,
            "title": self.title,
            "tags": list(self.tags),
        }


def documents() -> list[Guide]:
    """Return every guide, in the order of ids."""
    folder = resources.files("wherry.demo").joinpath("guides")
    files = [entry for entry in folder.iterdir() if entry.name.endswith(".md")]
    return [_guide(entry) for entry in sorted(files, key=lambda entry: entry.name)]


def records(dimension: int) -> pa.RecordBatch:
    """Return every page of every guide as a record, embedded offline in `dimension` components.

    Ids are `<guide>-p<page>`, such as `g001-p02`; the text is the heading, a line break and the section.
    """
    pages = _pages()
    vectors = HashEmbedder(dimension).embed([text for _, text, _ in pages])
    return from_records(
        [Record(name, row, text, data) for (name, text, data), row in zip(pages, vectors, strict=True)],
        dimension,
    )


def sample(count: int) -> list[Record]:
    """Return at most `count` records spread evenly over the library, without vectors, to show to people."""
    pages = _pages()
    count = min(count, len(pages))
    chosen = [pages[n * len(pages) // count] for n in range(count)]
    return [Record(name, (), text, data) for name, text, data in chosen]


def export(path: Path, dimension: int) -> int:
    """Write the knowledge base as a LlamaCloud-shaped export with embeddings; return its record count."""
    batch = records(dimension)
    write_export(path, batch)
    return batch.num_rows


def write_export(path: Path, batch: pa.RecordBatch) -> None:
    """Write `batch` to `path` as a LlamaCloud-shaped export, one document a line; an older file is replaced.

    Numbers are written so that reading them as float32 gives back the same bits.
    """
    head = {
        "index_name": INDEX_NAME,
        "index_id": INDEX_ID,
        "total_documents": batch.num_rows,
        "embedding_dimension": dimension_of(batch),
    }
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "documents": [')
        for position, record in enumerate(to_records(batch)):
            # A float32 widened to a double is written exactly, so no digit of the vector is lost.
            document = {
                "id": record.id,
                "text": record.text,
                "metadata": record.metadata,
                "embedding": [float(value) for value in record.vector],
            }
            file.write((",\n" if position else "\n") + json.dumps(document, ensure_ascii=False))
        file.write("\n]}\n")


def _pages() -> list[tuple[str, str, dict[str, object]]]:
    """List the id, the text and the metadata of every page."""
    return [
        (f"{guide.id}-p{page.page:02}", f"{page.heading}\n{page.text}", guide.metadata(page))
        for guide in documents()
        for page in guide.sections
    ]


def _guide(entry: Traversable) -> Guide:
    """Read one guide; raises ArchiveCorrupt when a part of it is missing."""
    opening, _, rest = entry.read_text(encoding="utf-8").partition("\n---\n")
    lines = [line.partition(": ") for line in opening.splitlines()[1:]]
    head = {name: value.strip() for name, _, value in lines}
    sections = rest.strip().removeprefix("## ").split("\n\n## ")
    if tuple(head) != _HEAD or not all(head.values()):
        raise ArchiveCorrupt(f"a guide needs {', '.join(_HEAD)} in its head", where=entry.name)
    return Guide(
        id=entry.name.partition("-")[0],
        title=head["title"],
        source=head["source"],
        category=head["category"],
        tags=tuple(tag.strip() for tag in head["tags"].split(",")),
        sections=tuple(_section(page, part, entry.name) for page, part in enumerate(sections, start=1)),
    )


def _section(page: int, part: str, name: str) -> Section:
    heading, _, text = part.partition("\n")
    if not heading.strip() or not text.strip():
        raise ArchiveCorrupt(f"section {page} of a guide has no heading or no text", where=name)
    return Section(page, heading.strip(), text.strip())
