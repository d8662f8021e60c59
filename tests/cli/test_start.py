"""Starting: fast, and without any engine."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

from typer.core import TyperCommand

from tests.cli.commands import COMMAND, run_command
from wherry.cli.later import COMMANDS, built

HEAVY = ("pyarrow", "numpy", "chromadb", "psycopg", "rich", "sqlite3", "wherry.moving", "wherry.stores")
PROBE = f"""
import sys
from wherry.cli import main
code = main(["--help"])
assert not [name for name in {HEAVY!r} if name in sys.modules], sorted(sys.modules)
sys.exit(code)
"""


def test_help_imports_no_engine() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "wherry sync export.json pgvector:#docs" in done.stdout


def test_help_is_there_at_once() -> None:
    taken = []
    for _ in range(5):
        process = subprocess.Popen([*COMMAND, "--help"], stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        taken.append(used.ru_utime + used.ru_stime)
    # Processor time of a process that waits for nothing: what else this machine does is not measured.
    assert statistics.median(taken) < 0.3, taken


def test_every_command_has_a_help_with_an_example() -> None:
    for command in ("plan", "sync", "verify", "runs", "runs show", "demo", "doctor"):
        said = run_command(*command.split(), "--help")
        assert said.code == 0
        assert f"wherry {command}" in said.out.split("Example:")[1]


def test_without_arguments_it_explains_itself() -> None:
    said = run_command()
    assert said.code == 2
    assert "Usage: wherry" in said.out


def test_version() -> None:
    said = run_command("--version")
    assert said.code == 0
    assert said.out.startswith("wherry ")


def test_a_reader_that_leaves_early_is_no_failure() -> None:
    line = f"{sys.executable} -m wherry runs --json | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "0"
    assert "Traceback" not in done.stderr


def test_an_ascii_stdout_is_no_failure() -> None:
    said = run_command("sync", "없음:#가", "memory:#b", "--json", PYTHONIOENCODING="ascii")
    assert said.code == 2
    assert said.json["error"]


def test_commands_have_the_line_of_their_own_help_before_they_are_built() -> None:
    for name, (_, line) in COMMANDS.items():
        assert TyperCommand(name, help=line).get_short_help_str(70) == built(name).get_short_help_str(70), name


def test_a_command_typed_wrongly_is_guessed() -> None:
    said = run_command("rout")
    assert (said.code, "Did you mean 'route'?" in said.err) == (2, True)
