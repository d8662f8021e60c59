"""Health-checkup questions answered from guidance, and the move off a cloud index."""

from __future__ import annotations

import wherry

app = wherry.App(
    name="checkup",
    about="Health-checkup questions answered from guidance, and the move off a cloud index.",
    commands="wherry_apps.checkup.cli:commands",
    router="wherry_apps.checkup.api:router",
    service="wherry_apps.checkup.service:open_service",
    body_limit_bytes=20_000_000,
)
