"""Every embedding provider through its official client, against a server that speaks its API."""

from __future__ import annotations

from threading import Barrier

import numpy as np
import pytest

from tests.models.kit import AWS_ID, CANARY, DIMENSION, EMBEDDERS, Provider, patience, texts
from wherry.errors import AuthFailed, BadAddress, BadAnswer, BadRecord, Rejected, TimedOut, Unsupported, WherryError
from wherry.models.hashing import HashEmbedder
from wherry.models.providers import gemini, ollama
from wherry.models.registry import open_embedder
from wherry.testing.bedrock_server import BedrockServer
from wherry.testing.gemini_server import GeminiServer
from wherry.testing.model_server import Fault, Lie
from wherry.testing.ollama_server import OllamaServer
from wherry.testing.openai_server import OpenAIServer

every = pytest.mark.parametrize("provider", EMBEDDERS, ids=lambda provider: provider.name)


def native(provider: Provider) -> int:
    """Return the components the provider's server makes before they are cut."""
    return 1024 if provider.name == "bedrock" else DIMENSION


def unit(rows: np.ndarray) -> np.ndarray:
    """Return vectors of unit length."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@every
def test_documents_are_embedded_in_order_and_the_card_is_right(provider: Provider) -> None:
    wanted = texts(25)
    with provider.server(key=provider.key or None) as server:
        embedder = provider.open_embedder(server, "&probe=quick")
        found, card = embedder.embed(wanted), embedder.space()
        dimension = card.dimension
        assert dimension == (256 if provider.name == "bedrock" else DIMENSION)
        np.testing.assert_allclose(found, unit(HashEmbedder(native(provider)).embed(wanted)[:, :dimension]), atol=1e-6)
        assert card.provider == provider.name
        assert card.model == embedder.spec.split("?")[0].partition(":")[2]
        assert card.normalised
        assert embedder.embed_query("공복 혈당이 높으면?").shape == (dimension,)
        account = embedder.account
        assert account.texts == 25 + 5 + 1
        assert account.tokens_in > 0
        embedder.close()
        embedder.close()


@every
@pytest.mark.parametrize("status", [429, 500, 503, None], ids=str)
def test_a_fault_that_passes_is_waited_out(provider: Provider, status: int | None) -> None:
    with provider.server() as server:
        embedder = provider.open_embedder(server, "&probe=quick&concurrency=1", patience=patience())
        embedder.probe()
        before = len(server.asked)
        server.fail(Fault(status))
        embedder.embed(texts(1))
        assert len(server.asked) == before + 2, "once refused, once answered: the client itself does not retry"
        assert embedder.account.retried == 1
        embedder.close()


@every
def test_a_wait_is_asked_for_in_the_providers_own_way(provider: Provider) -> None:
    with provider.server() as server:
        held = patience()
        embedder = provider.open_embedder(server, "&probe=quick", patience=held)
        embedder.probe()
        server.fail(Fault(429, headers={"retry-after": "9"}))
        embedder.embed(texts(1))
        waited = embedder.account.waited_s
        # Ollama's client does not pass headers on; the wait is the guard's own there.
        assert waited >= 9 or provider.name == "ollama"
        embedder.close()


@every
def test_a_wrong_key_stops_at_once_and_is_never_shown(provider: Provider) -> None:
    with provider.server(key="another-key") as server:
        embedder = provider.open_embedder(server, patience=patience())
        if provider.name == "ollama":
            server.fail(Fault(401, path="/api/embed", times=9))
        with pytest.raises(AuthFailed) as caught:
            embedder.embed(texts(9))
        shown = f"{caught.value} {caught.value!r} {caught.value.to_dict()}"
        assert CANARY not in shown
        assert AWS_ID not in shown
        assert len([path for path in server.paths() if path != "/api/show"]) == 1
        embedder.close()


@every
def test_a_poison_text_is_found_and_not_repeated(provider: Provider) -> None:
    wanted = [*texts(6), "독이 든 글: 주민번호 900101-1234567", "마지막 글"]
    with provider.server(poison="독이 든") as server:
        embedder = provider.open_embedder(server, "&probe=quick", patience=patience())
        found = embedder.embed_each(wanted)
        assert [n for n, result in enumerate(found) if isinstance(result, WherryError)] == [6]
        assert isinstance(found[6], BadRecord)
        assert "900101" not in f"{found[6]} {found[6].to_dict()}"
        embedder.close()


@every
@pytest.mark.parametrize("lie", [Lie.FEWER, Lie.EMPTY, Lie.NARROWER], ids=str)
def test_an_answer_that_does_not_fit_is_an_error(provider: Provider, lie: Lie) -> None:
    with provider.server() as server:
        embedder = provider.open_embedder(server, "&probe=quick", patience=patience())
        embedder.probe()
        server.lie(lie)
        with pytest.raises(BadAnswer):
            embedder.embed(texts(1))
        embedder.close()


@every
def test_a_vector_that_is_not_finite_is_that_texts_fault(provider: Provider) -> None:
    with provider.server() as server:
        embedder = provider.open_embedder(server, "&probe=quick&concurrency=1", patience=patience())
        embedder.probe()
        # Ollama refuses the whole request then, so it comes again for one half of it.
        server.lie(Lie.NAN, 2 if provider.name == "ollama" else 1)
        found = embedder.embed_each(texts(2))
        assert [type(result).__name__ for result in found] == ["BadRecord", "ndarray"]
        embedder.close()


@every
def test_an_address_that_is_not_the_api_says_so(provider: Provider) -> None:
    with provider.server() as server:
        embedder = provider.open_embedder(server, patience=patience())
        server.answer = lambda asked: ["another", "service"]  # type: ignore[method-assign]
        with pytest.raises((BadAnswer, Rejected)):
            embedder.embed(texts(1))
        embedder.close()


@every
def test_no_answer_in_time_is_an_error_that_says_how_long(provider: Provider) -> None:
    with provider.server() as server:
        embedder = provider.open_embedder(server, "&timeout=0.25&deadline=0.01", patience=patience())
        server.hold(9)
        with pytest.raises(TimedOut, match=r"0\.25 s"):
            embedder.embed(texts(1))
        embedder.close()


def test_openai_sends_the_wished_dimension_in_one_request_as_base64() -> None:
    with OpenAIServer(dimension=1536) as server:
        embedder = open_embedder(f"openai:text-embedding-3-small?dim=512&base_url={server.url}/v1&probe=quick")
        assert embedder.embed(texts(256)).shape == (256, 512)
        body = server.asked[-1].body
        assert (body["dimensions"], body["encoding_format"], len(body["input"])) == (512, "base64", 256)
        embedder.close()


@pytest.mark.parametrize(("model", "dimension"), [("small", 1536), ("large", 3072)])
def test_openai_models_have_a_card_before_anything_is_sent(model: str, dimension: int) -> None:
    embedder = open_embedder(f"openai:text-embedding-3-{model}")
    assert embedder.space().dimension == dimension
    embedder.close()


def test_openai_prompts_go_before_the_texts() -> None:
    with OpenAIServer() as server:
        spec = f"openai:e5?base_url={server.url}/v1&probe=quick&query_prompt=query:%20&document_prompt=passage:%20"
        embedder = open_embedder(spec)
        embedder.embed(["혈압"])
        embedder.embed_query("혈압?")
        assert server.embedded[-2:] == ["passage: 혈압", "query: 혈압?"]
        assert embedder.space().query_prompt == "query: "
        embedder.close()


def test_titan_texts_go_one_by_one_but_many_at_once() -> None:
    meet = Barrier(4)
    with BedrockServer() as server:
        embedder = open_embedder(f"bedrock:amazon.titan-embed-text-v2:0?dim=512&base_url={server.url}&probe=quick")
        embedder.probe()
        # Four requests wait for each other: they come at the same time, or never.
        server.before = lambda asked: meet.wait(30)
        assert embedder.embed(texts(4)).shape == (4, 512)
        assert {asked.body["dimensions"] for asked in server.asked} == {512}
        assert all(set(asked.body) == {"inputText", "dimensions", "normalize"} for asked in server.asked)
        embedder.close()


def test_titan_without_normalising_keeps_its_lengths() -> None:
    with BedrockServer() as server:
        embedder = open_embedder(
            f"bedrock:amazon.titan-embed-text-v2:0?dim=256&normalise=false&base_url={server.url}&probe=quick"
        )
        np.testing.assert_allclose(np.linalg.norm(embedder.embed(texts(3)), axis=1), 3, atol=1e-5)
        assert embedder.space().normalised is False
        embedder.close()


@pytest.mark.parametrize(
    ("code", "error"),
    [("ServiceQuotaExceededException", "QuotaExceeded"), ("ExpiredTokenException", "AuthFailed"),
     ("ResourceNotFoundException", "Rejected"), ("AccessDeniedException", "AuthFailed")],
)  # fmt: skip
def test_bedrock_tells_by_code(code: str, error: str) -> None:
    status = 403 if code == "AccessDeniedException" else 400
    with BedrockServer() as server:
        embedder = open_embedder(
            f"bedrock:amazon.titan-embed-text-v2:0?base_url={server.url}&probe=quick", patience=patience()
        )
        embedder.probe()
        server.fail(Fault(status, code, times=50))
        before = len(server.asked)
        with pytest.raises(WherryError) as caught:
            embedder.embed(texts(1))
        assert type(caught.value).__name__ == error
        assert len(server.asked) == before + 1
        embedder.close()


def test_bedrock_knows_what_it_cannot_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unsupported, match="Titan V2"):
        open_embedder("bedrock:cohere.embed-multilingual-v3")
    with pytest.raises(BadAddress, match="1024, 512 or 256"):
        open_embedder("bedrock:amazon.titan-embed-text-v2:0?dim=384")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(BadAddress, match="region"):
        open_embedder("bedrock:amazon.titan-embed-text-v2:0")


def test_bedrock_without_credentials_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    with BedrockServer() as server:
        embedder = open_embedder(f"bedrock:amazon.titan-embed-text-v2:0?base_url={server.url}")
        with pytest.raises(AuthFailed, match="no credentials"):
            embedder.embed(["혈압"])
        embedder.close()


def test_ollama_never_lets_a_text_be_cut_and_keeps_the_model_loaded() -> None:
    with OllamaServer("bge-m3:latest", text_tokens=60) as server:
        embedder = open_embedder(f"ollama:bge-m3?dim=32&base_url={server.url}&keep_alive=30m&num_ctx=60")
        assert embedder.probe().too_long == "refused"
        found = embedder.embed_each(["혈압", "혈당 " * 100])
        assert isinstance(found[1], BadRecord)
        body = next(asked.body for asked in server.asked if asked.path == "/api/embed")
        assert (body["truncate"], body["dimensions"], body["keep_alive"]) == (False, 32, "30m")
        assert body["options"] == {"num_ctx": 60}
        embedder.close()


def test_an_old_ollama_that_cuts_in_silence_is_seen_through() -> None:
    with OllamaServer("bge-m3:latest", old=True, text_tokens=60) as server:
        embedder = open_embedder(f"ollama:bge-m3?dim=32&base_url={server.url}")
        assert embedder.probe().too_long == "cut in silence"
        found = embedder.embed_each(["혈압", "혈당 " * 100])
        assert isinstance(found[1], BadRecord)
        # It ignores the dimension too: the vector is cut and of unit length again.
        assert isinstance(found[0], np.ndarray)
        assert np.linalg.norm(found[0]) == pytest.approx(1, abs=1e-6)
        embedder.close()


def test_truncation_that_is_accepted_makes_another_space() -> None:
    with OllamaServer("bge-m3:latest", text_tokens=60) as server:
        whole = open_embedder(f"ollama:bge-m3?base_url={server.url}")
        cut = open_embedder(f"ollama:bge-m3?truncate=true&base_url={server.url}")
        assert cut.embed(["혈당 " * 100]).shape == (1, DIMENSION)
        assert server.asked[-1].body["truncate"] is True
        assert whole.space().conflicts(cut.space())
        whole.close()
        cut.close()


def test_a_tag_that_moved_is_another_space() -> None:
    with OllamaServer("bge-m3:latest") as server:
        before = open_embedder(f"ollama:bge-m3?base_url={server.url}").space()
        same = open_embedder(f"ollama:bge-m3?base_url={server.url}").space()
        assert before.conflicts(same) == []
        server.pull("bge-m3:latest")
        after = open_embedder(f"ollama:bge-m3?base_url={server.url}").space()
        assert [conflict.split(":")[0] for conflict in before.conflicts(after)] == ["model_digest"]
        assert not any(path == "/api/embed" for path in server.paths()), "a card costs no embedding"


def test_qwen3_questions_begin_with_the_instruction_and_documents_do_not() -> None:
    with OllamaServer("qwen3-embedding:8b") as server:
        embedder = open_embedder(f"ollama:qwen3-embedding:8b?dim=32&base_url={server.url}&probe=quick")
        embedder.embed(["공복 혈당"])
        embedder.embed_query("공복 혈당?")
        assert server.embedded[-2:] == ["공복 혈당", f"{ollama.QWEN3_QUERY}공복 혈당?"]
        assert embedder.space().query_prompt == ollama.QWEN3_QUERY
        embedder.close()


def test_a_model_that_is_not_pulled_says_how_to_pull_it() -> None:
    with OllamaServer("bge-m3:latest") as server:
        embedder = open_embedder(f"ollama:nomic-embed-text?base_url={server.url}")
        for act in (embedder.space, lambda: embedder.embed(["혈압"])):
            with pytest.raises(Rejected) as caught:
                act()
            assert caught.value.next == "ollama pull nomic-embed-text"
        embedder.close()


@pytest.mark.parametrize("model", ["gemini-embedding-001", "gemini-embedding-2"])
def test_gemini_texts_are_contents_of_their_own_and_tasks_differ(model: str) -> None:
    with GeminiServer() as server:
        embedder = open_embedder(f"gemini:{model}?dim=32&base_url={server.url}&probe=quick")
        found = embedder.embed(texts(150))
        question = embedder.embed_query(texts(1)[0])
        sizes = [len(asked.body["requests"]) for asked in server.asked]
        assert sorted(sizes, reverse=True)[:2] == [100, 50]
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
        assert not np.allclose(question, found[0])
        request = server.asked[-1].body["requests"][0]
        if model == "gemini-embedding-001":
            assert request["taskType"] == "RETRIEVAL_QUERY"
        else:
            assert request["content"]["parts"][0]["text"].startswith("task: search result | query: ")
        assert embedder.space().query_prompt != embedder.space().document_prompt
        embedder.close()


def test_gemini_quota_of_the_day_is_not_waited_for() -> None:
    with GeminiServer() as server:
        embedder = open_embedder(f"gemini:gemini-embedding-001?dim=32&base_url={server.url}", patience=patience())
        server.fail(Fault(429, "EmbedContentRequestsPerDayPerProject", times=9))
        with pytest.raises(WherryError) as caught:
            embedder.embed(["혈압"])
        assert type(caught.value).__name__ == "QuotaExceeded"
        assert len(server.asked) == 1
        embedder.close()


@pytest.mark.parametrize(
    ("spec", "names"),
    [("openai:text-embedding-3-small", ["OPENAI_API_KEY"]), ("gemini:gemini-embedding-001", ["GEMINI_API_KEY"])],
)
def test_without_a_key_the_variable_is_named(monkeypatch: pytest.MonkeyPatch, spec: str, names: list[str]) -> None:
    for name in names:
        monkeypatch.delenv(name)
    with pytest.raises(AuthFailed, match=names[0]):
        open_embedder(spec)
    monkeypatch.setenv(names[0], "sk-한글")
    with pytest.raises(AuthFailed, match="characters"):
        open_embedder(spec)


def test_gemini_takes_either_name_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(gemini.KEY)
    monkeypatch.setenv("GOOGLE_API_KEY", "g-key")
    with GeminiServer(key="g-key") as server:
        embedder = open_embedder(f"gemini:gemini-embedding-001?dim=32&base_url={server.url}&probe=quick")
        assert embedder.embed(["혈압"]).shape == (1, 32)
        embedder.close()
