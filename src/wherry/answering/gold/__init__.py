"""Questions with known answers, shipped with Wherry: `gold:guides` (Korean) and `gold:docs` (English).

They were written by hand for the sample knowledge base and for Wherry's own documents, in words that people use
and not in those of the texts. The documents of `docs` are kept as they were when its questions were written.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from wherry.errors import Usage

NAMES = ("guides", "docs")
PREFIX = "gold:"


def load(name: str) -> dict[str, Any]:
    """Return a set: its `name`, `about`, `questions`, and `documents` where they are no part of the demo.

    Raises Usage for a name that is not shipped.
    """
    if name not in NAMES:
        raise Usage(f"there is no set of questions {name!r}", next=f"use {', '.join(PREFIX + n for n in NAMES)}")
    text = resources.files(__name__).joinpath(f"{name}.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
