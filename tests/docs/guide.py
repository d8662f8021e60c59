"""Put the files of the engine in `tests/engines/shelf` into the guide that shows them: `python -m tests.docs.guide`."""

from __future__ import annotations

import re

from tests.docs.blocks import ROOT

PAGE = ROOT / "docs" / "add-an-engine.md"
SHELF = ROOT / "tests" / "engines" / "shelf"


def main() -> None:
    """Rewrite the three blocks of the page."""
    text = PAGE.read_text(encoding="utf-8")
    for name in ("pyproject.toml", "shelf.py", "test_shelf.py"):
        body = (SHELF / name).read_text(encoding="utf-8").rstrip()
        block = re.compile(rf"(cat > {re.escape(name)} <<'END'\n).*?(\nEND\n```)", re.S)
        text = block.sub(lambda found, body=body: found[1] + body + found[2], text)
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
