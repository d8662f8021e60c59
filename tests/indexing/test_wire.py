"""Indexes whose model is a server behind its official client: what goes wrong on the wire costs no document."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.indexing.conftest import Indexed
from tests.indexing.test_index import shelf
from tests.models.kit import CANARY, KEYS, patience
from wherry.errors import AuthFailed, BadAnswer, SpaceMismatch, Unreachable
from wherry.indexing.act import index
from wherry.indexing.generations import rebuild
from wherry.indexing.status import status
from wherry.models.guard import GuardedEmbedder
from wherry.models.probe import TEXTS
from wherry.models.registry import open_embedder
from wherry.testing.model_server import Fault, Lie
from wherry.testing.ollama_server import OllamaServer
from wherry.testing.openai_server import OpenAIServer

Rows = Callable[[], dict[str, str]]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that open nothing."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def openai(name: str) -> Iterator[OpenAIServer]:
    """A server of OpenAI's API that refuses one kind of text."""
    with OpenAIServer(key=CANARY, poison="독이 든") as server:
        yield server


@pytest.fixture
def teller(openai: OpenAIServer, name: str) -> GuardedEmbedder:
    """The model behind its client, on a clock that costs no time; no other test asks for its name."""
    return open_embedder(f"openai:{name}?base_url={openai.url}/v1&dim=32&batch=8&probe=quick", patience=patience())


def paid(server: OpenAIServer) -> list[str]:
    """The texts that were billed, without the probe's."""
    return [text for text in server.embedded if text not in TEXTS]


def test_an_index_over_the_wire_and_a_second_run_that_asks_nobody(
    run: Indexed, openai: OpenAIServer, teller: GuardedEmbedder
) -> None:
    documents = shelf(20)
    first = run(documents, embedder=teller)
    assert (first.new, first.chunks_embedded, first.tokens > 0) == (20, 41, True)
    assert len(paid(openai)) == 41
    asked = len(openai.asked)
    assert run(documents, embedder=teller).run == ""
    assert len(openai.asked) == asked


@pytest.mark.parametrize(
    "fault",
    [
        Fault(429, "rate_limit_exceeded", headers={"retry-after": "7"}, skip=3, times=4),
        Fault(500, skip=3, times=3),
        Fault(503, skip=4, times=2),
        Fault(None, skip=3, times=2),
    ],
    ids=["429", "500", "503", "reset"],
)
def test_what_passes_is_waited_for_and_nothing_is_paid_for_twice(
    fault: Fault, run: Indexed, openai: OpenAIServer, teller: GuardedEmbedder
) -> None:
    openai.fail(fault)
    assert run(shelf(20), embedder=teller).failed == 0
    assert sorted(paid(openai)) == sorted(set(paid(openai)))
    assert fault.times == 0


def test_a_server_that_stays_down_ends_the_run_and_the_next_one_goes_on(
    run: Indexed, openai: OpenAIServer, teller: GuardedEmbedder, rows: Rows, address: str
) -> None:
    openai.fail(Fault(503, skip=5, times=10_000))
    with pytest.raises(Unreachable) as caught:
        run(shelf(20), embedder=teller)
    assert "what was embedded is kept" in caught.value.left
    before = len(paid(openai))
    assert 8 <= before < 41
    openai._faults.clear()
    result = run(shelf(20), embedder=teller)
    assert (result.new + result.unchanged, result.chunks_embedded) == (20, 41 - before)
    assert 0 < result.unchanged < 20
    assert sorted(paid(openai)) == sorted(set(paid(openai)))


def test_a_key_that_is_refused_ends_the_run_at_once(
    run: Indexed, openai: OpenAIServer, teller: GuardedEmbedder
) -> None:
    openai.key = "another"
    with pytest.raises(AuthFailed) as caught:
        run(shelf(20), embedder=teller)
    assert CANARY not in str(caught.value)
    assert len(openai.asked) == 1


@pytest.mark.parametrize("lie", [Lie.FEWER, Lie.MORE, Lie.NARROWER, Lie.RAGGED, Lie.EMPTY])
def test_an_answer_of_the_wrong_shape_is_no_answer(
    lie: Lie, run: Indexed, openai: OpenAIServer, teller: GuardedEmbedder, rows: Rows
) -> None:
    documents = shelf(5)
    run(documents, embedder=teller)
    before = rows()
    documents.texts["문서-01"] += "\n\n새 문단\n\n noch einer"
    openai.lie(lie, times=1000)
    with pytest.raises(BadAnswer):
        run(documents, embedder=teller)
    assert rows() == before
    openai._lies.clear()
    assert run(documents, embedder=teller).modified == 1


def test_one_poison_text_is_found_among_many_and_its_document_alone_fails(
    run: Indexed, openai: OpenAIServer, teller: GuardedEmbedder, address: str
) -> None:
    documents = shelf(60)
    documents.texts["문서-37"] += "\n\n독이 든 문단"
    result = run(documents, embedder=teller)
    assert (result.new, result.failed, result.failures[0].document) == (59, 1, "문서-37")
    assert "독이 든" not in result.failures[0].message, "the text itself is never told"
    assert status(address).failed == 1


def test_a_tag_that_was_pulled_again_is_another_model(run: Indexed, address: str, name: str, rows: Rows) -> None:
    with OllamaServer(f"{name}:latest") as server:
        spec = f"ollama:{name}?base_url={server.url}&probe=quick"
        documents = shelf(5)
        run(documents, embedder=spec)
        before = rows()
        assert run(documents, embedder=spec).run == ""
        server.pull(f"{name}:latest")
        with pytest.raises(SpaceMismatch, match="it moved"):
            run(documents, embedder=spec)
        documents.texts["문서-01"] += "\n\n새 문단"
        with pytest.raises(SpaceMismatch, match="it moved"):
            run(documents, embedder=None)
        assert rows() == before
        assert rebuild(address, spec).serving == 2
        assert run(documents, embedder=spec).modified == 1


def test_an_unreachable_model_costs_nothing_where_nothing_is_to_be_embedded(
    run: Indexed, address: str, name: str, rows: Rows
) -> None:
    documents = shelf(5)
    with OllamaServer(f"{name}:latest") as server:
        spec = f"ollama:{name}?base_url={server.url}&probe=quick&deadline=1"
        run(documents, embedder=spec)
    assert index(documents, address, chunker=_paragraphs()).unchanged == 5
    del documents.texts["문서-01"]
    documents.texts["umbenannt"] = documents.texts.pop("문서-02")
    result = index(documents, address, chunker=_paragraphs())
    assert (result.deleted, result.renamed) == (1, 1)


def _paragraphs():  # type: ignore[no-untyped-def]
    from tests.indexing.kit import Paragraphs

    return Paragraphs()
