"""Engines that hold collections, and what opens them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wherry.stores.pgvector.models import from_model

__all__ = ["from_model"]


def __getattr__(name: str) -> Any:
    # Found when first used: an engine that is not asked for costs nothing.
    if name != "from_model":
        raise AttributeError(f"module 'wherry.stores' has no attribute {name!r}")
    from wherry.stores.pgvector.models import from_model

    return from_model
