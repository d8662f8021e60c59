"""Models that lie on this disk: in a folder, or inside an installed package."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import xxhash

# What a folder must hold to be a model of sentence-transformers.
_MARK = "modules.json"
_BLOCK_BYTES = 1 << 22


def found_folder(name: str) -> Path | None:
    """Return the folder of a model: `name` itself, or one inside the installed package of that name."""
    if (Path(name) / _MARK).is_file():
        return Path(name)
    if os.sep in name:
        return None
    try:
        inside = [file for file in files(name) or [] if file.name == _MARK]
    except PackageNotFoundError:
        return None
    return Path(str(inside[0].locate())).parent if inside else None


def digest_of(folder: Path) -> str:
    """Return the digest of a model's files, by their names and bytes."""
    digest = xxhash.xxh3_128()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    return f"xxh3:{digest.hexdigest()}"
