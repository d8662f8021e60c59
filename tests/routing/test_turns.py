"""Writers and those who lead a route elsewhere take turns: no write is left on a side that nobody reads any more."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

import wherry
from tests.routing.kit import TEXTS, copied, made, put, records_of
from wherry.errors import Busy, DiskFull, MassDelete, NotVerified, WouldLoseWrites
from wherry.routing import turns
from wherry.routing.book import Book, Toggle
from wherry.routing.dual import Writer, follow
from wherry.stores.registry import open_target
from wherry.testing.llamacloud_server import LlamaCloudServer


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def held(address: str) -> dict[str, str | None]:
    store = wherry.open_source(address)
    try:
        return {r.id: r.text for page in store.scan() for r in wherry.to_records(page.records)}
    finally:
        store.close()


def removed(address: str, *ids: str) -> None:
    store = open_target(address)
    card = store.describe()
    store.delete(pa.array(ids, type=pa.string()))
    store.finish(card.space, card.index)
    store.close()


def test_a_switch_under_writes_loses_none(old: str, name: str) -> None:
    new = f"pgvector:#{name}_new"
    made("welno", old)
    copied(old, new)
    follow("welno", new)
    stop, acked = threading.Event(), {}

    def write() -> None:
        with Writer("welno") as writer:
            number = 0
            while not stop.is_set():
                number += 1
                [record] = records_of([f"글 {number}"], first=number % 7)
                writer.upsert([record])
                acked[record.id] = number

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(2):
            time.sleep(0.3)
            wherry.switch("welno", new, prove=True)
            follow("welno", old)
            time.sleep(0.3)
            back = wherry.rollback("welno")
            assert back.leads_to == old
            follow("welno", new)
    finally:
        stop.set()
        thread.join()
    there = held(old)
    assert len(acked) == 7
    assert {i: int(str(there[i]).split()[1]) for i in acked} == acked


def test_a_proof_is_renewed_by_what_both_sides_took(old: str, name: str) -> None:
    new = f"pgvector:#{name}_new"
    made("welno", old)
    copied(old, new)
    follow("welno", new)
    with Writer("welno") as writer:
        writer.upsert(records_of(["혈압은 아침에 잽니다"], first=3))
        writer.delete(["g-0"])
    assert wherry.switch("welno", new).proved_at


@pytest.mark.parametrize("side", ["old", "new"])
def test_a_proof_falls_by_what_one_side_took(old: str, name: str, side: str) -> None:
    new = f"pgvector:#{name}_new"
    made("welno", old)
    copied(old, new)
    put(old if side == "old" else new, ["몰래 쓴 글"], first=1)
    with pytest.raises(NotVerified):
        wherry.switch("welno", new)


def test_a_proof_falls_by_what_vanished_on_both_sides_unalike(old: str, name: str) -> None:
    new = f"pgvector:#{name}_new"
    made("welno", old)
    copied(old, new)
    removed(old, "g-0")
    removed(new, "g-1")
    with pytest.raises(NotVerified):
        wherry.switch("welno", new)


def test_a_writer_waits_while_a_route_is_led_elsewhere(old: str) -> None:
    made("welno", old)
    done = threading.Event()

    def write() -> None:
        with Writer("welno") as writer:
            writer.upsert(records_of(["혈압은 아침에 잽니다"], first=3))
        done.set()

    with Book() as book:
        with turns.leading(book.database, "welno"):
            thread = threading.Thread(target=write)
            thread.start()
            assert not done.wait(0.5)
        assert done.wait(10)
        thread.join()
        hasty = turns.leading(book.database, "welno", wait_s=0.2)
        with turns.writing(book.database, "welno"), pytest.raises(Busy, match="has not ended"), hasty:
            pass


def test_a_rollback_gives_up_no_more_than_was_waived(old: str, new: str) -> None:
    """Chroma has no marks: both sides are compared, and the number is the true one."""
    made("welno", old)
    copied(old, new)
    wherry.switch("welno", new)
    put(new, ["하나", "둘"], first=1)
    with pytest.raises(WouldLoseWrites, match="2 writes"):
        wherry.rollback("welno", waive_writes=1)
    with pytest.raises(WouldLoseWrites, match="2 writes"):
        wherry.rollback("welno", carry=False)
    assert wherry.rollback("welno", waive_writes=2).waived == "2 writes were given up"
    assert held(old)["g-1"] == TEXTS[1]


def test_what_reached_the_side_before_is_not_lost(old: str, name: str) -> None:
    new = f"pgvector:#{name}_new"
    made("welno", old)
    copied(old, new)
    wherry.switch("welno", new)
    follow("welno", old)
    with Writer("welno") as writer:
        writer.upsert(records_of(["하나", "둘"], first=5))
        writer.delete(["g-0"])
    back = wherry.rollback("welno", carry=False)
    assert (back.carried, back.waived) == (0, "")
    assert len(held(old)) == 4


def test_a_side_that_lost_most_does_not_take_the_other_with_it(old: str, name: str) -> None:
    new = f"pgvector:#{name}_new"
    put(old, [f"글 {n}" for n in range(60)])
    made("welno", old)
    copied(old, new)
    wherry.switch("welno", new)
    removed(new, *(f"g-{n}" for n in range(50)))
    with pytest.raises(MassDelete) as refused:
        wherry.rollback("welno")
    assert "waive-writes" in refused.value.next
    assert len(held(old)) == 60
    assert wherry.rollback("welno", waive_writes=50).leads_to == old


def test_a_cloud_that_cannot_be_written_is_gone_back_to(fresh: None, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with LlamaCloudServer() as server:
        monkeypatch.setenv("LLAMA_CLOUD_API_KEY", server.api_key)
        monkeypatch.setenv("LLAMA_CLOUD_BASE_URL", server.url)
        server.pipeline("Dr.Welno", dimension=64).add("혈압", ["혈압은 아침에 잽니다.", "검진 전날 금식합니다."])
        cloud = "llamacloud:#Dr.Welno?metric=cosine&embedder=hash:64"
        made("welno", cloud)
        copied(cloud, new)
        with wherry.route("welno") as reader:
            assert "금식" in (reader.search("금식", k=1, mode="vector")[0].text or "")
        wherry.switch("welno", new)
        assert wherry.rollback("welno").leads_to == cloud
        wherry.switch("welno", new)
        removed(new, next(iter(held(new))))
        with pytest.raises(WouldLoseWrites, match=r"1 writes .* cannot be carried back"):
            wherry.rollback("welno")
        assert wherry.rollback("welno", waive_writes=1).leads_to == cloud
        # As a service does that leaves its cloud by one line of its settings, and comes back by it.
        made("checkup", cloud, Toggle("USE_LOCAL_VECTOR_DB", on=new, off=cloud))
        with wherry.route("checkup") as reader:
            for value, scheme in (("true", "chroma"), ("false", "llamacloud"), ("", "llamacloud")):
                monkeypatch.setenv("USE_LOCAL_VECTOR_DB", value)
                found = reader.search("금식", k=1, mode="vector")
                assert (found.address.partition(":")[0], len(found)) == (scheme, 1)


def test_writes_stop_before_the_disk_is_full(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made("welno", old)
    full = {"share": 0.97}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1000, int(1000 * full["share"]), 30))
    with Writer("welno") as writer:
        with pytest.raises(DiskFull, match="97% full"):
            writer.upsert(records_of(["혈압은 아침에 잽니다"], first=3))
        assert len(held(old)) == 3
        full["share"] = 0.9
        writer.upsert(records_of(["혈압은 아침에 잽니다"], first=3))
    assert len(held(old)) == 4


@pytest.mark.parametrize("form", ["faiss:{}/index#guides", "{}/guides.parquet"])
def test_what_is_written_to_a_side_that_publishes_is_seen_at_once(fresh: None, tmp_path: Path, form: str) -> None:
    address = form.format(tmp_path)
    put(address, TEXTS)
    made("welno", address)
    with Writer("welno") as writer:
        writer.upsert(records_of(["혈압은 아침에 잽니다"], first=3))
        assert len(held(address)) == 4
        writer.delete(["g-0"])
        assert len(held(address)) == 3


def test_whether_a_side_publishes(old: str, new: str, tmp_path: Path) -> None:
    from wherry.stores.base import Publishing

    told: dict[str, Any] = {}
    for address in (old, new, f"faiss:{tmp_path}/index#guides", f"{tmp_path}/guides.parquet"):
        store = open_target(address)
        told[address.split(":")[0][:6]] = isinstance(store, Publishing)
        store.close()
    assert list(told.values()) == [False, False, True, True]
