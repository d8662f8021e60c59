"""Runs in a JSON file: one run, a list, `{"output": {"runs": [...]}}`, or runs in the short form with `cases`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

from wherry import BadRecord
from wherry_apps.evals.reading.base import PAGE, Raw
from wherry_apps.evals.reading.marks import mark_of
from wherry_apps.evals.rules import canonical
from wherry_apps.evals.runs import Json


class JsonRuns:
    """A JSON file of runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: list[Json] | None = None

    @property
    def place(self) -> str:
        """The path of the file."""
        return str(self._path.resolve())

    def mark(self) -> str | None:
        """Return the mark of the file."""
        return mark_of(self._path)

    def pages(self, limit: int | None = None) -> Iterator[list[Raw]]:
        """Yield runs, newest first. Raises BadRecord when the file holds none."""
        runs = self._runs()[:limit]
        for start in range(0, len(runs), PAGE):
            yield [_raw(run) for run in runs[start : start + PAGE]]

    def ids(self) -> set[str]:
        """Return the ids of all its runs."""
        return {str(run["run_id"]) for run in self._runs()}

    def close(self) -> None:
        """Forget what was read."""
        self._found = None

    def _runs(self) -> list[Json]:
        if self._found is None:
            try:
                data = json.loads(self._path.read_bytes().decode("utf-8-sig"))
            except (UnicodeDecodeError, ValueError) as error:
                raise BadRecord(f"the file is no JSON: {error}", where=self.place) from None
            self._found = newest_first(runs_in(data, self.place))
        return self._found


def runs_in(data: Any, where: str) -> list[Json]:
    """Return the runs of a JSON value in any of its forms. Raises BadRecord when it has none of them."""
    if isinstance(data, dict) and isinstance(data.get("output"), dict):
        data = data["output"]
    if isinstance(data, dict) and isinstance(data.get("runs"), list):
        data = data["runs"]
    found = [data] if isinstance(data, dict) and "run_id" in data else data
    if isinstance(found, list) and all(isinstance(one, dict) and one.get("run_id") for one in found):
        return found
    raise BadRecord(
        "the JSON holds no runs: neither a run, nor a list of them, nor output.runs",
        where=where,
        next="each run needs its run_id",
    )


def newest_first(runs: list[Json]) -> list[Json]:
    """Return runs by (started_at descending, run_id), as databases page them."""
    by_id = sorted(runs, key=lambda run: str(run["run_id"]))
    return sorted(by_id, key=lambda run: str(run.get("started_at") or ""), reverse=True)


def _raw(run: Json) -> Raw:
    digest = blake2b(canonical(_plain(run)), digest_size=16).hexdigest()
    return Raw(str(run["run_id"]), digest, partial(dict, run))


def _plain(value: Any) -> Any:
    """Return a value without NaN and infinities, which JSON of Python's may hold."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return repr(value) if isinstance(value, float) else value
