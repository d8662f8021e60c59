"""Watching a route: what readers saw, what a shadow would have said, the verdict, and the way back by itself."""

from __future__ import annotations

import json
import random
import shutil
import socket
import threading
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

import pytest

import wherry
from tests.routing.kit import TEXTS, copied, made, put
from wherry.cli import main
from wherry.cli.watch import seconds_of
from wherry.errors import Usage
from wherry.routing.book import Book
from wherry.routing.conditions import parse
from wherry.routing.disk import Disk
from wherry.routing.reader import Reader
from wherry.routing.reads import Reads


class Volume(NamedTuple):
    total: int
    used: int
    free: int


def read(times: int, query: str = "혈당") -> None:
    with wherry.route("welno") as reader:
        for _ in range(times):
            reader.search(query, k=2, mode="vector")


def look(**wishes: object) -> wherry.Watched:
    return wherry.watch("welno", for_s=0, **wishes)  # type: ignore[arg-type]


def seen() -> list[tuple[str, str | None, float | None]]:
    with Book() as book:
        rows = book.database.ask("SELECT side, error, overlap FROM wherry.route_reads ORDER BY id")
    return [(row[0], row[1], row[2]) for row in rows]


def test_what_readers_saw_is_told(old: str) -> None:
    made("welno", old)
    started = threading.Event()

    def slept(seconds: float) -> None:
        if not started.is_set():
            started.set()
            read(25)

    found = wherry.watch("welno", for_s=2, every_s=0.5, sleep=lambda s: (slept(s), time.sleep(s))[1])
    assert found.last.reads == 25
    assert found.verdict == "good"
    assert found.exit_code == 0
    assert found.last.seen["error_rate"] == 0
    assert (found.last.seen["p95"] or 0) > 0


def test_nobody_read(old: str) -> None:
    made("welno", old)
    assert look().verdict == "unseen"
    assert look().exit_code == 1


def test_a_shadow_is_compared_and_not_felt(old: str, new: str) -> None:
    made("welno", old)
    copied(old, new)
    wherry.shadow("welno", new)
    read(5)
    sides = seen()
    assert sum(side == "live" for side, _, _ in sides) == 5
    shadows = [overlap for side, _, overlap in sides if side == "shadow"]
    assert shadows
    assert set(shadows) == {1.0}


def test_a_shadow_that_fails_is_put_down_and_readers_go_on(old: str) -> None:
    made("welno", old)
    wherry.shadow("welno", "chroma+http://127.0.0.1:9#guides")
    with wherry.route("welno") as reader:
        for _ in range(3):
            assert len(reader.search("혈당", k=2, mode="vector")) == 2
        deadline = time.monotonic() + 30
        while not any(side == "shadow" for side, _, _ in seen()) and time.monotonic() < deadline:
            time.sleep(0.1)
    assert {error for side, error, _ in seen() if side == "shadow"} == {"Unreachable"}
    assert {error for side, error, _ in seen() if side == "live"} == {None}


def test_the_share_of_a_shadow_is_kept(old: str, new: str) -> None:
    made("welno", old)
    copied(old, new)
    wherry.shadow("welno", new, 0.25)
    asked: list[object] = []
    reads = Reads(random.Random(7))
    reads._ask_shadow = lambda asked_, shadow: asked.append(shadow)  # type: ignore[method-assign]
    with Reader("welno", reads) as reader:
        for _ in range(200):
            reader.search("혈당", k=1, mode="vector")
    assert 30 <= len(asked) <= 70


def test_a_bad_side_is_left_by_itself(old: str, name: str) -> None:
    new = f"pgvector:#{name}_new"
    made("welno", old)
    copied(old, new)
    wherry.switch("welno", new)
    with Book() as book:
        columns = "(route, side, target, seconds, error)"
        rows = f"INSERT INTO wherry.route_reads {columns} VALUES ('welno', 'live', $1, 0.01, $2)"
        since = "UPDATE wherry.route_reads SET at = now() + interval '1 s'"
        for number in range(30):
            book.database.tell(rows, [new, "Unreachable" if number % 3 == 0 else None])
        book.database.tell(since)
    found = wherry.watch("welno", for_s=5, every_s=0.2, rollback_if="error_rate>1% or p95>2x")
    assert found.rolled_back
    assert found.verdict == "rolled back"
    assert "error_rate" in found.broken[0]
    with Book() as book:
        assert book.require("welno").target == old
        assert "error_rate" in book.history("welno")[0].why


def test_a_way_back_that_is_barred_is_told(old: str) -> None:
    made("welno", old)
    with Book() as book:
        book.database.tell(
            "INSERT INTO wherry.route_reads (route, side, target, seconds, error, at)"
            " SELECT 'welno', 'live', 'x', 0.01, 'Unreachable', now() + interval '1 s' FROM generate_series(1, 30)"
        )
    found = wherry.watch("welno", for_s=5, every_s=0.2, rollback_if="error_rate>1%")
    assert found.verdict == "bad"
    assert "never led elsewhere" in (found.rollback_error or "")


@pytest.mark.parametrize("text", ["", "error_rate>1%", "p95>2x or error_rate>0.5%", "p95>300ms", "overlap<0.9"])
def test_conditions_that_can_be_read(text: str) -> None:
    assert len(parse(text)) == (len(text.split(" or ")) if text else 0)


