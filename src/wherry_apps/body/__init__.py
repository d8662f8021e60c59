"""Body: InBody sheets become body types, reports, weekly plans, and answers to questions about them."""

from __future__ import annotations

import wherry

app = wherry.App(
    name="body",
    about="Body-composition sheets to reports, weekly plans and questions about them.",
    commands="wherry_apps.body.cli:commands",
    router="wherry_apps.body.api:router",
    service="wherry_apps.body.service:open_service",
)
