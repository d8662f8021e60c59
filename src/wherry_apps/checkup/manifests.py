"""What each collection is made of, in a file that whoever serves it watches."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import wherry
from wherry_apps.checkup.places import Places

LIBRARY = "library"
WHOLE = "none: one record per item of the export"


def write_manifest(
    places: Places, key: str, space: wherry.Space, *, chunker: str, count: int, checksum: str, address: str
) -> dict[str, Any]:
    """Write the manifest of a collection, whole or not at all, and return it. checksum: of what it was made from."""
    card = {
        "provider": space.provider, "model": space.model, "dimension": space.dimension, "normalised": space.normalised,
        "metric": "cosine", "chunker": chunker, "items": count, "source_checksum": checksum, "address": address,
        "made_at": datetime.now(UTC).isoformat(),
    }  # fmt: skip
    file = manifest_of(places, key)
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.write_text(json.dumps(card, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    new.replace(file)
    return card


def read_manifest(places: Places, key: str) -> dict[str, Any] | None:
    """Return the manifest of a collection, None where there is none."""
    file = manifest_of(places, key)
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def made_by(manifest: dict[str, Any] | None, space: wherry.Space) -> bool:
    """Tell whether a model of this space made a collection; True where there is no manifest to say otherwise."""
    if manifest is None:
        return True
    return all(manifest.get(name) == getattr(space, name) for name in ("provider", "model", "dimension"))


def manifest_of(places: Places, key: str) -> Path:
    """Return where the manifest of a collection is."""
    return places.root / "manifests" / f"{key}.json"


def changed_at(places: Places, key: str) -> tuple[int, int]:
    """Return what tells one state of a manifest from another; zeros where there is none."""
    try:
        found = manifest_of(places, key).stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_mtime_ns, found.st_ino
