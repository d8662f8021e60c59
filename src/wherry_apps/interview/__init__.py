"""Job posts, interviews and scored results with quoted evidence."""

from __future__ import annotations

import wherry

app = wherry.App(name="interview", about="Job posts, interviews and scored results with quoted evidence.")
