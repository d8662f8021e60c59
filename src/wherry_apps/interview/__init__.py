"""Interview: job posts, answers and evidence-backed results.

rules/       what is decided by rule: chunks, weights, scores, evidence
tables.py    the tables
forms.py     what comes in
service/     what it does
carrying/    tables of older programs, brought over
api.py       endpoints under /api/interview; live.py the interview over a web socket
cli.py       `wherry interview ...`; acts.py what the commands do
demo.py      the story of `wherry interview demo`; story/ its people, posts and answers
migrations/  the one history of the tables
"""

from __future__ import annotations

import wherry

app = wherry.App(
    name="interview",
    about="Job posts, interviews and scored results with quoted evidence.",
    commands="wherry_apps.interview.cli:commands",
    router="wherry_apps.interview.api:router",
    service="wherry_apps.interview.service:open_service",
    # The largest file and what a form puts around it; what is a little too large is told so by its own check.
    body_limit_bytes=12_000_000,
)
