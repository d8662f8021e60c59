"""Reading ahead in another thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from wherry.moving.streams import ahead


def test_everything_arrives_in_order() -> None:
    for items in ([], [1], list(range(100))):
        with ahead(items) as reader:
            assert list(reader) == items
            assert list(reader) == []


def test_it_reads_no_further_ahead_than_it_may() -> None:
    taken: list[int] = []

    def source() -> Iterator[int]:
        for i in range(100):
            taken.append(i)
            yield i

    with ahead(source(), depth=2) as reader:
        assert next(reader) == 0
        time.sleep(0.05)
        # One read, two in the queue, one that waits for room.
        assert len(taken) <= 4


def test_an_error_arrives_after_what_came_before_it() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    with ahead(source()) as reader:
        assert next(reader) == 1
        with pytest.raises(OSError, match="gone"):
            next(reader)


def test_leaving_closes_the_source_in_its_own_thread() -> None:
    closed_in: list[threading.Thread] = []

    def source() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed_in.append(threading.current_thread())

    with ahead(source()) as reader:
        next(reader)
    assert len(closed_in) == 1
    assert closed_in[0] is not threading.current_thread()
    assert not closed_in[0].is_alive()


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_leaving_by_an_error_leaves_no_thread(taken: int) -> None:
    before = threading.active_count()
    with suppress(RuntimeError), ahead(range(1000)) as reader:
        assert [next(reader) for _ in range(taken)] == list(range(taken))
        raise RuntimeError
    assert threading.active_count() == before


def test_leaving_while_the_source_is_slow_waits_for_it() -> None:
    done = threading.Event()

    def source() -> Iterator[int]:
        yield 1
        time.sleep(0.1)
        done.set()
        yield 2

    with ahead(source()) as reader:
        next(reader)
    assert done.is_set()
