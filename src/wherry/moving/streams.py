"""Two things at once: an iterator that runs in a thread of its own, a few pages in advance; one act beside another."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

_END = object()
_TURN_S = 0.0005


@contextmanager
def beside(act: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Do something in another thread meanwhile; what is yielded waits for it and returns or raises what it did."""
    with ThreadPoolExecutor(1, "wherry-beside") as other:
        yield other.submit(act).result


@contextmanager
def ahead(items: Iterable[T], depth: int = 1) -> Iterator[Iterator[T]]:
    """Iterate over `items` in another thread, at most `depth` items ahead of the reader.

    An exception of the iterator is raised where the reader takes the next item. Leaving the block
    stops the thread and waits for it, so nothing of the store is in use afterwards.
    """
    with _brisk():
        yield from _ahead(items, depth)


@contextmanager
def _brisk() -> Iterator[None]:
    """Let threads take turns more often than every 5 ms.

    A reader gives up its turn at each wait for the server; with the usual turn it then sits out ten
    batches' worth of decoding, which was measured to cost nine tenths of its rate.
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(min(usual, _TURN_S))
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def _ahead(items: Iterable[T], depth: int) -> Iterator[Iterator[T]]:
    waiting: queue.Queue[Any] = queue.Queue(maxsize=depth)
    stop = threading.Event()
    thread = threading.Thread(target=_fill, args=(items, waiting, stop), daemon=True)
    try:
        thread.start()
        yield _drain(waiting)
    finally:
        stop.set()
        while thread.is_alive():
            # Makes room, so that a thread blocked on a full queue can see the stop.
            _discard(waiting)
            thread.join(timeout=0.01)


def _fill(items: Iterable[Any], waiting: queue.Queue[Any], stop: threading.Event) -> None:
    try:
        iterator = iter(items)
        try:
            for item in iterator:
                waiting.put((item, None))
                if stop.is_set():
                    return
        finally:
            # A generator left half-way holds a cursor: close it in the thread that ran it.
            close = getattr(iterator, "close", None)
            if close is not None:
                close()
        waiting.put((_END, None))
    except BaseException as error:
        waiting.put((_END, error))


def _drain(waiting: queue.Queue[Any]) -> Iterator[Any]:
    while True:
        item, error = waiting.get()
        if error is not None:
            raise error
        if item is _END:
            return
        yield item


def _discard(waiting: queue.Queue[Any]) -> None:
    try:
        while True:
            waiting.get_nowait()
    except queue.Empty:
        return
