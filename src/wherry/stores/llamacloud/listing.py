"""Which documents a pipeline holds: a listing in which none is missed because another one went.

The service pages by offset. When a document before the offset goes while pages are being read, everything
behind moves up by one and one document is seen on no page. So each page begins with the last document of
the one before; when it is not there, or the total changed, the listing begins anew.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from wherry.errors import SourceChanged
from wherry.stores.llamacloud.link import Link

PAGE_DOCUMENTS = 100
_TRIES = 8


@dataclass(frozen=True, slots=True)
class Document:
    """A document. stamp: equal for equal contents, of everything the service says of it."""

    id: str
    stamp: bytes


def documents_of(link: Link, pipeline: str) -> list[Document]:
    """Return all documents. Raises SourceChanged when they never hold still."""
    for _ in range(_TRIES):
        found = _one_pass(link, pipeline)
        if found is not None:
            return found
    raise SourceChanged(
        "the list of documents changed each time it was read",
        where=link.place.shown,
        left="what was read is kept for a while",
        next="run the same command again when nobody loads or deletes documents",
    )


def _one_pass(link: Link, pipeline: str) -> list[Document] | None:
    """Return the documents, None when the list moved while it was being read."""
    found: list[Document] = []
    first_total: int | None = None
    while True:
        page, total = link.documents(pipeline, max(0, len(found) - 1), PAGE_DOCUMENTS)
        documents = [_document(entry) for entry in page]
        first_total = total if first_total is None else first_total
        if found:
            if total != first_total or not documents or documents[0].id != found[-1].id:
                return None
            documents = documents[1:]
        found += documents
        if not documents or (total is not None and len(found) >= total):
            break
    complete = len({document.id for document in found}) == len(found) and first_total in (None, len(found))
    return found if complete else None


def _document(entry: dict[str, Any]) -> Document:
    content = json.dumps(entry, sort_keys=True).encode()
    return Document(str(entry.get("id", "")), hashlib.blake2b(content, digest_size=16).digest())


__all__ = ["Document", "documents_of"]
