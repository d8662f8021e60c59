"""The demo plays its whole story, and leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from wherry_apps.evals.demo import SCHEMA
from wherry_apps.evals.service import Evals


def test_the_story_ends_as_promised_and_leaves_nothing(
    evals: Evals, run_cli: Callable[..., tuple[int, Any, str]]
) -> None:
    code, out, told = run_cli("demo", "--json")
    assert code == 0, told
    found = json.loads(out)
    assert found["first"]["new"] == 5
    assert found["second"]["chunks_embedded"] == 0
    assert found["saved"]["indexed"] is True
    assert found["deleted"]["deleted"] == 1
    assert (found["broken"]["failed"], found["broken"]["modified"]) == (1, 1)
    assert found["refused"]["exit_code"] == 3
    assert {one["how"] for one in found["answers"].values()} == {"computed", "found"}
    assert found["seconds"] < 60
    with evals.database.begin() as connection:
        left = connection.exec_driver_sql("SELECT 1 FROM pg_namespace WHERE nspname = %s", (SCHEMA,)).first()
    assert left is None
