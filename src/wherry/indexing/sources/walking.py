"""Walking a folder: every file with its id and stamp, and an account of what could not be listed."""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from pathlib import Path

from wherry.errors import NotListed
from wherry.indexing.base import Stamp

_NAMED = 3
Enters = Callable[[str], bool]
# Path, id, stamp; no stamp for a link that leads nowhere.
Found = tuple[str, str, Stamp | None]


class Listing:
    """One listing of a folder: what was seen, and what could not be."""

    def __init__(self, base: Path) -> None:
        self.base = os.fspath(base)
        self.problems: list[str] = []
        self._ids: set[str] = set()
        self._visited: set[tuple[int, int]] = set()
        self._links: list[tuple[str, str]] = []

    def walk(self, enters: Enters) -> Iterator[Found]:
        """Yield (path, id, stamp) of every file; folders behind links come last, so that real paths win."""
        try:
            self._visited.add(_identity(Path(self.base).stat()))
            first = _entries(self.base)
        except OSError as error:
            raise NotListed(f"{error.strerror}", where=self.base, next="check the path of the source") from error
        yield from self._folder(first, "", enters)
        while self._links:
            links, self._links = sorted(self._links), []
            for path, id in links:
                yield from self._entered(path, id, enters)

    def given(self, paths: Iterable[Path]) -> Iterator[Found]:
        """Yield (path, id, stamp) of files given by name."""
        for path in paths:
            try:
                found = Path(path).stat()
                if not stat.S_ISREG(found.st_mode):
                    raise OSError(errno.EINVAL, "no longer a file")
            except OSError as error:
                self.failed(os.fspath(path), error)
                continue
            yield os.fspath(path), spelled(os.path.relpath(path, self.base)), _stamp(found)

    def unique(self, id: str, path: str) -> str:
        """Return an id nobody has yet: two spellings of one name are two files."""
        if id in self._ids:
            id = f"{id}~{blake2b(os.fsencode(os.path.relpath(path, self.base)), digest_size=4).hexdigest()}"
        self._ids.add(id)
        return id

    def failed(self, path: str, error: OSError) -> None:
        """Take note of what could not be listed."""
        self.problems.append(f"{printable(os.path.relpath(path, self.base))}: {error.strerror}")

    def require_whole(self, name: str) -> None:
        """Raise NotListed when something could not be listed."""
        if self.problems:
            more = f" and {len(self.problems) - _NAMED:,} more" if len(self.problems) > _NAMED else ""
            raise NotListed(
                f"could not be listed to its end: {'; '.join(self.problems[:_NAMED])}{more}",
                where=name,
                left="what was listed is right; nothing may be deleted",
                next="make them readable, or leave them out with an exclude pattern, then run the same command again",
            )

    def _folder(self, entries: list[os.DirEntry[str]], prefix: str, enters: Enters) -> Iterator[Found]:
        """Walk without recursion: (entries still to visit, prefix of their ids) per folder on the way."""
        stack = [(iter(entries), prefix)]
        while stack:
            entry = next(stack[-1][0], None)
            if entry is None:
                stack.pop()
                continue
            id = stack[-1][1] + spelled(entry.name)
            try:
                inner, found = self._visit(entry, id, enters)
            except OSError as error:
                self.failed(entry.path, error)
                continue
            if inner is not None:
                stack.append((iter(inner), id + "/"))
            elif found is not None:
                yield entry.path, id, found[0]

    def _visit(
        self, entry: os.DirEntry[str], id: str, enters
    ) -> tuple[list[os.DirEntry[str]] | None, tuple[Stamp | None] | None]:
        """Return (entries of a folder to enter, None), (None, (stamp,)) of a file, or nothing of either."""
        if entry.is_dir(follow_symlinks=False):
            return (self._opened(entry.path) if enters(id) else None), None
        try:
            found = entry.stat()
        except FileNotFoundError:
            # Gone since the folder was listed; a link that leads nowhere may lead somewhere again.
            return None, (None,) if entry.is_symlink() else None
        except OSError as error:
            if error.errno == errno.ELOOP:
                return None, None
            raise
        if stat.S_ISDIR(found.st_mode):
            if enters(id):
                self._links.append((entry.path, id))
            return None, None
        return None, (_stamp(found),) if stat.S_ISREG(found.st_mode) else None

    def _opened(self, path: str) -> list[os.DirEntry[str]] | None:
        identity = _identity(Path(path).stat())
        if identity in self._visited:
            return None
        self._visited.add(identity)
        return _entries(path)

    def _entered(self, path: str, id: str, enters: Enters) -> Iterator[Found]:
        try:
            inner = self._opened(path)
        except OSError as error:
            self.failed(path, error)
            return
        if inner is not None:
            yield from self._folder(inner, id + "/", enters)


def spelled(name: str) -> str:
    """Return a file name as an id has it: NFC, and readable where its bytes are no UTF-8."""
    if name.isascii():
        return name
    return unicodedata.normalize("NFC", printable(name))


def printable(name: str) -> str:
    """Return a name without the half characters Python makes of bytes that are no UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        data = os.fsencode(name)
        try:
            # Archives packed on Korean Windows leave such names.
            return data.decode("cp949")
        except UnicodeDecodeError:
            return data.decode("utf-8", "backslashreplace")
    return name


def _entries(path: str) -> list[os.DirEntry[str]]:
    with os.scandir(path) as found:
        entries = [entry for entry in found if not entry.name.startswith(".")]
    # The NFC spelling first: it keeps the plain id where two spellings of one name meet.
    return sorted(entries, key=lambda entry: (spelled(entry.name), spelled(entry.name) != entry.name, entry.name))


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _stamp(found: os.stat_result) -> Stamp:
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ino)
