"""The words of a collection inside its store, so that every machine that searches it shares them.

They are the sidecar's files, published in the store under a version; each machine maps a copy of its own and fetches
what it lacks. Nobody makes words twice, and a search still reads mapped files.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any
from uuid import uuid4

from wherry.answering.lexical_sidecar import MANIFEST, Sidecar, replace_file
from wherry.errors import JournalCorrupt
from wherry.stores.lexical import Lexicon, Shelf

# Names come from a database: they must not lead out of the folder.
_SEGMENT, _DEAD = re.compile(r"[0-9a-f]{12}"), re.compile(r"dead-[0-9a-f]{12}-[0-9a-f]{6}\.npy")
_FILES = frozenset({"tokens.npy", "starts.npy", "records.npy", "halves.npy", "lengths.npy", "rows.arrow"})


class Shared(Sidecar):
    """Words that are published in a store; `folder` holds this machine's copy."""

    def __init__(self, folder: Path, shelf: Shelf) -> None:
        self._shelf, self._copy = shelf, folder
        self._version, self._published = 0, frozenset[str]()
        self._pull()
        super().__init__(folder)

    @property
    def place(self) -> str:
        """Where the words are kept, fit to print."""
        return f"the store, with a copy in {self.folder}"

    def keep(self, state: Lexicon) -> None:
        """Make what was changed durable here, and publish it. Raises Busy when another machine published since."""
        super().keep(state)
        manifest = (self._copy / MANIFEST).read_text(encoding="utf-8")
        names = _names(manifest)
        fresh = {name: _packed(self._copy / name) for name in names - self._published}
        self._version = self._shelf.publish(manifest, fresh, names, self._version)
        self._published = frozenset(names)

    def abandon(self) -> None:
        """Go back to what was published last, by whichever machine."""
        self._pull()
        super().abandon()

    def close(self) -> None:
        """Let go of the files and the connection."""
        super().close()
        self._shelf.close()

    def _pull(self) -> None:
        """Fetch what was published and is not here yet."""
        found = self._shelf.read()
        if found is None:
            (self._copy / MANIFEST).unlink(missing_ok=True)
            self._version, self._published = 0, frozenset()
            return
        names = _names(found.manifest)
        self._copy.mkdir(parents=True, exist_ok=True)
        for name in sorted(names):
            if not (self._copy / name).exists():
                _unpacked(self._shelf.fetch(name), self._copy / name)
        replace_file(self._copy / MANIFEST, found.manifest)
        self._version, self._published = found.version, frozenset(names)


def _names(manifest: str) -> set[str]:
    """Return the files a manifest names. Raises JournalCorrupt for names that are none of ours."""
    try:
        whole: dict[str, Any] = json.loads(manifest)
        entries = [(entry["name"], entry["dead"]) for entry in whole["segments"]]
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(type(error).__name__) from None
    for name, dead in entries:
        if not _SEGMENT.fullmatch(name) or (dead and not _DEAD.fullmatch(dead)):
            raise _damaged("a file has a name that is none of ours")
    return {name for entry in entries for name in entry if name}


def _packed(path: Path) -> bytes:
    if path.is_file():
        return path.read_bytes()
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(_FILES):
            archive.write(path / name, name)
    return held.getvalue()


def _unpacked(data: bytes, path: Path) -> None:
    """Write a file or the files of a segment; they appear under their name when they are whole."""
    fresh = path.with_name(f"fresh-{uuid4().hex[:12]}")
    if path.suffix == ".npy":
        fresh.write_bytes(data)
    else:
        fresh.mkdir()
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                for name in _FILES:
                    (fresh / name).write_bytes(archive.read(name))
        except (zipfile.BadZipFile, KeyError) as error:
            raise _damaged(type(error).__name__) from None
    fresh.replace(path)


def _damaged(why: str) -> JournalCorrupt:
    return JournalCorrupt(
        f"the words in the store cannot be read: {why}",
        left="the collection itself is not touched",
        next="run `wherry lexicon build --inside` again",
    )
