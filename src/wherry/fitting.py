"""Whether a model can run on this machine: memory, graphics card and disk against what it needs.

found = wherry.fit("ollama:llama3.1:8b")
found.fits, found.place, found.reasons
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wherry.doctor import memory
from wherry.errors import Different, Usage
from wherry.models.local import CONTEXT, Need, is_local, models, need_of

_ASKED = ("nvidia-smi", "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits")
_PATIENCE_S = 20
_MEBI = 1 << 20
# What is left to the rest of the machine.
_SPARE = 1_000_000_000


@dataclass(frozen=True)
class Gpu:
    """A graphics card. total, free: bytes of its memory."""

    name: str
    total: int
    free: int


@dataclass(frozen=True)
class Fit:
    """Whether a model fits.

    place: `gpu`, `gpu and memory`, `memory`, `nowhere`, or `provider` for one that runs elsewhere. need: what it
    takes, None for one that runs elsewhere. gpus, memory_free, disk_free: what there is, bytes, None where the
    system does not say. present: whether it is downloaded already. reasons: sentences.
    """

    model: str
    place: str
    need: Need | None
    gpus: tuple[Gpu, ...]
    memory_free: int | None
    disk_free: int | None
    present: bool
    reasons: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether it can run here, or needs nothing of this machine."""
        return self.place != "nowhere"

    @property
    def exit_code(self) -> int:
        """0 it fits, 1 not."""
        return 0 if self.fits else Different.exit_code

    def to_dict(self) -> dict[str, Any]:
        """Return the findings as a JSON object."""
        return {**asdict(self), "fits": self.fits}


def fit(model: str, *, context: int = CONTEXT) -> Fit:
    """Say whether a model can run on this machine, and why.

    model: a spec, or a name of Ollama's. context: tokens it shall hold at once. Raises UnknownModel for a local
    model of unknown size, Usage.
    """
    if isinstance(context, bool) or not isinstance(context, int) or context < 1:
        raise Usage(f"context is {context!r}; it has to be a number of tokens", where="fit")
    gpus, free, place = graphics(), memory()[1], store_of(model)
    disk = shutil.disk_usage(next(p for p in (place, *place.parents) if p.exists())).free
    if not is_local(model):
        return Fit(model, "provider", None, gpus, free, disk, False, ("it runs at its provider, not here",))
    need, present = need_of(model, context), _present(model, place)
    where = _place(need, gpus, free)
    roomy = present or disk >= need.disk
    reasons = tuple(_reasons(need, gpus, free, disk, where, present))
    return Fit(need.model, where if roomy else "nowhere", need, gpus, free, disk, present, reasons)


def fit_all(*, context: int = CONTEXT) -> tuple[Fit, ...]:
    """Say of every model of the tables whether it can run here."""
    return tuple(fit(model, context=context) for model in models())


def graphics() -> tuple[Gpu, ...]:
    """Return the graphics cards that NVIDIA's own tool lists; none where it is not installed or does not answer."""
    tool = shutil.which(_ASKED[0])
    if tool is None:
        return ()
    try:
        said = subprocess.run([tool, *_ASKED[1:]], capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(_gpus(said.stdout)) if said.returncode == 0 else ()


def store_of(model: str) -> Path:
    """Return the folder that downloads of a model go to."""
    if model.startswith("st:"):
        return Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    return Path(os.environ.get("OLLAMA_MODELS") or Path.home() / ".ollama" / "models")


def _gpus(said: str) -> Iterator[Gpu]:
    for line in said.splitlines():
        name, _, rest = line.rpartition(",")[0].rpartition(",")
        free = line.rpartition(",")[2].strip()
        # A card may answer [N/A] where its memory is the machine's own.
        if rest.strip().isdigit() and free.isdigit():
            yield Gpu(name.strip(), int(rest) * _MEBI, int(free) * _MEBI)


def _present(model: str, folder: Path) -> bool:
    name = model.partition("?")[0]
    if name.startswith("st:"):
        path = name.removeprefix("st:")
        full = path if "/" in path else f"sentence-transformers/{path}"
        return (folder / "hub" / f"models--{full.replace('/', '--')}").is_dir()
    name, _, tag = name.removeprefix("ollama:").partition(":")
    owner = name if "/" in name else f"library/{name}"
    return (folder / "manifests" / "registry.ollama.ai" / owner / (tag or "latest")).is_file()


def _place(need: Need, gpus: tuple[Gpu, ...], free: int | None) -> str:
    card = max((gpu.free for gpu in gpus), default=0)
    room = max(0, (free or 0) - _SPARE)
    if card >= need.memory:
        return "gpu"
    if card and card + room >= need.memory:
        return "gpu and memory"
    return "memory" if room >= need.memory else "nowhere"


def _reasons(
    need: Need, gpus: tuple[Gpu, ...], free: int | None, disk: int, place: str, present: bool
) -> Iterator[str]:
    size = f"{need.parameters:g} billion parameters at {need.quantisation}"
    cache = f", {_size(need.cache)} of it for {need.context:,} tokens" if need.cache else ""
    yield f"it takes {_size(need.memory)} of memory while it runs ({size}{cache}), and {_size(need.disk)} of disk"
    if need.guessed:
        yield "only the size in its name is known: state more in a file and set WHERRY_LOCAL_MODELS to its path"
    for gpu in gpus:
        yield f"{gpu.name} has {_size(gpu.free)} free of {_size(gpu.total)}"
    if not gpus:
        yield "no NVIDIA graphics card was found; without one answers take longer"
    yield f"memory: {_size(free)} available, of which {_size(_SPARE)} stay free" if free else "memory is not known"
    if present:
        yield "it is downloaded already"
    elif disk < need.disk:
        yield f"the disk has {_size(disk)} free, {_size(need.disk - disk)} too little for the download"
    if place == "nowhere":
        yield "it does not fit: take a smaller model, or one of fewer bits per parameter"


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e8 else f"{count / 1e6:,.0f} MB"


__all__ = ["Fit", "Gpu", "fit", "fit_all", "graphics", "store_of"]
