"""Numbers, times, commands and progress as people read them."""

from __future__ import annotations

import json
import subprocess
import unicodedata

import pytest
from rich.console import Console

from wherry import out
from wherry.cli import words
from wherry.cli.bars import Bars, Lines
from wherry.cli.show import table


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_999, "1.0 MB"),
     (1_500_000_000, "1.5 GB"), (None, "unknown")],
)  # fmt: skip
def test_sizes(count: int | None, shown: str) -> None:
    assert words.size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min 00 s"),
     (200, "3 min 20 s"), (7500, "2 h 05 min"), (None, "unknown")],
)  # fmt: skip
def test_durations(seconds: float | None, shown: str) -> None:
    assert words.duration(seconds) == shown


@pytest.mark.parametrize(
    "address", ["pgvector:#docs", "a b.json", "pgvector:#docs?id=pk&vector=v", "#x", "it's.json", "가.json", ""]
)
def test_a_command_reads_back_as_its_words(address: str) -> None:
    line = words.command("printf", "%s\\0", "sync", address)
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout == f"sync\0{address}\0"


def test_a_plain_address_is_not_quoted() -> None:
    assert words.command("wherry", "pgvector:#docs", "a.json") == "wherry pgvector:#docs a.json"


def test_json_has_no_word_that_is_not_json() -> None:
    text = out.as_json({"a": float("nan"), "b": (float("inf"), 1.5), "c": "\udc80가"})
    assert json.loads(text) == {"a": None, "b": [None, 1.5], "c": "\udc80가"}
    assert "가" in text
    text.encode("utf-8")


def test_korean_columns_line_up() -> None:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(table(("id", "reason"), [("안내-1", "첫째"), ("guide-22", "second"), ("혈압", "셋째")]))
    lines = captured.get().splitlines()[1:]
    starts = [line.index(word) for line, word in zip(lines, ("첫째", "second", "셋째"), strict=True)]
    assert len({_cells(line[:start]) for line, start in zip(lines, starts, strict=True)}) == 1


def test_lines_come_rarely_and_once_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    listener = Lines(every_s=3600)
    for done in range(100, 1100, 100):
        listener("sync", done, 1000)
    listener("finish", 0, None)
    assert capsys.readouterr().err == ""
    listener.close()
    assert capsys.readouterr().err.startswith("copying: 1,000 records, ")


def test_lines_tell_rate_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    listener = Lines(every_s=0)
    listener("sync", 250, 1000)
    said = capsys.readouterr().err
    assert said.startswith("copying: 250 of 1,000 records, ")
    assert "records/s, about " in said
    listener("waiting 3 s: no answer", 0, None)
    assert capsys.readouterr().err == "waiting 3 s: no answer\n"


def test_bars_show_count_and_rate_and_go_away() -> None:
    console = Console(force_terminal=True, width=100, record=True, file=_Nowhere())
    bars = Bars(console)
    bars("sync", 10, 100)
    bars("sync", 60, 100)
    assert bars.progress is not None
    (task,) = bars.progress.tasks
    assert (task.completed, task.total, task.description) == (60, 100, "copying")
    bars("finish", 0, None)
    (task,) = bars.progress.tasks
    assert task.total is None
    bars.close()
    bars.close()
    assert bars.progress is None


def _cells(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


class _Nowhere:
    """A terminal nobody looks at."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass
