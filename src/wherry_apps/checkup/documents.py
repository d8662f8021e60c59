"""Documents that are kept up to date by content: the common folder, and those of the hospitals.

Each set is an index of Wherry's: a file that did not change is skipped, a changed one replaced, one that vanished
removed, and only what is new is embedded. The table says which files there are and how each fared.
"""

from __future__ import annotations

import hashlib
import re
import threading
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select

import wherry
from wherry_apps.checkup.files import CHUNKER, READERS, Shelf
from wherry_apps.checkup.manifests import made_by, read_manifest, write_manifest
from wherry_apps.checkup.places import Places
from wherry_apps.checkup.tables import LOCAL, CheckupDocument

_HOSPITAL = re.compile(r"[\w.-]{1,100}")
_FAR_TOO_LONG = 200


class Documents:
    """The documents of one service."""

    def __init__(self, database: wherry.AppDatabase, places: Places) -> None:
        self.database, self.places = database, places
        # Of two that arrive together the second waits; another process is told that somebody is at work.
        self._turn = threading.Lock()

    def update(self, folder: Path, allow_mass_delete: bool = False, owner: str = LOCAL) -> dict[str, Any]:
        """Make the common documents those of a folder; only what changed is embedded."""
        shelf = Shelf("common", folder)
        with self._turn:
            return self._indexed(shelf, common_key(self.places), owner, None, allow_mass_delete)

    def listed(self, hospital: str, owner: str | None) -> list[CheckupDocument]:
        """Return the documents of a hospital that belong to an owner; of everybody for None."""
        wanted = select(CheckupDocument).where(CheckupDocument.hospital_id == _required(hospital))
        if owner is not None:
            wanted = wanted.where(CheckupDocument.owner == owner)
        with self.database.session() as session:
            return list(session.scalars(wanted.order_by(CheckupDocument.id)))

    def common_paths(self) -> set[str]:
        """Return the paths of the common documents: what the moved library has of them is superseded."""
        with self.database.session() as session:
            return set(session.scalars(select(CheckupDocument.path).where(CheckupDocument.hospital_id.is_(None))))

    def owners(self, hospital: str, owner: str | None) -> list[str]:
        """Return whose documents of a hospital may be read: the owner's own; everybody's for None."""
        return sorted({row.owner for row in self.listed(hospital, owner)})

    def add(self, hospital: str, owner: str, name: str, data: bytes, title: str | None = None) -> CheckupDocument:
        """Keep a file of a hospital and index it. Raises BadRecord for one that cannot be read; it is not kept then."""
        path = _file_name(name)
        key, folder = self._hospital(hospital, owner)
        wherry_document = READERS[Path(path).suffix.lower()](path, data)
        if not any(part.text.strip() for part in wherry_document):
            raise wherry.BadRecord("the file holds no text", where=path, next="send one that does")
        folder.mkdir(parents=True, exist_ok=True)
        new = folder / f".{path}.new"
        new.write_bytes(data)
        new.replace(folder / path)
        with self.database.session() as session:
            row = session.scalars(_at(hospital, owner, path)).first() or CheckupDocument(
                owner=owner, hospital_id=hospital, file_name=path, path=path, file_sha256=""
            )
            row.file_sha256, row.title, row.status = hashlib.sha256(data).hexdigest(), title or row.title, "waiting"
            session.add(row)
        self._index(hospital, owner, key, folder)
        with self.database.session() as session:
            return session.scalars(_at(hospital, owner, path)).one()

    def remove(self, hospital: str, owner: str | None, number: int) -> CheckupDocument:
        """Remove a document. Raises NotFound for one that is not there, or not the owner's."""
        row = next((one for one in self.listed(hospital, owner) if one.id == number), None)
        if row is None:
            raise wherry.NotFound("there is no such document", next="list the documents of the hospital")
        key, folder = self._hospital(hospital, row.owner)
        (folder / row.path).unlink(missing_ok=True)
        self._index(hospital, row.owner, key, folder)
        return row

    def rebuild(self, hospital: str, owner: str) -> dict[str, Any]:
        """Embed the documents of a hospital anew beside the ones that serve, then let readers see them."""
        key, folder = self._hospital(hospital, owner)
        if not folder.is_dir():
            raise wherry.NotFound("this hospital has no documents", next="add one first")
        done = self._index(hospital, owner, key, folder, rebuild=True)
        return done

    def status(self, hospital: str, owner: str | None) -> dict[str, Any]:
        """Return how many documents of a hospital there are, and how they fare."""
        rows = self.listed(hospital, owner)
        counts = {state: sum(row.status == state for row in rows) for state in ("indexed", "failed", "waiting")}
        latest = max((row.indexed_at for row in rows if row.indexed_at), default=None)
        return {"hospital_id": hospital, "documents": len(rows), **counts,
                "indexed_at": latest.isoformat() if latest else None}  # fmt: skip

    def _hospital(self, hospital: str, owner: str) -> tuple[str, Path]:
        key = hospital_key(self.places, _required(hospital), owner)
        return key, self.places.root / "hospitals" / key

    def _index(self, hospital: str, owner: str, key: str, folder: Path, rebuild: bool = False) -> dict[str, Any]:
        rows = [row for row in self.listed(hospital, owner) if row.owner == owner]
        each = {
            row.path: {"title": row.title or row.file_name, "uploaded_at": row.uploaded_at.isoformat()} for row in rows
        }
        shelf = Shelf(key, folder, {"hospital_id": hospital}, each)
        with self._turn:
            return self._indexed(shelf, key, owner, hospital, True, rebuild)

    def _indexed(
        self, shelf: Shelf, key: str, owner: str, hospital: str | None, allow_mass_delete: bool, rebuild: bool = False
    ) -> dict[str, Any]:
        into, model = address_of(key), wherry.open_embedder(self.places.config.embedder)
        try:
            # Vectors of two models are never mixed: with another model everything is embedded anew.
            rebuild = rebuild or not made_by(read_manifest(self.places, key), model.space())
            if rebuild:
                wherry.index_rebuild(into, model)
            done = wherry.index(
                shelf, into, embedder=model, chunker=CHUNKER, allow_mass_delete=allow_mass_delete, retry=rebuild
            )
            space = model.space()
        finally:
            model.close()
        failed = {one.document: one.message for one in done.failures}
        digests = self._note(shelf, owner, hospital, failed)
        checksum = hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()
        write_manifest(
            self.places, key, space, chunker=CHUNKER, count=len(digests), checksum=checksum, address=into
        )  # fmt: skip
        report = done.to_dict()
        return {name: report[name] for name in REPORTED} | {"failures": failed, "rebuilt": rebuild}

    def _note(self, shelf: Shelf, owner: str, hospital: str | None, failed: dict[str, str]) -> Sequence[str]:
        """Write down which files there are and how each fared; return their digests."""
        there = {one.id: hashlib.sha256(one.bytes()).hexdigest() for one in shelf.documents()}
        with self.database.session() as session:
            known = {row.path: row for row in session.scalars(_of(hospital, owner))}
            for path, digest in there.items():
                row = known.get(path) or CheckupDocument(
                    owner=owner, hospital_id=hospital, file_name=path.rpartition("/")[2], path=path, file_sha256=""
                )
                if row.file_sha256 != digest or row.status != "indexed":
                    row.indexed_at = datetime.now(UTC)
                row.file_sha256, row.status = digest, "failed" if path in failed else "indexed"
                session.add(row)
            gone = [row.id for path, row in known.items() if path not in there]
            session.execute(delete(CheckupDocument).where(CheckupDocument.id.in_(gone)))
        return list(there.values())


