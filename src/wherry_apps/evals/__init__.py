"""Evaluation runs and guides, indexed before anyone asks."""

from __future__ import annotations

import wherry

app = wherry.App(name="evals", about="Evaluation runs and guides, indexed before anyone asks.")
