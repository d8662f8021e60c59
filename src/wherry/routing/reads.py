"""What readers of a route saw: every question with its time and its error, and how a shadow would have answered.

A reader only puts down that it asked; a thread writes it to the database and asks the shadow. Neither a slow
database nor a shadow that fails or hangs is felt by the reader: what there is no room for is counted and dropped.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Sequence
from typing import Any

from wherry.errors import WherryError
from wherry.routing.book import Book
from wherry.routing.querylog import QueryLog
from wherry.routing.sides import Asked, Side

_ROOM = 10_000
_EVERY_S = 0.5
_SHADOWS = 2
_SHADOWS_WAITING = 20
_INSERT = (
    "INSERT INTO wherry.route_reads (route, side, target, seconds, error, overlap)"
    " SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::real[], $5::text[], $6::real[])"
)
Row = tuple[str, str, str, float, str | None, float | None]


class Reads:
    """Keeps what a reader saw; `heard` is its ear. dropped: what there was no room for."""

    def __init__(self, chance: random.Random | None = None) -> None:
        self.dropped = 0
        self._log = QueryLog.wanted()
        self._rows: queue.Queue[Row | None] = queue.Queue(_ROOM)
        self._chance = chance or random.Random()
        self._shadows: queue.Queue[tuple[Asked, str]] = queue.Queue(_SHADOWS_WAITING)
        self._sides: dict[str, Side] = {}
        self._opening, self._ended = threading.Lock(), threading.Event()
        self._writer = threading.Thread(target=self._write, name="wherry-reads", daemon=True)
        self._writer.start()
        # Daemons: a shadow that hangs must not keep the process from ending.
        for _ in range(_SHADOWS):
            threading.Thread(target=self._follow, name="wherry-shadow", daemon=True).start()

    def heard(self, asked: Asked) -> None:
        """Put a question down; ask the shadow too, for its share of them."""
        error = type(asked.error).__name__ if asked.error else None
        self._put((asked.route.name, "live", asked.address, asked.seconds, error, None))
        if self._log is not None and asked.hits is not None and not self._log.add(asked):
            self.dropped += 1
        route = asked.route
        if route.shadow and asked.hits is not None and self._chance.random() < route.shadow_share:
            self._ask_shadow(asked, route.shadow)

    def close(self, wait_s: float = 5.0) -> None:
        """Write what is left; a shadow that hangs is waited for no longer than `wait_s` seconds."""
        until = time.monotonic() + wait_s
        with self._shadows.all_tasks_done:
            while self._shadows.unfinished_tasks and (left := until - time.monotonic()) > 0:
                self._shadows.all_tasks_done.wait(left)
        self._ended.set()
        self._rows.put(None)
        self._writer.join(wait_s)
        for side in self._sides.values():
            side.retire()

    def _ask_shadow(self, asked: Asked, shadow: str) -> None:
        try:
            self._shadows.put_nowait((asked, shadow))
        except queue.Full:
            self.dropped += 1

    def _follow(self) -> None:
        while not self._ended.is_set():
            try:
                asked, shadow = self._shadows.get(timeout=_EVERY_S)
            except queue.Empty:
                continue
            self._compare(asked, shadow)
            self._shadows.task_done()

    def _compare(self, asked: Asked, shadow: str) -> None:
        started = time.perf_counter()
        error, overlap = None, None
        try:
            found = self._side(shadow).searcher.search(asked.query, **asked.options)
            overlap = share_of(asked.hits or (), found)
        except Exception as failure:
            # Whatever a shadow does is its own affair: it is put down, and the reader never hears of it.
            error = type(failure).__name__
        self._put((asked.route.name, "shadow", shadow, time.perf_counter() - started, error, overlap))

    def _side(self, address: str) -> Side:
        with self._opening:
            if address not in self._sides:
                self._sides[address] = Side(address)
            return self._sides[address]

    def _put(self, row: Row) -> None:
        try:
            self._rows.put_nowait(row)
        except queue.Full:
            self.dropped += 1

    def _write(self) -> None:
        with Book() as book:
            open_ = True
            while open_:
                rows, open_ = self._some()
                if rows:
                    self._keep(book, rows)

    def _keep(self, book: Book, rows: list[Row]) -> None:
        try:
            book.database.tell(_INSERT, [list(column) for column in zip(*rows, strict=True)])
        except WherryError:
            self.dropped += len(rows)

    def _some(self) -> tuple[list[Row], bool]:
        """Return what came within half a second, and whether more may come."""
        rows: list[Row] = []
        until = time.monotonic() + _EVERY_S
        while len(rows) < _ROOM and (left := until - time.monotonic()) > 0:
            try:
                row = self._rows.get(timeout=left)
            except queue.Empty:
                break
            if row is None:
                return rows, False
            rows.append(row)
        return rows, True


def share_of(live: Sequence[Any], other: Sequence[Any]) -> float:
    """Return which share of the live hits the other side found too, 1.0 when there were none on either."""
    wanted, found = {hit.id for hit in live}, {hit.id for hit in other}
    if not wanted:
        return 0.0 if found else 1.0
    return len(wanted & found) / len(wanted)
