"""Where documents come from: files and folders, rows of tables, an SQL query."""

from __future__ import annotations

from wherry.indexing.sources.files import Files
from wherry.indexing.sources.paths import open_source_paths, open_sources
from wherry.indexing.sources.sql import SqlSource
from wherry.indexing.sources.tables import Columns

__all__ = ["Columns", "Files", "SqlSource", "open_source_paths", "open_sources"]
