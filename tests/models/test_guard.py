"""The guard, over a socket: order, poison, faults, lies, pace, cost. Waiting takes no time here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.kit import DIMENSION, KEYS, QuickClock, opened, patience, texts
from wherry.errors import (
    AuthFailed,
    BadAddress,
    BadAnswer,
    BadRecord,
    QuotaExceeded,
    RateLimited,
    Unreachable,
    WherryError,
)
from wherry.models.calls import BROKEN_S
from wherry.models.guard import GuardedEmbedder
from wherry.models.hashing import HashEmbedder
from wherry.models.registry import guarded, open_embedder
from wherry.testing.model_server import Asked, Fault, Lie, Refusal
from wherry.testing.openai_server import OpenAIServer

PROBE_REQUESTS = 2
# Where a request holds one text only.
LONE_PROBE_REQUESTS = 5


def true_vectors(wanted: list[str]) -> np.ndarray:
    """Return what the server must have answered."""
    return HashEmbedder(DIMENSION).embed(wanted)


def kinds(results: list[np.ndarray | WherryError]) -> list[str]:
    """Return the class of each result."""
    return [type(result).__name__ for result in results]


def test_vectors_come_back_in_order_and_to_the_bit() -> None:
    wanted = texts(300)
    with OpenAIServer() as server, opened(server, "&batch=7&concurrency=8") as embedder:
        found = embedder.embed(wanted)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, true_vectors(wanted), atol=1e-7)
        sizes = [len(asked.body["input"]) for asked in server.asked[PROBE_REQUESTS:]]
        assert sorted(sizes, reverse=True) == [7] * 42 + [6]


def test_nothing_is_sent_before_it_is_needed_and_no_texts_cost_nothing() -> None:
    with OpenAIServer() as server, opened(server, "&dim=32") as embedder:
        assert embedder.space().dimension == 32
        assert embedder.embed([]).shape == (0, 32)
        assert embedder.embed_each([]) == []
        assert embedder.estimate(texts(10)).tokens_in > 10
        assert server.asked == []


@pytest.mark.parametrize("bad", [{0}, {999}, {500}, {0, 1, 998}], ids=str)
def test_poison_is_found_and_only_it_is_refused(bad: set[int]) -> None:
    wanted = [f"독 {n}" if n in bad else text for n, text in enumerate(texts(1000))]
    with OpenAIServer(poison="독 ") as server, opened(server) as embedder:
        found = embedder.embed_each(wanted)
        requests = len(server.asked) - PROBE_REQUESTS
        assert {n for n, result in enumerate(found) if isinstance(result, WherryError)} == bad
        assert all(isinstance(found[n], BadRecord) and str(n) in str(found[n]) for n in bad)
        good = [n for n in range(1000) if n not in bad]
        np.testing.assert_allclose([found[n] for n in good], true_vectors([wanted[n] for n in good]), atol=1e-6)
        assert requests <= 4 + 2 * 8 * len(bad)
        assert sorted(server.embedded[-len(good) :]) == sorted(wanted[n] for n in good), "each good text once"
        assert embedder.account.refused == len(bad)


@pytest.fixture(scope="module")
def poisonable() -> Iterator[list[GuardedEmbedder]]:
    """Embedders of several batch sizes on a server that refuses poison."""
    with pytest.MonkeyPatch.context() as patch, OpenAIServer(poison="독 ") as server, ExitStack() as opening:
        patch.setenv("OPENAI_API_KEY", KEYS["OPENAI_API_KEY"])
        yield [opening.enter_context(opened(server, f"&batch={batch}")) for batch in (1, 3, 16)]


@settings(max_examples=25)
@given(poisoned=st.lists(st.booleans(), max_size=30), which=st.integers(0, 2))
def test_every_position_arrives_once(poisonable: list[GuardedEmbedder], poisoned: list[bool], which: int) -> None:
    wanted = [f"독 {n}" if bad else f"글 {n}" for n, bad in enumerate(poisoned)]
    arrivals = list(poisonable[which].arrivals(wanted))
    assert sorted(n for arrival in arrivals for n in arrival.positions) == list(range(len(wanted)))
    results = {n: r for a in arrivals for n, r in zip(a.positions, a.results, strict=True)}
    assert [isinstance(results[n], BadRecord) for n in range(len(wanted))] == poisoned


def test_a_model_that_refuses_everything_is_not_asked_for_ever() -> None:
    with OpenAIServer() as server, opened(server, "&batch=1&concurrency=1") as embedder:
        embedder.probe()
        server.poison = "검진"
        found = embedder.embed_each(texts(500))
        assert kinds(found).count("BadRecord") == 99
        assert set(kinds(found)[99:]) == {"Rejected"}
        assert len(server.asked) == LONE_PROBE_REQUESTS + 100


@pytest.mark.parametrize(("text", "says"), [("", "empty"), (" \n\u3000", "empty"), ("a\ud800", "surrogates")])
def test_what_no_model_takes_is_not_sent(text: str, says: str) -> None:
    with OpenAIServer() as server, opened(server) as embedder:
        found = embedder.embed_each(["괜찮은 글", text])
        assert kinds(found) == ["ndarray", "BadRecord"]
        assert says in str(found[1])
        assert "text 1" in str(found[1])
        with pytest.raises(BadRecord):
            embedder.embed_query(text)
        with pytest.raises(BadRecord):
            embedder.embed(["괜찮은 글", text])
        assert text not in server.embedded


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_stop_everything_at_once(status: int) -> None:
    clock = QuickClock()
    with OpenAIServer() as server, opened(server, "&batch=10&concurrency=2", patience=patience(clock)) as embedder:
        embedder.probe()
        server.fail(Fault(status, skip=3, times=1000))
        found = embedder.embed_each(texts(1000))
        sent = len(server.asked) - PROBE_REQUESTS
        assert kinds(found).count("ndarray") == 30, "what was paid for is handed over"
        assert kinds(found).count("AuthFailed") == 970
        assert sent <= 3 + 2
        with pytest.raises(AuthFailed, match="credentials"):
            embedder.embed_query("혈당")
        assert len(server.asked) == PROBE_REQUESTS + sent, "a refused key is not shown again at once"
        assert clock.waits == []
        server._faults.clear()
        clock.wait(BROKEN_S)
        assert embedder.embed_query("혈당").shape == (DIMENSION,)


@pytest.mark.parametrize("fault", [Fault(429, "insufficient_quota", times=9), Fault(402, times=9)], ids=["429", "402"])
def test_a_quota_that_is_used_up_is_not_waited_for(fault: Fault) -> None:
    clock = QuickClock()
    with OpenAIServer() as server, opened(server, patience=patience(clock)) as embedder:
        embedder.probe()
        server.fail(fault)
        with pytest.raises(QuotaExceeded):
            embedder.embed(texts(3))
        assert (len(server.asked), clock.waits) == (PROBE_REQUESTS + 1, [])


@pytest.mark.parametrize(
    "fault",
    [Fault(status) for status in (408, 409, 425, 429, 500, 502, 503, 529)] + [Fault(None)],
    ids=lambda fault: str(fault.status),
)
def test_what_can_succeed_is_tried_again(fault: Fault) -> None:
    clock = QuickClock()
    with OpenAIServer() as server, opened(server, patience=patience(clock)) as embedder:
        embedder.probe()
        fault.times = 3
        server.fail(fault)
        np.testing.assert_allclose(embedder.embed(texts(3)), true_vectors(texts(3)), atol=1e-6)
        assert len(server.asked) == PROBE_REQUESTS + 4
        assert embedder.account.retried == 3
        assert clock.waits == [0.5, 1.0, 2.0], "half of 1, 2, 4 seconds"


@pytest.mark.parametrize("status", [404, 405, 410])
def test_what_cannot_succeed_is_asked_once(status: int) -> None:
    with OpenAIServer() as server, opened(server, patience=patience()) as embedder:
        embedder.probe()
        server.fail(Fault(status, times=1000))
        assert set(kinds(embedder.embed_each(texts(64)))) == {"Rejected"}
        assert len(server.asked) == PROBE_REQUESTS + 1


@pytest.mark.parametrize("header", [{"retry-after": "7"}, {"retry-after-ms": "7000"}], ids=["seconds", "ms"])
def test_a_wait_that_is_asked_for_is_kept(header: dict[str, str]) -> None:
    clock = QuickClock()
    with OpenAIServer() as server, opened(server, patience=patience(clock)) as embedder:
        embedder.probe()
        server.fail(Fault(429, headers=header))
        embedder.embed(texts(1))
        assert 7 <= sum(clock.waits) < 9
        assert embedder.account.waited_s == pytest.approx(sum(clock.waits))


def test_a_provider_that_stays_down_is_given_up_within_the_deadline() -> None:
    clock = QuickClock()
    with OpenAIServer() as server, opened(server, "&deadline=60", patience=patience(clock)) as embedder:
        embedder.probe()
        server.fail(Fault(429, headers={"retry-after": "10"}, times=1000))
        began = clock.now()
        with pytest.raises(RateLimited) as caught:
            embedder.embed(texts(2))
        assert clock.now() - began <= 60
        assert "attempts" in caught.value.left
        assert caught.value.retry_after_s == 10
        assert len(server.asked) < 12


def test_ten_minutes_of_refusals_are_sat_out_by_who_wishes_so() -> None:
    clock = QuickClock()
    with OpenAIServer() as server, opened(server, "&deadline=900", patience=patience(clock)) as embedder:
        embedder.probe()
        ends = clock.now() + 600

        def busy(asked: Asked) -> None:
            if clock.now() < ends:
                raise Refusal(429, "rate_limit_exceeded", "slow down")

        server.answer = _after(busy, server.answer)  # type: ignore[method-assign]
        np.testing.assert_allclose(embedder.embed(texts(9)), true_vectors(texts(9)), atol=1e-6)
        assert 600 <= embedder.account.waited_s < 640
        assert len(server.asked) < 60, "it does not knock all the time"


def test_a_wait_longer_than_the_deadline_is_not_begun() -> None:
    clock = QuickClock()
    with OpenAIServer() as server, opened(server, patience=patience(clock)) as embedder:
        embedder.probe()
        server.fail(Fault(429, headers={"retry-after": "86400"}))
        with pytest.raises(RateLimited):
            embedder.embed(texts(2))
        assert clock.waits == []


def test_after_a_fatal_error_nothing_more_is_sent_and_nothing_is_lost() -> None:
    with OpenAIServer() as server, opened(server, "&batch=10&concurrency=1", patience=patience()) as embedder:
        embedder.probe()
        server.fail(Fault(503, skip=4, times=100_000))
        found = embedder.embed_each(texts(500))
        assert kinds(found)[:40] == ["ndarray"] * 40
        assert set(kinds(found)[40:]) == {"Unreachable"}
        attempts = embedder.account.retried + 1
        assert len(server.asked) == PROBE_REQUESTS + 4 + attempts


def test_no_answer_in_time_is_tried_again() -> None:
    with OpenAIServer() as server, opened(server, "&timeout=2", patience=patience()) as embedder:
        embedder.probe()
        server.hold()
        assert embedder.embed(texts(2)).shape == (2, DIMENSION)
        assert embedder.account.retried >= 1


def test_a_request_too_large_to_be_answered_in_time_is_halved() -> None:
    small = "&deadline=0.01&concurrency=1&batch=8"
    with OpenAIServer() as server, opened(server, small, patience=patience()) as embedder:
        embedder.probe()

        def slow(asked: Asked) -> None:
            if len(asked.body["input"]) > 2:
                raise Refusal(408, "timeout", "too slow")

        server.answer = _after(slow, server.answer)  # type: ignore[method-assign]
        np.testing.assert_allclose(embedder.embed(texts(20)), true_vectors(texts(20)), atol=1e-6)
        sizes = [len(asked.body["input"]) for asked in server.asked[PROBE_REQUESTS:]]
        assert sizes == [8, 4, 2, 2, 4, 2, 2, *[2] * 6], "and those after it are small at once"


def _after(first: Callable[[Asked], None], act: Callable[[Asked], object]) -> Callable[[Asked], object]:
    def both(asked: Asked) -> object:
        first(asked)
        return act(asked)

    return both


def test_one_text_that_is_never_answered_ends_it() -> None:
    with OpenAIServer() as server, opened(server, "&deadline=0.01&concurrency=1", patience=patience()) as embedder:
        embedder.probe()
        server.fail(Fault(408, times=99))
        assert set(kinds(embedder.embed_each(texts(4)))) == {"TimedOut"}
        assert len(server.asked) == PROBE_REQUESTS + 3, "4, 2 and 1 texts"


def test_a_request_too_large_in_bytes_is_halved() -> None:
    with OpenAIServer() as server, opened(server) as embedder:
        embedder.probe()
        server.fail(Fault(413))
        np.testing.assert_allclose(embedder.embed(texts(4)), true_vectors(texts(4)), atol=1e-6)
        assert [len(asked.body["input"]) for asked in server.asked[PROBE_REQUESTS:]] == [4, 2, 2]


def test_several_threads_share_one_embedder() -> None:
    with OpenAIServer() as server, opened(server, "&batch=3&concurrency=3") as embedder:
        found: dict[int, np.ndarray] = {}
        wanted = {n: [f"{n}: {text}" for text in texts(20)] for n in range(4)}

        def work(n: int) -> None:
            found[n] = embedder.embed(wanted[n])

        threads = [Thread(target=work, args=(n,)) for n in wanted]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        for n, mine in wanted.items():
            np.testing.assert_allclose(found[n], true_vectors(mine), atol=1e-6)


def test_a_program_that_ends_does_not_wait_for_a_model() -> None:
    program = (
        "import sys, wherry\n"
        "embedder = wherry.open_embedder(sys.argv[1])\n"
        "arrivals = embedder.arrivals(['혈압'] * 8)\n"
        "next(arrivals)\n"
        "arrivals.close(); embedder.close()\n"
    )
    with OpenAIServer() as server:
        counted: list[Asked] = []

        def hold_later(asked: Asked) -> None:
            counted.append(asked)
            if len(counted) == LONE_PROBE_REQUESTS + 1:
                server.hold(99)

        server.before = hold_later
        spec = f"openai:local?base_url={server.url}/v1&batch=1&concurrency=4&timeout=600"
        done = subprocess.run([sys.executable, "-c", program, spec], timeout=60, check=False)
        assert done.returncode == 0


def test_an_embedder_of_ones_own_may_refuse_one_text() -> None:
    class Picky:
        spec = "picky:64"
        space, embed_query, close = HashEmbedder(64).space, HashEmbedder(64).embed_query, HashEmbedder(64).close

        def embed(self, wanted: list[str]) -> np.ndarray:
            if any("독" in text for text in wanted):
                raise BadRecord("this text is poison")
            return HashEmbedder(64).embed(wanted)

    assert kinds(guarded(Picky()).embed_each(["혈압", "독", "혈당"])) == ["ndarray", "BadRecord", "ndarray"]


def test_nobody_there_is_unreachable() -> None:
    with OpenAIServer() as server, opened(server, patience=patience()) as embedder:
        embedder.embed(["혈압"])
        server.__exit__()
        with pytest.raises(Unreachable, match="no answer"):
            embedder.embed(["혈압"])


@pytest.mark.parametrize("lie", [Lie.FEWER, Lie.MORE, Lie.NARROWER, Lie.RAGGED, Lie.EMPTY])
def test_an_answer_of_the_wrong_shape_is_no_answer(lie: Lie) -> None:
    with OpenAIServer() as server, opened(server, "&batch=4&concurrency=1") as embedder:
        embedder.probe()
        embedder.embed(texts(4))
        server.lie(lie)
        found = embedder.embed_each(texts(12))
        assert set(kinds(found)) == {"BadAnswer"}, "a server that lies is not asked again"
        assert len(server.asked) == PROBE_REQUESTS + 2


@pytest.mark.parametrize(("lie", "says"), [(Lie.NAN, "not finite"), (Lie.ZERO, "zero")])
def test_a_vector_without_a_direction_is_that_texts_fault_alone(lie: Lie, says: str) -> None:
    with OpenAIServer() as server, opened(server) as embedder:
        embedder.probe()
        server.lie(lie)
        found = embedder.embed_each(texts(5))
        assert kinds(found) == ["BadRecord"] + ["ndarray"] * 4
        assert says in str(found[0])


def test_vectors_are_put_in_order_by_their_number() -> None:
    with OpenAIServer() as server, opened(server) as embedder:
        server.shuffles = True
        np.testing.assert_allclose(embedder.embed(texts(9)), true_vectors(texts(9)), atol=1e-6)


def test_fewer_components_are_cut_and_of_unit_length_again() -> None:
    with OpenAIServer() as server, opened(server, "&dim=16") as embedder:
        server.ignores_wishes = True
        found = embedder.embed(texts(20))
        cut = true_vectors(texts(20))[:, :16]
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(found, cut / np.linalg.norm(cut, axis=1, keepdims=True), atol=1e-6)
        assert embedder.probe().width == DIMENSION
        assert embedder.space().dimension == 16
        assert embedder.embed_query("혈당").shape == (16,)


def test_a_model_with_too_few_components_says_so() -> None:
    with OpenAIServer() as server, opened(server, "&dim=128") as embedder, pytest.raises(BadAnswer, match="64"):
        embedder.embed(["혈압"])


def test_a_batch_larger_than_the_provider_takes_is_a_usage_error() -> None:
    with OpenAIServer() as server, opened(server, "&batch=2049") as embedder, pytest.raises(BadAddress, match="2048"):
        embedder.embed(["혈압"])


def test_tokens_bound_a_request() -> None:
    long = ["혈당 " * 8_000 for _ in range(40)]
    with OpenAIServer(text_tokens=10**6) as server, opened(server, "&probe=quick") as embedder:
        embedder.embed(long)
        assert all(len(asked.body["input"]) < 40 for asked in server.asked)
        assert len(server.embedded) == 5 + 40


def test_no_minute_holds_more_requests_than_the_rate() -> None:
    clock, times = QuickClock(), []
    with (
        OpenAIServer() as server,
        opened(server, "&rpm=10&batch=1&concurrency=1", patience=patience(clock)) as embedder,
    ):
        server.before = lambda asked: times.append(clock.now())
        embedder.embed(texts(35))
    times.sort()
    assert len(times) == 35 + LONE_PROBE_REQUESTS
    assert all(sum(start <= t < start + 60 for t in times) <= 10 for start in times)
    assert clock.now() - 1000 < 4 * 61, "and it does not wait longer than it must"


def test_no_minute_holds_more_tokens_than_the_rate() -> None:
    clock, spent = QuickClock(), []
    wanted = ["혈당 " * 300 for _ in range(12)]
    with (
        OpenAIServer() as server,
        opened(server, "&tpm=2000&batch=4&concurrency=1", patience=patience(clock)) as embedder,
    ):
        server.before = lambda asked: spent.append((clock.now(), sum(map(server.tokens, asked.body["input"]))))
        embedder.embed(wanted)
    assert all(sum(tokens for t, tokens in spent if start <= t < start + 60) <= 2000 for start, _ in spent)
    assert clock.now() > 1000 + 60


def test_money_is_counted_by_what_was_billed() -> None:
    with OpenAIServer(dimension=1536) as server:
        embedder = open_embedder(f"openai:text-embedding-3-small?base_url={server.url}/v1&probe=quick")
        embedder.embed(texts(50))
        billed = sum(map(server.tokens, server.embedded))
        account = embedder.account
        assert (account.tokens_in, account.texts) == (billed, len(server.embedded))
        assert account.cost == pytest.approx(billed * 0.02 / 1e6)
        estimated = embedder.estimate(texts(50))
        assert estimated.tokens_in == pytest.approx(sum(map(server.tokens, texts(50))), rel=0.05)
        assert estimated.cost == pytest.approx(estimated.tokens_in * 0.02 / 1e6)
        embedder.close()


def test_a_model_without_a_price_costs_an_unknown_amount() -> None:
    with OpenAIServer() as server, opened(server) as embedder:
        embedder.embed(texts(3))
        assert embedder.account.cost is None
        assert embedder.estimate(texts(3)).cost is None


def test_a_caller_who_stops_reading_stops_the_sending() -> None:
    with OpenAIServer() as server, opened(server, "&batch=1&concurrency=2") as embedder:
        arrivals = embedder.arrivals(texts(1000))
        next(arrivals)
        arrivals.close()  # type: ignore[attr-defined]
        embedder.close()
        assert len(server.asked) <= LONE_PROBE_REQUESTS + 5
