"""Cutting documents into chunks; each knows the exact characters it covers."""

from __future__ import annotations

from wherry.indexing.chunking.pieces import text_of
from wherry.indexing.chunking.specs import CHUNKERS, open_chunker

__all__ = ["CHUNKERS", "open_chunker", "text_of"]
