"""Measure the bars: `python -m bench [NAME ...] [--rows N] [--rounds N] [--json FILE]`.

Without names every case runs. The table goes to stdout, the same figures to a JSON file beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from bench.measure import Bar

CASES = (
    "startup",
    "pg_copy",
    "pg_nochange",
    "pg_verify",
    "chroma",
    "faiss",
    "qdrant",
    "memory",
    "hash",
    "embedding",
    "korean",
    "search",
    "hybrid",
    "indexing",
    "compare",
    "workers",
    "checkup",
    "body",
    "switching",
    "interview",
    "evals",
    "tutor",
)


def main() -> int:
    """Run the cases and report; the exit code is 1 when a bar was missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], help="which cases to run (default: all)")
    parser.add_argument("--rows", type=int, default=200_000, help="records of the PostgreSQL cases")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each comparison")
    parser.add_argument("--json", type=Path, default=Path("bench/results.json"), help="where the figures go")
    wishes = parser.parse_args()
    bars: list[Bar] = []
    with tempfile.TemporaryDirectory(prefix="wherry-bench-", ignore_cleanup_errors=True) as folder:
        os.environ["WHERRY_HOME"] = str(Path(folder) / "state")
        for name in wishes.cases or CASES:
            print(f"# {name} ...", file=sys.stderr, flush=True)
            found = import_module(f"bench.{name}").run(Path(folder), wishes.rows, wishes.rounds)
            bars += found
            for bar in found:
                print(bar.row(), flush=True)
    _write(wishes.json, bars, wishes.rows, wishes.rounds)
    missed = [bar for bar in bars if not bar.met]
    print(f"{len(bars) - len(missed)} of {len(bars)} bars met; figures in {wishes.json}")
    return 1 if missed else 0


def _write(path: Path, bars: list[Bar], rows: int, rounds: int) -> None:
    report = {
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "rows": rows,
        "rounds": rounds,
        "bars": [bar.to_dict() for bar in bars],
    }
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
