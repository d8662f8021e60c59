"""The command line: arguments in, exit code out.

    app.py       commands and flags; *_app.py: those of one group
    later.py     groups and apps, built when they are typed
    acts.py      calling an act and printing what it returned
    show.py      results as a person reads them
    search.py    asking a collection
    evaluate.py  measuring a search, making its words
    runs.py      the journals: what ran here
    bars.py      progress
    failures.py  errors: what, where, left behind, next
    words.py     numbers, sizes and commands as people write them

Nothing here is imported before it is needed: `wherry --help` loads no engine.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 done, 1 different, 2 usage, 3 refused, 4 store unreachable, 5 bad record, 6 integrity, 7 busy,
    130 interrupted (also by SIGTERM), 70 a bug of Wherry itself.
    """
    from wherry.cli.failures import report, terminable

    args = list(sys.argv[1:] if argv is None else argv)
    try:
        with terminable():
            from wherry.cli.app import app

            # Parsing only returns the job: nothing that an act raises passes through typer's own
            # error handling, which has other exit codes.
            job = app(args or ["--help"], prog_name="wherry", standalone_mode=False)
            if not args:
                return 2
            return int(job()) if callable(job) else int(job or 0)
    except (Exception, KeyboardInterrupt) as error:
        return report(error, args)
