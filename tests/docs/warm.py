"""A process that has imported everything and runs commands in forks of itself: `python -m tests.docs.warm SOCKET`.

Starting an interpreter and importing engines is most of what a command of a document costs, and proves nothing
the second time. `Warm` gives a `wherry` for PATH that hands its arguments, folder, variables and streams to a
fork; the fork ends as a process of its own would, exit functions included. Signals are passed on.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

# What commands and blocks import; a package that is not installed is left to who needs it.
_IMPORTS = (
    *("wherry.cli.acts", "wherry.cli.ask", "wherry.cli.evaluate", "wherry.cli.index", "wherry.cli.route"),
    *("wherry.cli.search", "wherry.stores.archive", "wherry.stores.chroma", "wherry.stores.faiss"),
    *("wherry.stores.pgvector", "wherry.stores.qdrant", "wherry.answering.ask", "wherry.indexing.act"),
    *("wherry.routing.reader", "alembic.command", "chromadb", "faiss", "fastapi", "kiwipiepy", "psutil"),
    *("pyarrow.parquet", "qdrant_client", "sqlalchemy.orm", "uvicorn"),
)
_CLIENT = """#!{python} -IS
import json, os, signal, socket, sys
with socket.socket(socket.AF_UNIX) as line:
    line.connect({path!r})
    socket.send_fds(line, [b"!"], [0, 1, 2])
    program = os.path.basename(sys.argv[0])
    order = {{"program": program, "argv": sys.argv[1:], "folder": os.getcwd(), "variables": dict(os.environ)}}
    line.sendall(json.dumps(order).encode() + b"\\n")
    replies = line.makefile()
    process = int(replies.readline())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: os.kill(process, number))
    code = int(replies.readline())
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


class Warm:
    """The process, and the programs in front of it. Use as a context manager.

    folder: an empty one, of a short path: it holds the socket and `bin`, where the programs are:
    `wherry`, and `block`, which runs the text it is given as `python -c` does.
    """

    def __init__(self, folder: Path) -> None:
        self.programs = folder / "bin"
        self._path = str(folder / "socket")

    def __enter__(self) -> Warm:
        self.programs.mkdir()
        for name in _PROGRAMS:
            program = self.programs / name
            program.write_text(_CLIENT.format(python=sys.executable, path=self._path))
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self._process = subprocess.Popen([sys.executable, "-m", "tests.docs.warm", self._path], stdin=subprocess.PIPE)
        while not Path(self._path).exists():
            if self._process.poll() is not None:
                raise ChildProcessError(f"the warm process ended with {self._process.returncode}")
            time.sleep(0.01)
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.wait()


def serve(path: str) -> None:
    """Take orders at a socket until this process is ended."""
    for name in _IMPORTS:
        with suppress(ImportError):
            import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path + "~")
        listening.listen(64)
        Path(path + "~").rename(path)
        while True:
            line, _ = listening.accept()
            with line:
                if os.fork() == 0:
                    listening.close()
                    _attend(line)


def _attend(line: socket.socket) -> None:
    """Carry out one order in a fork, say which process it is and how it ended. Never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, streams, _, _ = socket.recv_fds(line, 1, 3)
    order = json.loads(line.makefile().readline())
    process = os.fork()
    if process == 0:
        line.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        _run(**order)
    for stream in streams:
        os.close(stream)
    for number in range(3):
        os.close(number)
    line.sendall(f"{process}\n".encode())
    _, status = os.waitpid(process, 0)
    with suppress(BrokenPipeError):
        line.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _run(program: str, argv: list[str], folder: str, variables: dict[str, str]) -> None:
    """Be the program. Never returns."""
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    here = str(Path(sys.executable).parent) if program == "wherry" else ""
    sys.path[:1] = [here, *filter(None, variables.get("PYTHONPATH", "").split(os.pathsep))]
    code = 1
    try:
        code = _PROGRAMS[program](argv)
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        _end(code)


def _wherry(argv: list[str]) -> int:
    from wherry.cli import main

    sys.argv = ["wherry", *argv]
    return main()


def _block(argv: list[str]) -> int:
    """Run a text as `python -c` does."""
    sys.argv = ["-c"]
    module = sys.modules["__main__"] = ModuleType("__main__")
    exec(compile(argv[0], "<string>", "exec"), module.__dict__)
    return 0


_PROGRAMS = {"wherry": _wherry, "block": _block}


def _end(code: int) -> None:
    """End as an interpreter does: threads, exit functions, streams. Never returns."""
    shut: Any = threading
    shut._shutdown()
    shut = atexit
    shut._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
