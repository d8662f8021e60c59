"""Addresses: where a collection is, as one line of text.

    pgvector:#docs                      a table of the embedded PostgreSQL (or WHERRY_DATABASE_URL)
    postgresql://user:pw@host/db#docs   a table of any server
    chroma:./welno#guides               a collection in a persistent Chroma folder
    chroma+http://host:8000#guides      a collection of a Chroma server
    export.json  dump.parquet  a.jsonl  an archive file
    memory:#name                        a collection of this process

Options follow a question mark, before or after the fragment: `pgvector:#docs?id=pk&vector=emb`.
A literal `?`, `#` or `%` in a name is percent-encoded. Passwords never leave this module: `str`,
`repr` and every message show `***` in their place.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from wherry.errors import BadAddress
from wherry.space import Metric

ARCHIVE_SUFFIXES = (".json", ".jsonl", ".parquet")
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:")
_SECRET_OPTION = re.compile(r"pass|pwd|secret|token|key|auth|cred", re.IGNORECASE)
# `//user:password@`, and what a mistyped address makes of it: `postgresql//user:…`, `postgresql:user:…`.
# Greedy up to the last @: a password may hold an unencoded / or @, and must not show for that.
_PASSWORD = re.compile(r"^(.*?//|/?)([^/:]*):(.*)@", re.DOTALL)
_CREDENTIALS = re.compile(r"//|^/?[^/:]*:")
HIDDEN = "***"


@dataclass(frozen=True)
class Address:
    """Where a collection is.

    scheme: names the engine. location: a path, or an URL's `//user:pw@host:port/path`.
    collection: the name after `#`, decoded. options: the query, decoded.
    """

    scheme: str
    location: str = field(repr=False)
    collection: str = ""
    options: dict[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read an address. Raises BadAddress, which never repeats a password."""
        if not text.strip():
            raise BadAddress("the address is empty", next="write ENGINE:PLACE#COLLECTION or a file name")
        if "\x00" in text:
            raise BadAddress("an address cannot hold a NUL character")
        scheme, rest = _split_scheme(text)
        rest, _, fragment = rest.partition("#")
        location, _, query = rest.partition("?")
        if "@" in query + fragment and _CREDENTIALS.search(location):
            raise BadAddress(
                "the address holds an @ after its first # or ?",
                next="write # and ? inside a password as %23 and %3F, and @ in a name or an option as %40",
            )
        name, _, late_query = fragment.partition("?")
        options = _options("&".join(part for part in (query, late_query) if part))
        if not scheme:
            _require_archive(location)
            scheme = "archive"
        return cls(scheme.lower(), location, unquote(name), options)

    @property
    def path(self) -> str:
        """The location as a file path, decoded only where it was written as an URL."""
        return unquote(self.location[2:]) if self.location.startswith("///") else self.location

    @property
    def url(self) -> str:
        """The location as an URL with its credentials: for the driver alone, never for a message."""
        return f"{self.scheme}:{self.location}"

    def option(self, name: str, default: str | None = None) -> str | None:
        """Return one option of the address."""
        return self.options.get(name, default)

    def stated_metric(self) -> Metric | None:
        """Return the metric that `?metric=` states, for a collection that does not say it itself."""
        name = self.option("metric")
        return None if name is None else Metric.parse(name)

    def require_options(self, known: set[str]) -> None:
        """Raise BadAddress when the address has an option that its engine does not know."""
        unknown = sorted(set(self.options) - known)
        if unknown:
            raise BadAddress(
                f"unknown option {', '.join(unknown)} in {self}",
                next=f"known options: {', '.join(sorted(known))}",
            )

    def __str__(self) -> str:
        prefix = "" if self.scheme == "archive" else f"{self.scheme}:"
        shown = prefix + _without_password(self.location)
        if self.options:
            pairs = [
                f"{quote(k, safe='')}={HIDDEN if _SECRET_OPTION.search(k) else quote(redact(v), safe=',./:*')}"
                for k, v in sorted(self.options.items())
            ]
            shown += "?" + "&".join(pairs)
        if self.collection:
            shown += "#" + _encode_name(self.collection)
        return shown

    def __repr__(self) -> str:
        return f"Address({str(self)!r})"


def redact(text: str, *secrets: str) -> str:
    """Return `text` with each secret hidden, raw, quoted or URL-encoded, and every `//user:pw@` masked."""
    forms = {form for secret in filter(None, secrets) for form in _spellings(secret)}
    # The longest first: a secret may be part of another one.
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, HIDDEN)
    text = re.sub(r"(//[^/\s:]*):\S*@", rf"\1:{HIDDEN}@", text)
    return re.sub(r"(?i)(password\s*=\s*)('[^']*'|\S+)", rf"\1{HIDDEN}", text)


def secrets_of(address: Address) -> list[str]:
    """Return the secret values an address carries, raw and decoded, for `redact`."""
    found = [v for k, v in address.options.items() if _SECRET_OPTION.search(k)]
    for place in (address.location, *(v for v in address.options.values() if "//" in v)):
        match = _PASSWORD.match(place)
        if match and match[3]:
            found += [match[3], unquote(match[3])]
    return found


def _spellings(secret: str) -> set[str]:
    """Return the forms in which drivers and libraries repeat a text in their messages."""
    return {
        secret,
        quote(secret, safe=""),
        quote(secret),
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
    }


def _split_scheme(text: str) -> tuple[str, str]:
    match = _SCHEME.match(text)
    # A file name may hold a colon; only a known suffix without an engine prefix is a bare file.
    if match is None or (len(match.group()) == 2 and text[2:3] in "/\\"):
        return "", text
    scheme = match.group()[:-1]
    return scheme, text[len(match.group()) :]


def _require_archive(location: str) -> None:
    if not location.endswith(ARCHIVE_SUFFIXES):
        raise BadAddress(
            f"{_without_password(location)!r} names no engine and is no archive file",
            next="write ENGINE:PLACE#COLLECTION, or a file ending in " + ", ".join(ARCHIVE_SUFFIXES),
        )


def _options(query: str) -> dict[str, str]:
    if not query:
        return {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        raise BadAddress("the options of the address cannot be read", next="write ?name=value&...") from None
    options = dict(pairs)
    if len(options) != len(pairs):
        raise BadAddress("an option is given twice in the address")
    return options


def _encode_name(name: str) -> str:
    return re.sub(r"[%?#@\x00-\x20]", lambda m: quote(m.group()), name)


def _without_password(location: str) -> str:
    return _PASSWORD.sub(rf"\1\2:{HIDDEN}@", location)


def is_url(location: str) -> bool:
    """Tell whether a location names a host (`//host…`), not a path."""
    return bool(urlsplit(location).netloc)
