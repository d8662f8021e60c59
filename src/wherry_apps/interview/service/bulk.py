"""Many posts at once: each on its own, so that one that is no post does not keep the others out."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import wherry
from wherry_apps.interview.service import jobs
from wherry_apps.interview.service.jobs import Uploaded
from wherry_apps.interview.service.opened import Interview

_AHEAD = 4


@dataclass(frozen=True)
class Bulk:
    """What became of many posts. refused: those that are none, each with its reason."""

    uploaded: list[Uploaded] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0, or 5 where a file is no post or a chunk has no vector."""
        return 5 if self.refused or any(one.failed for one in self.uploaded) else 0

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {"uploaded": [one.to_dict() for one in self.uploaded], "refused": self.refused}


def upload_all(
    on: Interview, owner: str | None, company_id: int, posts: Iterable[tuple[str, str, bytes]], workers: int = 2
) -> Bulk:
    """Take in posts, given as (title, file name, data), `workers` at a time; a file that is no post is named.

    Raises what is wrong with everything: NotFound, SpaceMismatch, StoreError; what was taken in by then stays.
    """
    found, left = Bulk(), iter(posts)
    with ThreadPoolExecutor(workers) as pool:
        # A few are read ahead, never all of them: the files may be large.
        waiting = [_sent(pool, on, owner, company_id, one) for one in islice(left, workers * _AHEAD)]
        while waiting:
            name, future = waiting.pop(0)
            try:
                found.uploaded.append(future.result())
            except wherry.BadRecord as error:
                found.refused.append({"file": name, "error": error.what})
            waiting += [_sent(pool, on, owner, company_id, one) for one in islice(left, 1)]
    return found


def _sent(
    pool: ThreadPoolExecutor, on: Interview, owner: str | None, company_id: int, one: tuple[str, str, bytes]
) -> tuple[str, Future[Uploaded]]:
    title, name, data = one
    return name, pool.submit(jobs.upload, on, owner, company_id, title, data, name)
