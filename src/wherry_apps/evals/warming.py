"""The check in the background: at the start, whenever it is asked for, and now and then; one at a time everywhere."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from wherry import Busy, WherryError
from wherry_apps.evals import logs
from wherry_apps.evals.preindexing import Wish

if TYPE_CHECKING:
    from wherry_apps.evals.service import Evals

_STOP_S = 1.0
# After a check that another process kept from running, or that failed, the next one is near.
_BUSY_S, _FAILED_S = 2.0, 60.0


class Warming:
    """A thread that keeps the index true to its places. Its failures are logged, and it goes on."""

    def __init__(self, service: Evals) -> None:
        self._service = service
        self._wanted, self._stopping = threading.Event(), threading.Event()
        self._recreate = False
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self.last: dict[str, object] = {"state": "not begun"}

    def start(self) -> None:
        """Begin; returns at once."""
        self.kick()

    def kick(self, recreate: bool = False) -> None:
        """Let the check run now. recreate: everything is embedded again."""
        with self._lock:
            self._recreate = self._recreate or recreate
            self._wanted.set()
            if not self._stopping.is_set() and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._run, name="wherry-evals-warming", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end, and wait a moment for it; what it wrote stays, and the next start goes on."""
        self._stopping.set()
        self._wanted.set()
        thread = self._thread
        if thread is not None:
            thread.join(_STOP_S)

    def _run(self) -> None:
        pause = self._service.settings.check_s
        while not self._stopping.is_set():
            self._wanted.wait(pause)
            if self._stopping.is_set():
                return
            with self._lock:
                recreate, self._recreate = self._recreate, False
                self._wanted.clear()
            pause = min(self._check(recreate), self._service.settings.check_s)

    def _check(self, recreate: bool) -> float:
        """Check once; return after how many seconds at the latest to check again."""
        self.last = {"state": "running"}
        try:
            done = self._service.preindex(Wish(recreate=recreate, lenient=True), self._told)
            self.last = {"state": "done", **{k: v for k, v in done.to_dict().items() if k != "failures"}}
            # The first question finds everything open, and the words made.
            self._service.finder.search("run", None, k=1)
            return self._service.settings.check_s
        except Busy:
            self._recreate = self._recreate or recreate
            self.last = {"state": "another process is indexing"}
            return _BUSY_S
        except WherryError as error:
            self.last = {"state": "failed", "error": error.what}
            logs.error("the index could not be checked", error=type(error).__name__, what=error.what)
        except Exception as error:
            # A thread that dies silently would leave the index to age; the next round may work.
            self.last = {"state": "failed", "error": type(error).__name__}
            logs.error("the index could not be checked", error=type(error).__name__)
        return _FAILED_S

    def _told(self, place: str, runs: int) -> None:
        self.last = {"state": "running", "place": place, "runs": runs}
        if self._stopping.is_set():
            raise Busy("the service stops", left="what is indexed so far stays", next="start it again")


def warm_up(service: Evals) -> Warming:
    """Return the background work of the service; what `wherry serve` starts."""
    logs.begin(logging.INFO)
    return service.warming
