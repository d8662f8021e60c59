"""Where runs are read from: a SQLite file of either generation, PostgreSQL, or JSON. Nothing is ever written there."""

from __future__ import annotations

from wherry_apps.evals.reading.base import Raw, RunSource
from wherry_apps.evals.reading.opening import configured, open_runs

__all__ = ["Raw", "RunSource", "configured", "open_runs"]
