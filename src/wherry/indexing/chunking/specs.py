"""Chunkers by their spec: `markdown?size=1200`, `sentences`, `fixed?size=1000&overlap=200`, `tokens?size=450`."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from urllib.parse import parse_qsl

from wherry.errors import Usage
from wherry.indexing.base import Chunker
from wherry.indexing.chunking.auto import Auto
from wherry.indexing.chunking.counted import Tokens
from wherry.indexing.chunking.fixed import Fixed
from wherry.indexing.chunking.markdown import Markdown
from wherry.indexing.chunking.plain import Sentences

# Name -> (class, options and how their words are read).
CHUNKERS: dict[str, tuple[Callable[..., Chunker], dict[str, type]]] = {
    "auto": (Auto, {"size": int}),
    "markdown": (Markdown, {"size": int, "prefix": bool, "smallest": int}),
    "sentences": (Sentences, {"size": int, "overlap": int, "prefix": bool}),
    "fixed": (Fixed, {"size": int, "overlap": int}),
    "tokens": (Tokens, {"size": int, "overlap": int, "tokenizer": str}),
}
_BOOLS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def open_chunker(spec: str | None = None) -> Chunker:
    """Return the chunker of a spec: a name, and options after a question mark; `auto` when there is none.

    Raises Usage for a name or an option that does not exist, or a value that cannot be.
    """
    spec = (spec or "auto").strip()
    name, _, query = spec.partition("?")
    if name not in CHUNKERS:
        close = difflib.get_close_matches(name, CHUNKERS, 1)
        raise Usage(
            f"no chunker is called {name!r}",
            next=f"use {close[0]}" if close else f"use one of {', '.join(CHUNKERS)}",
        )
    made, known = CHUNKERS[name]
    return made(**_options(spec, query, known))


def _options(spec: str, query: str, known: dict[str, type]) -> dict[str, int | bool | str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    except ValueError:
        raise Usage(f"the options of {spec!r} cannot be read", next="write NAME?size=1200&...") from None
    options: dict[str, int | bool | str] = {}
    for name, value in pairs:
        if name not in known or name in options:
            what = "is given twice in" if name in options else "is no option of"
            raise Usage(f"{name} {what} the chunker {spec!r}", next=f"options: {', '.join(known)}")
        options[name] = _read(name, value, known[name])
    return options


def _read(name: str, value: str, kind: type) -> int | bool | str:
    if kind is int and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    if kind is bool and value.lower() in _BOOLS:
        return _BOOLS[value.lower()]
    if kind is str:
        return value
    wanted = "a whole number" if kind is int else "1 or 0"
    raise Usage(f"the option {name} of a chunker is {wanted}, not {value!r}")
