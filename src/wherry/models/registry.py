"""Which provider answers to which model spec.

A provider is one module with `open_embedder(spec)`, `open_chat(spec)` or both; each returns a wire (`wire.py`)
or, for models of somebody else's making, anything that is an Embedder or a Chat. It is imported when a spec
first names it. Other packages add providers through the entry point group `wherry.models`: the entry's name is
the provider, its value the module.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, cast

from wherry.errors import MissingExtra, UnknownModel, Unsupported
from wherry.models.base import Chat, Embedder
from wherry.models.calls import Patience
from wherry.models.chat_guard import GuardedChat
from wherry.models.guard import GuardedEmbedder
from wherry.models.plain import PlainEmbedder
from wherry.models.spec import ModelSpec
from wherry.models.wire import ChatWire, EmbedWire

# provider -> (module under wherry.models.providers, extra that installs its client)
PROVIDERS: dict[str, tuple[str, str | None]] = {
    "hash": ("hash", None),
    "offline": ("offline", None),
    "openai": ("openai", "openai"),
    "bedrock": ("bedrock", "bedrock"),
    "ollama": ("ollama", "ollama"),
    "gemini": ("gemini", "gemini"),
    "anthropic": ("anthropic", "anthropic"),
    "st": ("st", "st"),
}


def open_embedder(spec: str, *, patience: Patience | None = None) -> GuardedEmbedder:
    """Open an embedding model behind the guard. Contacts nobody yet. patience: how failures are met.

    Raises BadAddress, UnknownModel, Unsupported, MissingExtra or AuthFailed (no key).
    """
    parsed = ModelSpec.parse(spec)
    made = _function(parsed, "open_embedder", "embeds nothing")(parsed)
    # Told by its method, since asking for the limits of a wire may ask its server.
    wire = cast(EmbedWire, made) if hasattr(made, "send") else PlainEmbedder(parsed, made)
    return GuardedEmbedder(wire, patience)


def open_chat(spec: str, *, patience: Patience | None = None) -> Chat:
    """Open a chat model behind the guard. Contacts nobody yet. patience: how failures are met.

    Raises BadAddress, UnknownModel, Unsupported, MissingExtra or AuthFailed (no key).
    """
    parsed = ModelSpec.parse(spec)
    made = _function(parsed, "open_chat", "answers no questions")(parsed)
    # A Chat tells its spec as text, a wire as it was read.
    return GuardedChat(cast(ChatWire, made), patience) if isinstance(made.spec, ModelSpec) else cast(Chat, made)


def guarded(embedder: Embedder, *, patience: Patience | None = None) -> GuardedEmbedder:
    """Put the guard around an embedder of your own."""
    return GuardedEmbedder(PlainEmbedder(ModelSpec.parse(embedder.spec), embedder), patience)


def _function(spec: ModelSpec, name: str, denial: str) -> Any:
    function = getattr(_module(spec.provider), name, None)
    if function is None:
        raise Unsupported(f"{spec.provider} {denial}", where=str(spec), next="name another provider")
    return function


def _module(provider: str) -> ModuleType:
    if provider in PROVIDERS:
        module, extra = PROVIDERS[provider]
        return _load(f"wherry.models.providers.{module}", provider, extra)
    for entry in entry_points(group="wherry.models"):
        if entry.name == provider:
            return cast(ModuleType, entry.load())
    raise UnknownModel(f"no provider answers to {provider}:", next=f"known providers: {', '.join(sorted(PROVIDERS))}")


def _load(module: str, provider: str, extra: str | None) -> ModuleType:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if extra is None or (error.name or "").startswith("wherry"):
            raise
        raise MissingExtra(
            f"{provider} needs the package {error.name}, which is not installed",
            next=f'pip install "wherry[{extra}]"',
        ) from None
