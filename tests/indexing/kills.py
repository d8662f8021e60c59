"""Ending a process at any one of its exchanges with the database."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import psycopg

from wherry.testing.crash import Ending, in_child


def exchanges(act: Callable[[], Any]) -> tuple[int, Ending]:
    """Call `act` in a process of its own; return how often it talked to a database, and how it ended."""

    def counted() -> Any:
        told = [0]
        with _counting(told, 0, False):
            return told, act()

    ending = in_child(counted)
    return (ending.value[0][0] if ending.value else 0), ending


def killed(act: Callable[[], Any], at: int, after: bool) -> Ending:
    """Call `act` in a process that is killed right before its exchange `at` (from 1), or right after it."""

    def doomed() -> Any:
        with _counting([0], at, after):
            return act()

    return in_child(doomed)


def _counting(told: list[int], at: int, after: bool) -> Any:
    original = psycopg.Connection.wait

    def wait(self: psycopg.Connection, *args: Any, **more: Any) -> Any:
        told[0] += 1
        due = told[0] == at
        if due and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(self, *args, **more)
        if due:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return patch.object(psycopg.Connection, "wait", wait)
