"""Evaluation runs and guides, indexed before anyone asks."""

from __future__ import annotations

import wherry

app = wherry.App(
    name="evals",
    about="Evaluation runs and guides, indexed before anyone asks.",
    commands="wherry_apps.evals.cli:commands",
    router="wherry_apps.evals.api:router",
    service="wherry_apps.evals.service:open_service",
    background="wherry_apps.evals.warming:warm_up",
    body_limit_bytes=20_000_000,
)
