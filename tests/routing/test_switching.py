"""Leading readers from one collection to another and back, on real engines."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

import wherry
from tests.routing.kit import TEXTS, copied, made, put
from wherry.errors import Busy, NoSuchRoute, NotVerified, Refused, Unreachable, Usage, WouldLoseWrites
from wherry.routing import carrying
from wherry.routing.book import Book, Toggle
from wherry.stores.pgvector.target import PgTarget


def test_a_switch_wants_a_proof(old: str, new: str) -> None:
    made("welno", old)
    wherry.sync(old, new, accept_losses=True, level="counted")
    with pytest.raises(NotVerified) as refused:
        wherry.switch("welno", new)
    assert "wherry verify" in refused.value.next
    with wherry.route("welno") as reader:
        assert reader.address == old
    done = wherry.switch("welno", new, prove=True)
    assert done.leads_to == new
    assert done.proved_at


def test_readers_follow_and_come_back(old: str, new: str) -> None:
    made("welno", old)
    copied(old, new)
    with wherry.route("welno") as reader:
        before = reader.search("혈당이 높으면?", mode="vector")
        wherry.switch("welno", new, why="구름을 떠난다")
        after = reader.search("혈당이 높으면?", mode="vector")
        assert [hit.id for hit in before] == [hit.id for hit in after]
        assert after.address.startswith("chroma:")
        back = wherry.rollback("welno")
        assert back.leads_to == old
        assert back.carried == 0
        assert reader.search("혈당이 높으면?", mode="vector").address.startswith("pgvector:")
    with Book() as book:
        acts = [event.act for event in book.history("welno")]
    assert acts == ["rollback", "switch", "set"]


def test_a_write_after_the_proof_brings_it_down(old: str, new: str) -> None:
    made("welno", old)
    copied(old, new)
    put(old, ["혈압은 아침에 잽니다"], first=3)
    with pytest.raises(NotVerified, match="written to since"):
        wherry.switch("welno", new)
    wherry.switch("welno", new, waive="한밤의 장애")
    with Book() as book:
        assert book.history("welno")[0].details["waived"] == "한밤의 장애"


def test_writes_made_since_go_back_first(old: str, name: str) -> None:
    new = f"pgvector:#{name}_new"
    made("welno", old)
    copied(old, new)
    wherry.switch("welno", new)
    put(new, ["혈압은 아침에 잽니다"], first=3)
    with pytest.raises(WouldLoseWrites, match="1 writes"):
        wherry.rollback("welno", carry=False)
    with pytest.raises(WouldLoseWrites):
        wherry.rollback("welno", waive_writes=0)
    done = wherry.rollback("welno")
    assert done.carried == 1
    assert wherry.verify(new, old).equal


@pytest.mark.parametrize("engine", ["pgvector", "faiss", "archive"])
def test_many_writes_go_back_by_several_hands(
    fresh: None, name: str, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "_HANDS", 3)
    places = {"pgvector": f"pgvector:#{name}_before", "faiss": f"faiss:{tmp_path}#before"}
    old = places.get(engine, f"{tmp_path}/before.parquet")
    new = f"pgvector:#{name}_after"
    put(old, TEXTS)
    made("welno", old)
    copied(old, new)
    wherry.switch("welno", new)
    put(new, [f"메모 {n}" for n in range(400)], first=2)
    done = wherry.rollback("welno")
    assert (done.leads_to, done.carried) == (old, 400)
    assert wherry.verify(new, old).equal


def test_a_hand_that_fails_leaves_readers_where_they_are(
    fresh: None, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "_HANDS", 2)
    old, new = f"pgvector:#{name}_before", f"pgvector:#{name}_after"
    put(old, TEXTS)
    made("welno", old)
    copied(old, new)
    wherry.switch("welno", new)
    put(new, [f"메모 {n}" for n in range(300)], first=3)

    def refuse(self: PgTarget, number: int) -> PgTarget:
        if number:
            raise Unreachable("the server went away")
        return whole(self, number)

    whole = PgTarget.portion
    with monkeypatch.context() as broken:
        broken.setattr(PgTarget, "portion", refuse)
        with pytest.raises(Unreachable):
            wherry.rollback("welno")
    with wherry.route("welno") as reader:
        assert reader.address == new
    assert wherry.rollback("welno").carried == 150
    assert wherry.verify(new, old).equal


def test_writes_can_be_given_up_by_number(old: str, name: str) -> None:
    new = f"pgvector:#{name}_new"
    made("welno", old)
    copied(old, new)
    wherry.switch("welno", new)
    put(new, ["혈압은 아침에 잽니다"], first=3)
    done = wherry.rollback("welno", waive_writes=1)
    assert "1 writes" in done.waived
    assert wherry.open_source(old).describe().count == 3


def test_of_two_who_lead_a_route_elsewhere_one_is_told(old: str, new: str) -> None:
    made("welno", old)
    with Book() as one, Book() as other:
        seen = other.require("welno")
        one.lead(one.require("welno"), new, "switch", "", {}, {})
        with pytest.raises(Busy):
            other.lead(seen, old, "switch", "", {}, {})


def test_an_environment_variable_decides(old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    copied(old, new)
    made("welno", old, Toggle("USE_LOCAL_VECTOR_DB", on=new, off=old))
    with wherry.route("welno") as reader:
        assert reader.address == old
        monkeypatch.setenv("USE_LOCAL_VECTOR_DB", "true")
        assert reader.search("금식", mode="vector").address.startswith("chroma:")
        monkeypatch.setenv("USE_LOCAL_VECTOR_DB", "false")
        assert reader.search("금식", mode="vector").address.startswith("pgvector:")
        monkeypatch.setenv("USE_LOCAL_VECTOR_DB", "vielleicht")
        with pytest.raises(Usage, match="neither true nor false"):
            reader.search("금식", mode="vector")
        monkeypatch.delenv("USE_LOCAL_VECTOR_DB")
        monkeypatch.setenv("WHERRY_ROUTE_WELNO", new)
        assert reader.address == new


def test_a_name_can_be_searched(old: str) -> None:
    made("welno", old)
    assert wherry.search("금식", in_="welno", mode="vector").address == old


@pytest.mark.parametrize("odd", ["", "a b", "x'; DROP TABLE wherry.routes; --", "가" * 101])
def test_what_cannot_be_a_name(old: str, odd: str) -> None:
    with pytest.raises(Usage):
        made(odd, old)


def test_a_route_that_is_not_there_is_named_with_those_that_are(old: str) -> None:
    with pytest.raises(NoSuchRoute):
        wherry.route("welno")
    made("welno", old)
    with pytest.raises(NoSuchRoute) as missing:
        wherry.switch("wello", old)
    assert "welno" in missing.value.next
    with pytest.raises(Usage, match="already"):
        made("welno", old)


def test_leading_where_it_leads_already_is_refused(old: str) -> None:
    made("welno", old)
    with pytest.raises(Refused, match="already"):
        wherry.switch("welno", old, waive="왜")
    with pytest.raises(Refused, match="never led"):
        wherry.rollback("welno")


def test_readers_see_no_error_and_no_mixture_while_a_route_swings(old: str, new: str) -> None:
    """Two collections that answer differently: every answer is wholly of one of them."""
    put(new, [f"{text} (새)" for text in TEXTS])
    made("welno", old)
    stop, wrong, asked = threading.Event(), [], [0]

    def read() -> None:
        with wherry.route("welno") as reader:
            while not stop.is_set():
                hits = reader.search("혈당", k=3, mode="vector")
                fresh = {str(hit.text).endswith("(새)") for hit in hits}
                asked[0] += 1
                if len(hits) != 3 or len(fresh) != 1 or fresh != {hits.address.startswith("chroma:")}:
                    wrong.append([hit.text for hit in hits])

    readers = [threading.Thread(target=read) for _ in range(3)]
    for thread in readers:
        thread.start()
    with Book() as book:
        for target in [new, old] * 10:
            route = book.require("welno")
            book.lead(route, target, "switch", "", {}, {})
            time.sleep(0.02)
        # A busy machine asks less: it swings on until enough was asked to tell.
        until = time.monotonic() + 60
        while asked[0] <= 20 and time.monotonic() < until:
            route = book.require("welno")
            book.lead(route, old if route.target == new else new, "switch", "", {}, {})
            time.sleep(0.2)
    stop.set()
    for thread in readers:
        thread.join()
    assert wrong == []
    assert asked[0] > 20


def test_a_password_in_an_address_shows_nowhere(fresh: None, old: str) -> None:
    made("remote", "postgresql://user:gh%40eim@db.example/guides#docs")
    with Book() as book:
        shown = [str(book.require("remote").to_dict()), str([e.to_dict() for e in book.history("remote")])]
    assert all("gh%40eim" not in text and "gh@eim" not in text for text in shown)


def test_of_two_models_nothing_is_compared_and_a_waiver_leads_back(fresh: None) -> None:
    record = [wherry.Record("a", [1.0, 0.0], "글")]
    wherry.put(record, "memory:#cloud-side", wherry.Space(2, wherry.Metric.COSINE, "openai", "old"))
    wherry.put(record, "memory:#own-side", wherry.Space(2, wherry.Metric.COSINE, "hash", "hash:2"))
    made("models", "memory:#cloud-side")
    wherry.switch("models", "memory:#own-side", waive="another model")
    assert wherry.rollback("models", waive_writes=10).leads_to == "memory:#cloud-side"