REPORTED = (
    "scanned", "new", "modified", "metadata_only", "renamed", "deleted", "unchanged", "failed", "chunks_embedded",
    "chunks_reused", "tokens", "cost", "seconds", "embedder", "generation", "notes",
)  # fmt: skip


def _of(hospital: str | None, owner: str) -> Any:
    same = CheckupDocument.hospital_id.is_(None) if hospital is None else CheckupDocument.hospital_id == hospital
    return select(CheckupDocument).where(same, CheckupDocument.owner == owner)


def _at(hospital: str, owner: str, path: str) -> Any:
    return _of(hospital, owner).where(CheckupDocument.path == path)


def _required(hospital: str) -> str:
    if not _HOSPITAL.fullmatch(hospital):
        raise wherry.Usage("this cannot be the id of a hospital", next="use letters, digits, '-', '_' and '.'")
    return hospital


def _file_name(name: str) -> str:
    """Return a name fit for a file of its own. Raises BadRecord."""
    plain = unicodedata.normalize("NFC", name).strip()
    wrong = not plain or "/" in plain or "\\" in plain or "\x00" in plain or plain.startswith(".")
    if wrong or len(plain.encode()) > _FAR_TOO_LONG or Path(plain).suffix.lower() not in READERS:
        raise wherry.BadRecord(
            "a document needs a plain file name of a kind that is read", where="file_name",
            next=f"name it something.{'|'.join(sorted(s[1:] for s in READERS))}",
        )  # fmt: skip
    return plain


def common_key(places: Places) -> str:
    """Return the key of the common documents of a service."""
    return f"docs-{_short(str(places.root))}"


def hospital_key(places: Places, hospital: str, owner: str) -> str:
    """Return the key of a hospital's documents, of one owner: nobody else's are in it."""
    return f"hospital-{_short(chr(10).join((str(places.root), owner, hospital)))}"


def address_of(key: str) -> str:
    """Return where the records of a key are."""
    return f"pgvector:#checkup_{key.replace('-', '_')}"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
