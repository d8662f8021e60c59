"""A small app, as a stranger would write it: what the kit is tested with."""

from __future__ import annotations

import wherry

app = wherry.App(
    name="notes",
    about="Notes that can be asked.",
    commands="tests.apps.notes.cli:commands",
    router="tests.apps.notes.api:router",
    service="tests.apps.notes.service:open_service",
    background="tests.apps.notes.service:counting",
    body_limit_bytes=2_000_000,
)
