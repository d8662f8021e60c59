"""Model specs: which model, as one line of text.

    openai:text-embedding-3-small?dim=512      bedrock:amazon.titan-embed-text-v2:0?dim=1024
    ollama:qwen3-embedding:8b?dim=1024         st:./models/minilm        hash:1024        offline

What stands before the first colon names the provider, the rest up to `?` the model. Options follow as
`name=value` joined by `&`. Keys never stand in a spec: they come from the environment.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote

from wherry.address import redact
from wherry.errors import BadAddress

# What the guard understands, whatever the provider.
GUARD_OPTIONS = frozenset({"rpm", "tpm", "concurrency", "timeout", "deadline"})
EMBED_OPTIONS = GUARD_OPTIONS | {"dim", "batch", "probe", "window"}
_SECRET = re.compile(r"pass|pwd|secret|token|key|auth|cred", re.IGNORECASE)


@dataclass(frozen=True)
class ModelSpec:
    """A spec, read. provider: names the file that speaks to it. model: as the provider calls it."""

    provider: str
    model: str = ""
    options: dict[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, text: str) -> ModelSpec:
        """Read a spec. Raises BadAddress, which never repeats a key."""
        name, mark, query = text.strip().partition("?")
        provider, _, model = name.partition(":")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", provider):
            raise BadAddress("the model spec names no provider", next="write PROVIDER:MODEL, for example hash:1024")
        return cls(provider.lower(), model, _options(query) if mark else {})

    def require(self, known: frozenset[str] | set[str]) -> None:
        """Raise BadAddress when the spec has no model or an option that nobody reads."""
        if not self.model:
            raise BadAddress(f"{self.provider}: names no model", next=f"write {self.provider}:MODEL")
        unknown = sorted(set(self.options) - known)
        if unknown:
            raise BadAddress(
                f"unknown option {', '.join(unknown)} in {self}", next=f"known options: {', '.join(sorted(known))}"
            )

    def text(self, name: str) -> str | None:
        """Return an option as it was written."""
        return self.options.get(name)

    def whole(self, name: str) -> int | None:
        """Return an option that must be a whole number of at least 1. Raises BadAddress."""
        found = self.options.get(name)
        if found is None:
            return None
        if not re.fullmatch(r"[0-9]{1,12}", found) or int(found) < 1:
            raise BadAddress(f"{name}={found!r} in {self} is no whole number of at least 1")
        return int(found)

    def seconds(self, name: str) -> float | None:
        """Return an option that must be a number of seconds above 0. Raises BadAddress."""
        found = self.options.get(name)
        if found is None:
            return None
        try:
            value = float(found)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value > 0):
            raise BadAddress(f"{name}={found!r} in {self} is no number of seconds above 0")
        return value

    def temperature(self) -> float | None:
        """Return the option `temperature`, from 0 to 2. Raises BadAddress."""
        found = self.options.get("temperature")
        if found is None:
            return None
        if not re.fullmatch(r"[0-2](\.[0-9]+)?", found) or float(found) > 2:
            raise BadAddress(f"temperature={found!r} in {self} is no number from 0 to 2")
        return float(found)

    def flag(self, name: str) -> bool:
        """Return an option that must be true or false; false where it is not given. Raises BadAddress."""
        return self.choice(name, ("false", "true")) == "true"

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """Return an option that must be one of a few words, the first where it is not given. Raises BadAddress."""
        found = self.options.get(name, allowed[0])
        if found not in allowed:
            raise BadAddress(f"{name}={found!r} in {self} is unknown", next=f"use one of {', '.join(allowed)}")
        return found

    def __str__(self) -> str:
        shown = f"{self.provider}:{self.model}" if self.model else self.provider
        pairs = [f"{name}={quote(redact(value), safe=',./:*@-')}" for name, value in sorted(self.options.items())]
        return shown + ("?" + "&".join(pairs) if pairs else "")


def _options(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError:
        raise BadAddress("the options of the model spec cannot be read", next="write ?name=value&...") from None
    secret = [name for name, _ in pairs if _SECRET.search(name)]
    if secret:
        raise BadAddress(
            f"the option {secret[0]} looks like a credential, which does not belong into a model spec",
            next="set the provider's environment variable instead (docs/models.md lists them)",
        )
    options = dict(pairs)
    if len(options) != len(pairs):
        raise BadAddress("an option is given twice in the model spec")
    return options
