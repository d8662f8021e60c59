"""The process of a worker: `python -m wherry.moving.worker PIPE LIFE`, started by `local_crew` alone."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import cast

from wherry.errors import WherryError
from wherry.moving.crossing import Crossed
from wherry.moving.partition import Desk, Job, Part


def main(pipe: int, life: int) -> int:
    """Bring over what is asked for, until nobody asks any more."""
    threading.Thread(target=_end_with, args=(life,), daemon=True).start()
    connection: Connection[object, object] = Connection(pipe)
    desk: Desk | None = None
    try:
        desk = _opened(connection)
        while desk is not None:
            part = cast(Part, connection.recv())
            answer: Crossed | BaseException
            try:
                answer = desk.cross(part)
            except BaseException as error:
                answer = told(error)
            connection.send(answer)
    except (EOFError, OSError):
        # Nobody listens any more.
        pass
    finally:
        if desk is not None:
            desk.close()
    return 0


def _opened(connection: Connection[object, object]) -> Desk | None:
    """Open both sides and say so, or say why not."""
    job = cast(Job, connection.recv())
    try:
        desk = Desk(job)
    except BaseException as error:
        connection.send(told(error))
        return None
    connection.send(None)
    return desk


def told(error: BaseException) -> BaseException:
    """Return an error as it can travel to another process."""
    if isinstance(error, WherryError):
        # Its cause may be a driver's own error, which may not be taken apart and put together again.
        error.__cause__ = error.__context__ = None
        return error
    return RuntimeError("".join(traceback.format_exception(error)))


def _end_with(life: int) -> None:
    """End this process when the one that started it is gone: what it would still write, nobody waits for."""
    os.read(life, 1)
    # The one that is gone may have left this process in the middle of a batch; that is a crash like any other.
    os._exit(1)


if __name__ == "__main__":
    code = main(int(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is closed, and the run waits for the end: taking the interpreter apart would be for nobody.
    os._exit(code)
