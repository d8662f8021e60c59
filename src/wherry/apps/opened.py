"""What a service holds open for all of its requests: routes, and what the endpoints of an app share."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

# Not only for type checkers: FastAPI reads the annotations of a dependency.
from starlette.requests import HTTPConnection

from wherry.apps.app import App
from wherry.errors import Interrupted


class Opened:
    """What a process holds open, by name: each is made at its first use, shared by threads, and closed at the end."""

    def __init__(self) -> None:
        self._open: dict[str, Any] = {}
        # One lock per name: one whose store or database is slow delays nobody else.
        self._opening: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()
        self._closed = False

    def __len__(self) -> int:
        return len(self._open)

    def get(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what has a name, made when it is not yet. Raises what making it raises."""
        with self._lock:
            found, opening = self._open.get(name), self._opening[name]
        if found is not None:
            return found
        with opening:
            if name in self._open:
                return self._open[name]
            made = make()
            with self._lock:
                if not self._closed:
                    self._open[name] = made
                    return made
        made.close()
        raise Interrupted("the service stops", next="ask again")

    def close(self) -> None:
        """Close all of it; nothing is made any more."""
        with self._lock:
            self._closed = True
            everything, self._open = list(self._open.values()), {}
        for one in everything:
            one.close()


class Backgrounds:
    """The background work of the apps of one process; started in a thread, since opening may wait for a database."""

    def __init__(self, opened: Opened, apps: list[App], log: Any) -> None:
        self._opened, self._log = opened, log
        self._stopping = threading.Event()
        self._begun: list[Any] = []
        self._threads = [
            threading.Thread(target=self._run, args=[app], name=f"wherry-{app.name}", daemon=True)
            for app in apps
            if app.background
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self, wait_s: float = 5.0) -> None:
        """Stop what was begun, and wait for what is beginning at most `wait_s` seconds."""
        self._stopping.set()
        for thread in self._threads:
            with suppress(RuntimeError):
                thread.join(wait_s)
        for work in self._begun:
            work.stop()

    def _run(self, app: App) -> None:
        wait_s = 1.0
        while not self._stopping.is_set():
            try:
                work = app.load("background")(service_of(self._opened, app))
                self._begun.append(work)
                work.start()
                return
            except Exception as error:
                # The service serves without it; whoever reads the log learns why, and it is tried again.
                self._log.error("background work cannot begin", app=app.name, error=type(error).__name__)
                self._stopping.wait(wait_s)
                wait_s = min(60.0, wait_s * 2)


def service_of(opened: Opened, app: App) -> Any:
    """Return the service of an app, made when it is not yet. Raises what making it raises."""
    return opened.get(app.name, lambda: app.load("service")())


def dependency(app: App) -> Callable[..., Any]:
    """Return a dependency of FastAPI that gives an endpoint the service of an app."""

    def opened(connection: HTTPConnection) -> Any:
        return service_of(connection.app.state.service.opened, app)

    return opened