@pytest.mark.parametrize("text", ["error>1%", "p95=2x", "p95>", "p95>2y", "p95>2x and overlap<1", "; DROP TABLE"])
def test_conditions_that_cannot(text: str) -> None:
    with pytest.raises(Usage):
        parse(text)


def test_limits_in_their_units() -> None:
    (share,), (many,), (time_,) = parse("error_rate>1%"), parse("p95>2x"), parse("p95>300ms")
    assert share.broken({"error_rate": 0.02}, {})
    assert not share.broken({"error_rate": 0.005}, {})
    assert many.broken({"p95": 0.25}, {"p95": 0.1})
    assert not many.broken({"p95": 0.25}, {})
    assert time_.broken({"p95": 0.4}, {})
    assert not time_.broken({"p95": None}, {})


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("24h", 86_400), ("2d", 172_800)])
def test_times(text: str, seconds: float) -> None:
    assert seconds_of(text, "--for") == seconds


def test_a_time_that_is_none() -> None:
    with pytest.raises(Usage):
        seconds_of("24", "--for")


def test_growth_of_a_table_after_a_write_is_not_a_fault(old: str) -> None:
    made("welno", old)
    put(old, ["혈압은 아침에 잽니다"], first=3)
    read(3)
    assert look().broken == ()


def test_damage_is_noticed_by_a_shadow_and_not_carried_back(old: str, new: str) -> None:
    made("welno", old)
    copied(old, new)
    wherry.switch("welno", new)
    wherry.shadow("welno", old)
    read(5)
    put(new, ["누가 바꿔 놓은 글", "이것도"], first=0)
    barred = wherry.watch("welno", for_s=30, every_s=0.2, rollback_if="overlap<0.99", least_reads=1, sleep=reads_on)
    assert barred.verdict == "bad"
    assert "2 writes" in (barred.rollback_error or "")
    found = wherry.watch(
        "welno", for_s=30, every_s=0.2, rollback_if="overlap<0.99", waive_writes=2, least_reads=1, sleep=reads_on
    )
    assert found.rolled_back
    assert wherry.search("혈당", in_=old, k=3, mode="vector").hits[0].text == TEXTS[0]
    with Book() as book:
        assert book.history("welno")[0].details["waived"] == "2 writes were given up"


def reads_on(seconds: float) -> None:
    read(3, "결과표")
    time.sleep(seconds)


def test_before_means_before_the_switch(old: str, name: str) -> None:
    """What is changed beside a route after a switch begins no new time."""
    new = f"pgvector:#{name}_new"
    made("welno", old)
    copied(old, new)
    read(4)
    wherry.switch("welno", new)
    with Book() as book:
        rows = (
            "INSERT INTO wherry.route_reads (route, side, target, seconds, error) VALUES ('welno', 'live', $1, 9, $2)"
        )
        for _ in range(50):
            book.database.tell(rows, [new, "Unreachable"])
    wherry.shadow("welno", old)
    assert look().before["error_rate"] == 0


def test_a_disk_that_fills_warns_and_is_forecast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used = iter([840, 850, 850])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Volume(1000, at := next(used), 1000 - at))
    hours = iter([0.0, 3600.0])
    disk = Disk(tmp_path, lambda: next(hours))
    assert disk.share() == 0.84
    assert disk.share() == 0.85
    assert disk.days_left() == pytest.approx(15 / 24)


def test_the_verdict_warns_of_a_disk_that_is_nearly_full(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made("welno", old)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Volume(1000, 840, 160))
    found = look()
    assert found.warnings == ("the disk of the collection is 84% full",)
    assert found.last.seen["disk"] == 0.84


def test_the_command_serves_metrics_and_tells_each_look_as_an_object(
    old: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made("welno", old)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    served: list[str] = []

    def scrape() -> None:
        read(3)
        time.sleep(0.7)
        served.append(urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode())

    thread = threading.Timer(0.3, scrape)
    thread.start()
    code = main(["watch", "welno", "--for", "3s", "--every", "0.2s", "--metrics-port", str(port), "--json"])
    thread.join()
    said = capsys.readouterr()
    looks = [json.loads(line) for line in said.err.splitlines() if line.startswith("{")]
    assert code == 0
    assert looks[-1]["event"] == "look"
    assert looks[-1]["reads"] == 3
    assert json.loads(said.out)["verdict"] == "good"
    assert 'wherry_route{quantity="error_rate",route="welno"} 0.0' in served[0]
    assert 'wherry_route_reads{route="welno"} 3.0' in served[0]


def test_questions_are_kept_where_somebody_asks_for_it(
    old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made("welno", old)
    copied(old, new)
    log = tmp_path / "asked.jsonl"
    read(1)
    assert not log.exists()
    monkeypatch.setenv("WHERRY_QUERY_LOG", str(log))
    read(2, "금식")
    with wherry.route("welno") as reader:
        reader.search([0.1] * 64, k=2)
    asked = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [len(entry["hits"]) for entry in asked] == [2, 2, 2]
    assert asked[0]["query"] == "금식"
    assert log.stat().st_mode & 0o077 == 0
    found = wherry.compare("recorded", new, log, k=2, min_overlap=1.0)
    assert found.exit_code == 0
    monkeypatch.setenv("WHERRY_QUERY_LOG", str(tmp_path / "none" / "asked.jsonl"))
    read(2)
