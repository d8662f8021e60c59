"""What counts as a token where a chunk is measured in tokens."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from wherry.errors import MissingExtra, Usage

# Returns where each token of a text begins, in ascending order.
Tokenizer = Callable[[str], list[int]]
# A run without spaces (Chinese, Japanese, a long address) must not be one token of any length.
_WORD = re.compile(r"\S{1,64}")
_PIECE = re.compile(r"[A-Za-z]{1,4}|\d{1,3}|[^\sA-Za-z\d]")
_SURROGATE = re.compile("[\ud800-\udfff]")
NAMES = ("auto", "kiwi", "space", "estimate")


def open_tokenizer(name: str) -> tuple[str, Tokenizer]:
    """Return (name with version, tokenizer).

    space: words between white space. kiwi: Korean morphemes. estimate: about what language models count: a Hangul
    syllable or a sign is one, four letters are one. auto: kiwi where it is installed, else space.
    Raises Usage for another name, MissingExtra for kiwi where it is not installed.
    """
    if name == "auto":
        name = "kiwi" if _kiwi_version() else "space"
    if name == "kiwi":
        found = _kiwi_version()
        if found is None:
            raise MissingExtra("the Korean tokenizer is not installed", next="pip install 'wherry[korean]'")
        return f"kiwi/{found}", _morphemes
    if name == "space":
        return "space/1", lambda text: [word.start() for word in _WORD.finditer(text)]
    if name == "estimate":
        return "estimate/1", lambda text: [piece.start() for piece in _PIECE.finditer(text)]
    raise Usage(f"no tokenizer is called {name!r}", next=f"use one of {', '.join(NAMES)}")


def _kiwi_version() -> str | None:
    try:
        return f"{version('kiwipiepy')}+{version('kiwipiepy_model')}"
    except PackageNotFoundError:
        return None


@lru_cache(maxsize=1)
def _kiwi() -> Any:
    from kiwipiepy import Kiwi

    return Kiwi(num_workers=1)


def _morphemes(text: str) -> list[int]:
    # Half a surrogate pair is no text to it; what replaces it takes as much room.
    return sorted(token.start for token in _kiwi().tokenize(_SURROGATE.sub("\ufffd", text)))
