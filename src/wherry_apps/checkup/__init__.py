"""Health-checkup questions answered from guidance, and the move from a cloud index."""

from __future__ import annotations

import wherry

app = wherry.App(
    name="checkup", about="Health-checkup questions answered from guidance, and the move off a cloud index."
)
