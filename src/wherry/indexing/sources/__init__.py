"""Where documents come from: files and folders, rows of tables, an SQL query."""

from __future__ import annotations

from wherry.indexing.sources.files import Files
from wherry.indexing.sources.paths import open_source_paths, open_sources
from wherry.indexing.sources.sql import SqlSource

__all__ = ["Files", "SqlSource", "open_source_paths", "open_sources"]
