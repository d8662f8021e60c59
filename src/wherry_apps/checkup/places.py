"""Where the library is: the folder of the service, the variables that switch, the addresses of both sides.

    vector_db/welno/
      chroma_db/         the local collection (LOCAL_VECTOR_DB_PATH)
      backup/            llamacloud_export.json, prepared.parquet, archives of `wherry checkup backup`
      logs/migration.log one JSON object per phase
      manifests/         what each collection is made of; whoever serves watches them
      config.json        what the phases agreed on
      config.env         the variables, read where the process has none of its own

The process's own variables win over config.env. They are read when a process starts, and again by `switch`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import wherry

USE, PATH, COLLECTION = "USE_LOCAL_VECTOR_DB", "LOCAL_VECTOR_DB_PATH", "LOCAL_VECTOR_DB_COLLECTION"
ROOT, EMBEDDER, CHAT = "CHECKUP_ROOT", "CHECKUP_EMBEDDER", "CHECKUP_CHAT"
KEYS = ("LLAMAINDEX_API_KEY", "OPENAI_API_KEY", "GOOGLE_GEMINI_API_KEY")
ENGINES = ("chroma", "qdrant", "faiss")
# Cosines of the offline embedder tell spelling and lie lower: found on the guides that come with Wherry.
FLOORS = {"hash": 0.13}
_FLOOR = 0.30
_HERE = ("hash", "st", "ollama")


@dataclass(frozen=True)
class Config:
    """What the phases agreed on. cloud: address of the side that is left. made_by: the model of its vectors.

    embedder: of questions. floor: least similarity, None for the embedder's own. cloud_cost: US dollars a question
    costs in the cloud, as the operator says.
    """

    name: str = "Dr.Welno"
    cloud: str = ""
    engine: str = "chroma"
    embedder: str = "hash:1024"
    made_by: str | None = None
    floor: float | None = None
    cloud_cost: float = 0.02
    queries_per_month: int = 10_000


@dataclass(frozen=True)
class Places:
    """The service as one process sees it. use_local: what the variable says, None where it says nothing."""

    root: Path
    folder: Path
    collection: str
    use_local: bool | None
    chat: str
    config: Config

    @property
    def export(self) -> Path:
        """The export, as it came from the cloud."""
        return self.root / "backup" / "llamacloud_export.json"

    @property
    def prepared(self) -> Path:
        """What is to be stored, with checksums."""
        return self.root / "backup" / "prepared.parquet"

    @property
    def log(self) -> Path:
        """What the phases did."""
        return self.root / "logs" / "migration.log"

    @property
    def local(self) -> str:
        """The address of the local side."""
        return f"{self.config.engine}:{self.folder}#{self.collection}"

    @property
    def made(self) -> str:
        """The same as it is made: LlamaIndex reads what lies in its own layout; FAISS has none that can be written."""
        return self.local if self.config.engine == "faiss" else f"{self.local}?layout=llamaindex"

    @property
    def cloud(self) -> str:
        """The address of the cloud side; of the export that stands for it where none is named."""
        return self.config.cloud or str(self.prepared)

    @property
    def route(self) -> str:
        """The name readers use: of this pair of sides and no other, so that no variable leads it astray."""
        pair = hashlib.sha256(f"{self.cloud}\n{self.local}".encode()).hexdigest()[:10]
        return f"checkup-{pair}"

    @property
    def floor(self) -> float:
        """The least similarity of a passage that is told."""
        if self.config.floor is not None:
            return self.config.floor
        return FLOORS.get(self.config.embedder.partition(":")[0], _FLOOR)

    @property
    def embeds_here(self) -> bool:
        """Whether questions are embedded without leaving the machine."""
        return near(self.config.embedder.partition(":")[0])

    def agreed(self, **changes: Any) -> Places:
        """Return the places with what was agreed on anew, and keep it in config.json."""
        config = replace(self.config, **changes)
        self.root.mkdir(parents=True, exist_ok=True)
        _write(self.root / "config.json", json.dumps(asdict(config), ensure_ascii=False, indent=1) + "\n")
        return places(self.root)

    def environment(self) -> dict[str, str]:
        """Return the variables that decide: those of the process, and of config.env where it has none of its own."""
        return {**_variables(self.root / "config.env"), **{k: v for k, v in os.environ.items() if v.strip()}}

    def variables_at(self) -> int:
        """Return when config.env was written, 0 where there is none."""
        file = self.root / "config.env"
        return file.stat().st_mtime_ns if file.is_file() else 0

    def lead(self, local: bool) -> None:
        """Write down which side is the default; the file before it stays as config.env.backup."""
        kept = _variables(self.root / "config.env")
        kept |= {USE: str(local).lower(), PATH: str(self.folder), COLLECTION: self.collection}
        file = self.root / "config.env"
        if file.exists():
            _write(self.root / "config.env.backup", file.read_text(encoding="utf-8"))
        _write(file, "".join(f"{name}={value}\n" for name, value in kept.items()))


def places(root: str | Path | None = None, environment: Mapping[str, str] = os.environ) -> Places:
    """Return where everything is. root: the folder of the service; else CHECKUP_ROOT, else beside the collection.

    Raises Usage for a variable or a file that cannot be read.
    """
    beside = environment.get(PATH, "").strip()
    named = root or environment.get(ROOT, "").strip()
    base = Path(named) if named else Path(beside).parent if beside else Path("vector_db/welno")
    base = base.expanduser().absolute()
    said = {**_variables(base / "config.env"), **{k: v for k, v in environment.items() if v.strip()}}
    config = _config(base / "config.json")
    if said.get(EMBEDDER):
        config = replace(config, embedder=said[EMBEDDER])
    folder = Path(said.get(PATH) or base / f"{config.engine}_db").expanduser().absolute()
    return Places(
        base, folder, said.get(COLLECTION) or "welno_medical_knowledge", _truth(said.get(USE, "")),
        said.get(CHAT) or "offline", config,
    )  # fmt: skip


def near(provider: str) -> bool:
    """Tell whether a provider of models embeds on this machine."""
    host = os.environ.get("OLLAMA_HOST", "")
    here = not host or any(word in host for word in ("127.0.0.1", "localhost", "::1"))
    return provider in _HERE and (provider != "ollama" or here)


def keys_set() -> dict[str, bool]:
    """Return which of the optional keys are there; never what they are."""
    return {name: bool(os.environ.get(name, "").strip()) for name in KEYS}


def _truth(word: str) -> bool | None:
    value = word.strip().lower()
    if value in ("1", "true", "yes", "on"):
        return True
    if value in ("0", "false", "no", "off"):
        return False
    if not value:
        return None
    raise wherry.Usage(f"{USE} is neither true nor false", where=USE, next="set it to true or false")


def _variables(file: Path) -> dict[str, str]:
    """Return the variables of a file of NAME=VALUE lines; comments and empty lines are passed over."""
    if not file.is_file():
        return {}
    found = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        name, mark, value = line.strip().removeprefix("export ").partition("=")
        if mark and not name.startswith("#"):
            found[name.strip()] = value.partition(" #")[0].strip().strip("'\"")
    return found


def _config(file: Path) -> Config:
    if not file.is_file():
        return Config()
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return Config(**{k: v for k, v in found.items() if k in Config.__dataclass_fields__})
    except (OSError, ValueError, AttributeError) as error:
        raise wherry.Usage(f"the settings cannot be read: {error}", where=str(file)) from None


def _write(file: Path, text: str) -> None:
    """Write a file whole or not at all, for its owner alone: what was in config.env may hold keys."""
    new = file.with_name(f"{file.name}.new")
    new.write_text(text, encoding="utf-8")
    new.chmod(0o600)
    new.replace(file)
