"""Switches and rollbacks under a hundred reads a second, with kills at random moments.

0 failed reads, 0 answers that mix both sides, 0 lost writes: a few of them for every commit, 200 in the campaign.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import wherry
from tests.routing.kit import TEXTS, copied, made, put
from tests.routing.swinging import IDS, ROUTE, Readers, Writers, swung
from wherry.routing.book import Book
from wherry.routing.dual import follow

TIMES = [pytest.param(2, id="few"), pytest.param(200, id="campaign", marks=[pytest.mark.campaign])]


@pytest.fixture
def environment(shared_home: Path) -> dict[str, str]:
    return {"WHERRY_HOME": str(shared_home)}


def complete(hits: wherry.Hits) -> str:
    return "" if len(hits) == 3 else f"{len(hits)} hits"


def unmixed(hits: wherry.Hits) -> str:
    new = {str(hit.text).endswith("(새)") for hit in hits}
    led = {hits.address.endswith("_new")}
    return complete(hits) or ("" if new == led else f"{hits.address}: {[hit.text for hit in hits]}")


@pytest.mark.parametrize("times", TIMES)
def test_no_answer_mixes_both_sides(
    old: str, name: str, environment: dict[str, str], times: int, capsys: pytest.CaptureFixture[str]
) -> None:
    new = f"pgvector:#{name}_new"
    put(new, [f"{text} (새)" for text in TEXTS])
    made(ROUTE, old)
    seed = random.randrange(10**6)
    with Readers(unmixed) as seen:
        found = swung(environment, "swing_unlike", (old, new), times, seed)
    assert seen.wrong == [], f"seed {seed}"
    assert found.barred == [], f"seed {seed}"
    assert seen.reads > 3 * found.done
    with capsys.disabled():
        print(f"\nseed {seed}: {found}; {seen.reads} reads, {len(seen.wrong)} failed or mixed")


@pytest.mark.parametrize("times", TIMES)
def test_no_write_is_lost(
    old: str, name: str, environment: dict[str, str], tmp_path: Path, times: int, capsys: pytest.CaptureFixture[str]
) -> None:
    new = f"pgvector:#{name}_new"
    put(old, [f"글 {n}" for n in range(IDS)])
    made(ROUTE, old)
    copied(old, new)
    follow(ROUTE, new)
    seed = random.randrange(10**6)
    with Readers(complete) as seen, Writers(environment, tmp_path / "acked", seed) as writers:
        found = swung(environment, "swing", (old, new), times, seed)
        writers.wait_for_all()
    assert seen.wrong == [], f"seed {seed}"
    # What a writer that died had on its way may arrive in the last moment, and then a proof must not stand.
    assert {words.partition(":")[0] for words in found.barred} <= {"NotVerified", "Busy"}, f"seed {seed}"
    assert writers.failed == [], f"seed {seed}"
    acked, there = writers.acked(), numbers()
    lost = {key: (number, there[key]) for key, number in acked.items() if there[key] < number}
    assert lost == {}, f"seed {seed}"
    assert len(acked) == IDS
    with capsys.disabled():
        print(
            f"\nseed {seed}: {found}; {writers.kills} writers killed; {seen.reads} reads, {len(seen.wrong)} failed;",
            end=" ",
        )
        print(f"{max(acked.values())} writes, {len(lost)} lost")


def numbers() -> dict[int, int]:
    """Return the number that stands in each record of the side readers see."""
    with Book() as book:
        store = wherry.open_source(book.require(ROUTE).target)
    try:
        texts = {r.id: str(r.text) for page in store.scan() for r in wherry.to_records(page.records)}
    finally:
        store.close()
    return {int(i.split("-")[1]): int(text.split()[1]) for i, text in texts.items()}
