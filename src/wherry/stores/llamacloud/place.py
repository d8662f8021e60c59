"""What an address of LlamaCloud says: which service, which key, which pipeline, how fast."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from wherry.address import Address
from wherry.errors import AuthFailed, BadAddress
from wherry.space import Metric

# In this order; the last is what users of LlamaIndex often have.
KEY_VARIABLES = ("LLAMA_CLOUD_API_KEY", "LLAMA_PARSE_API_KEY", "LLAMAINDEX_API_KEY")
URL_VARIABLE = "LLAMA_CLOUD_BASE_URL"
DEFAULT_URL = "https://api.cloud.llamaindex.ai"
OPTIONS = {"project", "metric", "carry", "via", "embedder", "budget", "rate", "concurrency", "deadline", "timeout"}
CARRIED = ("document_id", "start_char_idx", "end_char_idx")
# Fields of a chunk that may be kept in the metadata of its record.
CARRIABLE = frozenset(
    {*CARRIED, "relationships", "mimetype", "class_name", "excluded_embed_metadata_keys"}
    | {"excluded_llm_metadata_keys", "metadata_seperator", "metadata_template", "text_template"}
)
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_RATE, _CONCURRENCY, _DEADLINE_S, _TIMEOUT_S = 20.0, 4, 300.0, 60.0


@dataclass(frozen=True)
class Place:
    """An address, read. shown: fit to print. url: of the service. key: for the client alone.

    name: of the pipeline, or its id. project: name or id, None for any. carry: fields of a chunk that its
    record's metadata keep. sink: read the pipeline's own store instead. embedder: spec of the model that makes
    vectors anew, None for the service's. budget: dollars that may cost. rate: requests per second.
    concurrency: requests at once. deadline: seconds for which one request is tried. timeout: seconds of one.
    """

    shown: str
    url: str
    key: str = field(repr=False)
    name: str
    project: str | None
    metric: Metric | None
    carry: tuple[str, ...]
    sink: bool
    embedder: str | None
    budget: float
    rate: float
    concurrency: int
    deadline: float
    timeout: float

    @classmethod
    def of(cls, address: Address) -> Place:
        """Read an address. Raises BadAddress, and AuthFailed where the environment holds no key."""
        address.require_options(OPTIONS)
        if not address.collection:
            raise BadAddress("which pipeline is meant?", where=str(address), next="write llamacloud:#NAME-OR-ID")
        if address.option("via") not in (None, "sink"):
            raise BadAddress("via is `sink` or left out", where=str(address))
        return cls(
            shown=str(address),
            url=_url(address),
            key=_key(str(address)),
            name=address.collection,
            project=address.option("project"),
            metric=address.stated_metric(),
            carry=_carry(address),
            sink=address.option("via") == "sink",
            embedder=address.option("embedder") or None,
            budget=_number(address, "budget", 0.0, least=True),
            rate=_number(address, "rate", _RATE),
            concurrency=max(1, int(_number(address, "concurrency", _CONCURRENCY))),
            deadline=_number(address, "deadline", _DEADLINE_S),
            timeout=_number(address, "timeout", _TIMEOUT_S),
        )

    @property
    def host(self) -> str:
        """Host and port of the service."""
        return urlsplit(self.url).netloc

    @property
    def exposes_key(self) -> bool:
        """Whether the key travels unencrypted over a network."""
        parts = urlsplit(self.url)
        return parts.scheme == "http" and parts.hostname not in _LOOPBACK


def _url(address: Address) -> str:
    _, _, wire = address.scheme.partition("+")
    if not address.location:
        if wire:
            raise BadAddress(
                "the address names no host", where=str(address), next=f"write {address.scheme}://HOST#NAME"
            )
        return _checked(os.environ.get(URL_VARIABLE) or DEFAULT_URL, URL_VARIABLE)
    return _checked(f"{wire or 'https'}:{address.location}", str(address))


def _checked(url: str, where: str) -> str:
    parts = urlsplit(url)
    try:
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        known = False
    if not known or parts.username is not None or parts.query:
        raise BadAddress(
            "the service is named as http(s)://HOST or http(s)://HOST:PORT",
            where=where,
            next=f"the key goes into {KEY_VARIABLES[0]}, not into an address",
        )
    return url.rstrip("/")


def key_of_environment() -> tuple[str, str]:
    """Return the variable that holds a key and the key; two empty texts where there is none."""
    return next(((n, k) for n in KEY_VARIABLES if (k := os.environ.get(n, "").strip())), ("", ""))


def _key(where: str) -> str:
    name, key = key_of_environment()
    if not key:
        raise AuthFailed("there is no key for LlamaCloud", where=where, next=f"export {KEY_VARIABLES[0]}=llx-…")
    if not (key.isascii() and key.isprintable()) or " " in key:
        # The HTTP library would repeat such a key in its complaint.
        raise AuthFailed(f"{name} holds a character that no key has", where=where, next=f"set {name} again")
    return key


def _carry(address: Address) -> tuple[str, ...]:
    said = address.option("carry")
    if said is None:
        return CARRIED
    names = tuple(dict.fromkeys(name.strip() for name in said.split(",") if name.strip()))
    unknown = sorted(set(names) - CARRIABLE)
    if unknown:
        raise BadAddress(
            f"a chunk has no field {', '.join(unknown)}",
            where=str(address),
            next=f"carry any of {', '.join(sorted(CARRIABLE))}",
        )
    return names


def _number(address: Address, name: str, default: float, least: bool = False) -> float:
    """Return an option that is a number above 0, with `least` of 0 or above."""
    said = address.option(name)
    try:
        value = default if said is None else float(said)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9 or (value == 0 and not least):
        raise BadAddress(f"{name} is a number {'of 0 or more' if least else 'above 0'}", where=str(address))
    return value


__all__ = ["CARRIED", "KEY_VARIABLES", "Place", "key_of_environment"]
