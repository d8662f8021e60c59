"""What a model needs to run on a machine of one's own, worked out from its size; a table of sizes ships with Wherry."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from wherry.errors import UnknownModel, Usage

VARIABLE = "WHERRY_LOCAL_MODELS"
CONTEXT = 4096
# An estimate, not a measurement: buffers of the program that runs it, and a tenth for what is computed on the way.
_PROGRAM = 400_000_000
_ON_TOP = 1.1
_LOCAL = ("ollama", "st")
_SIZE = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)b(?![a-z0-9])", re.IGNORECASE)
_FIELDS = {"parameters", "layers", "cache_heads", "head", "quantisation", "disk", "source"}
# Of a model that is known by the size in its name alone: as much cache as the models of the table with most.
_GUESSED_CACHE = {"layers": 36, "cache_heads": 8, "head": 128}


@dataclass(frozen=True)
class Need:
    """What a model takes. weights, cache, memory, disk: bytes; memory is all of it while it runs.

    parameters: billions. context: tokens the cache holds. guessed: only the size in its name was known.
    """

    model: str
    parameters: float
    quantisation: str
    context: int
    weights: int
    cache: int
    memory: int
    disk: int
    source: str
    guessed: bool = False


def is_local(spec: str) -> bool:
    """Tell whether a model runs on a machine of one's own; a bare name is one of Ollama's."""
    return not known_provider(spec) or spec.partition(":")[0] in _LOCAL


def known_provider(spec: str) -> bool:
    """Tell whether a spec begins with the name of a provider."""
    from wherry.models.registry import PROVIDERS

    return spec.partition("?")[0].partition(":")[0] in PROVIDERS


def models() -> tuple[str, ...]:
    """Return the models of the tables."""
    return tuple(name for name in _tables() if name != "bits")


def need_of(spec: str, context: int = CONTEXT) -> Need:
    """Return what a local model needs. spec: as `open_chat` takes it, or a name of Ollama's (`llama3.1:8b`).

    Raises UnknownModel where neither a table nor the name says how large it is, Usage for a table that is wrong.
    """
    name = spec.partition("?")[0]
    name = name if known_provider(name) else f"ollama:{name}"
    tables = _tables()
    fitting = [key for key in tables if key != "bits" and re.match(re.escape(key) + r"(?:$|[-:])", name)]
    found = dict(tables[max(fitting, key=len)]) if fitting else _guessed(name)
    usual = str(found.get("quantisation", "q4_k_m"))
    quantisation = _quantisation(name, tables["bits"]) or usual
    if quantisation != usual:
        found.pop("disk", None)
    return _need(name, found, quantisation, float(tables["bits"][quantisation]), context, not fitting)


def _need(name: str, found: dict[str, Any], quantisation: str, bits: float, context: int, guessed: bool) -> Need:
    weights = round(found["parameters"] * 1e9 * bits / 8)
    cache = 2 * 2 * context * found.get("layers", 0) * found.get("cache_heads", 0) * found.get("head", 0)
    return Need(
        model=name,
        parameters=float(found["parameters"]),
        quantisation=quantisation,
        context=context if cache else 0,
        weights=weights,
        cache=cache,
        memory=round((weights + cache) * _ON_TOP) + _PROGRAM,
        disk=int(found.get("disk", weights)),
        source=str(found.get("source", "the size in its name")),
        guessed=guessed,
    )


def _guessed(name: str) -> dict[str, Any]:
    size = _SIZE.search(name.partition(":")[2])
    if size is None or float(size[1]) == 0:
        raise UnknownModel(
            f"nobody wrote down how large {name} is",
            next=f"use one of {', '.join(models())}, or state it in a file and set {VARIABLE} to its path",
        )
    return {"parameters": float(size[1]), **_GUESSED_CACHE}


def _quantisation(name: str, bits: dict[str, Any]) -> str | None:
    """Return the quantisation that a tag names: `llama3.1:8b-instruct-q8_0`."""
    words = re.split(r"[-:]", name.lower())
    return next((word for word in reversed(words) if word in bits), None)


def _tables() -> dict[str, dict[str, Any]]:
    shipped = tomllib.loads(files("wherry.models").joinpath("local.toml").read_text(encoding="utf-8"))
    path = os.environ.get(VARIABLE, "")
    if not path:
        return shipped
    try:
        own = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Usage(f"the table of models cannot be read ({type(error).__name__})", where=path) from None
    for name, entry in own.items():
        _require_sound(name, entry, path, shipped["bits"])
    return {**shipped, **own, "bits": shipped["bits"]}


def _require_sound(name: str, entry: Any, path: str, bits: dict[str, Any]) -> None:
    held = entry if isinstance(entry, dict) else {}
    numbers = [value for key, value in held.items() if key not in ("quantisation", "source")]
    sound = all(isinstance(value, int | float) and not isinstance(value, bool) and value > 0 for value in numbers)
    if not (sound and "parameters" in held and set(held) <= _FIELDS and held.get("quantisation", "f16") in bits):
        raise Usage(
            f"the table of {name} is wrong",
            where=path,
            next=f"write parameters (billions), and of {', '.join(sorted(_FIELDS))} what is known",
        )
