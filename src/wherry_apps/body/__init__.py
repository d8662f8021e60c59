"""Body-composition sheets to reports, weekly plans and questions about them."""

from __future__ import annotations

import wherry

app = wherry.App(name="body", about="Body-composition sheets to reports, weekly plans and questions about them.")
