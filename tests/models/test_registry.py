"""Specs, providers by name, install hints, prices, tokens, words of refusals."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import BadAddress, MissingExtra, UnknownModel, Unsupported, Usage, WherryError
from wherry.models import faults, registry
from wherry.models.base import Chat, Embedder
from wherry.models.hashing import HashEmbedder
from wherry.models.prices import Price, price_of
from wherry.models.providers.packaged import digest_of, found_folder
from wherry.models.providers.transport import objects_closed
from wherry.models.registry import open_chat, open_embedder
from wherry.models.spec import ModelSpec
from wherry.models.tokens import estimate


def test_a_spec_is_read_as_it_is_written() -> None:
    spec = ModelSpec.parse("bedrock:amazon.titan-embed-text-v2:0?dim=1024&rpm=60")
    assert (spec.provider, spec.model) == ("bedrock", "amazon.titan-embed-text-v2:0")
    assert (spec.whole("dim"), spec.whole("rpm"), spec.whole("tpm")) == (1024, 60, None)
    assert str(spec) == "bedrock:amazon.titan-embed-text-v2:0?dim=1024&rpm=60"
    assert ModelSpec.parse(str(spec)) == spec
    assert ModelSpec.parse("st:/models/한글 모델").model == "/models/한글 모델"


@given(st.text(max_size=40))
def test_any_text_is_a_spec_or_a_usage_error(text: str) -> None:
    try:
        spec = ModelSpec.parse(text)
    except BadAddress:
        return
    assert ModelSpec.parse(str(spec)).provider == spec.provider


@pytest.mark.parametrize("spec", ["", ":model", "?dim=1", "openai:x?dim", "openai:x?dim=1&dim=2"])
def test_what_is_no_spec_says_so(spec: str) -> None:
    with pytest.raises(BadAddress):
        ModelSpec.parse(spec)


@pytest.mark.parametrize("option", ["api_key", "token", "password", "auth", "AWS_SECRET"])
def test_a_key_in_a_spec_is_refused_and_not_repeated(option: str) -> None:
    with pytest.raises(BadAddress) as caught:
        ModelSpec.parse(f"openai:x?{option}=sk-canary")
    assert "sk-canary" not in f"{caught.value}{caught.value!r}{caught.value.to_dict()}"


def test_a_password_in_the_address_of_a_server_is_not_shown() -> None:
    spec = ModelSpec.parse("ollama:bge-m3?base_url=http://me:sk-canary@host:11434")
    assert "sk-canary" not in f"{spec} {spec!r}"


@pytest.mark.parametrize(
    "spec",
    ["hash:", "hash:0", "hash:abc", "hash:-1", "hash:99999999", "hash:8?colour=red", "openai:", "ollama:x?dim=0",
     "ollama:x?dim=1.5", "ollama:x?truncate=perhaps", "openai:x?timeout=-1", "openai:x?deadline=soon",
     "openai:x?keep_alive=1", "openai:x?dim=many"],
)  # fmt: skip
def test_a_wrong_option_is_a_usage_error(spec: str) -> None:
    with pytest.raises(BadAddress):
        open_embedder(spec).embed(["혈압"])


def test_everything_opened_is_what_it_is_called() -> None:
    assert isinstance(open_embedder("hash:64"), Embedder)
    assert isinstance(open_embedder("openai:text-embedding-3-small"), Embedder)
    assert isinstance(open_chat("openai:gpt-4o-mini"), Chat)


def test_hash_is_the_hash_embedder_behind_the_guard() -> None:
    embedder = open_embedder("hash:256")
    assert embedder.spec == "hash:256"
    assert embedder.space() == HashEmbedder(256).space()
    wanted = ["공복 혈당", "blood pressure"]
    np.testing.assert_array_equal(embedder.embed(wanted), HashEmbedder(256).embed(wanted))
    np.testing.assert_array_equal(embedder.embed_query("혈당"), HashEmbedder(256).embed_query("혈당"))
    assert embedder.account.cost == 0


@pytest.mark.parametrize(("opener", "spec"), [(open_embedder, "nosuch:x"), (open_chat, "nosuch")])
def test_an_unknown_provider_names_the_known_ones(opener: object, spec: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        opener(spec)  # type: ignore[operator]
    assert "ollama" in caught.value.next


@pytest.mark.parametrize(("opener", "spec"), [(open_embedder, "anthropic:x"), (open_embedder, "offline"),
                                              (open_chat, "hash:8"), (open_chat, "bedrock:x")])  # fmt: skip
def test_what_a_provider_cannot_do_says_so(opener: object, spec: str) -> None:
    with pytest.raises(Unsupported):
        opener(spec)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("spec", "package", "extra"),
    [("openai:x", "openai", "openai"), ("bedrock:x", "boto3", "bedrock"), ("ollama:x", "ollama", "ollama"),
     ("gemini:x", "google", "gemini"), ("st:x", "sentence_transformers", "st")],
)  # fmt: skip
def test_a_client_that_is_not_installed_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, spec: str, package: str, extra: str
) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == package or n == f"wherry.models.providers.{extra}"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra) as caught:
        open_embedder(spec)
    assert caught.value.next == f'pip install "wherry[{extra}]"'


def test_a_provider_of_somebody_else_is_found_and_guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("their_models")
    module.open_embedder = lambda spec: HashEmbedder(int(spec.model))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "their_models", module)
    entries = EntryPoints([EntryPoint("theirs", "their_models", "wherry.models")])
    monkeypatch.setattr(registry, "entry_points", lambda group: entries)
    embedder = open_embedder("theirs:32")
    assert embedder.embed_each(["혈압", ""])[0].shape == (32,)  # type: ignore[union-attr]
    assert (embedder.spec, embedder.probe().width) == ("theirs:32", 32)
    with pytest.raises(Unsupported):
        open_chat("theirs:32")


def test_opening_one_provider_loads_no_other() -> None:
    program = "import sys, wherry; wherry.open_embedder('hash:8').embed(['혈압']); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert {"openai", "boto3", "ollama", "anthropic", "httpx", "pydantic", "torch"}.isdisjoint(loaded)


def test_prices_are_found_by_the_longest_name_that_fits() -> None:
    assert price_of("openai:text-embedding-3-small?dim=512") == Price(0.02)
    assert price_of("openai:gpt-4o-mini-2024-07-18") == price_of("openai:gpt-4o-mini") != price_of("openai:gpt-4o")
    assert price_of("openai:gpt-5.1") is None
    assert price_of("openai:gpt-4o-audio") is None
    assert price_of("ollama:qwen3-embedding:8b?dim=1024") == Price(0)
    assert price_of("hash:1024") == Price(0)
    assert price_of("hashing:1024") is None
    assert Price(2.0, 8.0).of(1_000_000, 500_000) == 6.0


def test_own_prices_overrule_the_shipped_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "prices.toml"
    table.write_text('["openai:text-embedding-3-small"]\ninput = 0.01\n["theirs:m"]\ninput = 1\noutput = 2\n')
    monkeypatch.setenv("WHERRY_PRICES", str(table))
    assert price_of("openai:text-embedding-3-small") == Price(0.01)
    assert price_of("theirs:m") == Price(1, 2)
    assert price_of("openai:text-embedding-3-large") == Price(0.13)


@pytest.mark.parametrize("text", ["[x", "x = 1", "[x]\noutput = 1", "[x]\ninput=-1", '[x]\ninput = "a"', "[x]\nin = 1"])
def test_a_wrong_price_table_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "prices.toml").write_text(text)
    monkeypatch.setenv("WHERRY_PRICES", str(tmp_path / "prices.toml"))
    with pytest.raises(Usage, match="price table") as caught:
        price_of("hash:8")
    assert caught.value.where == str(tmp_path / "prices.toml")


def test_a_missing_price_table_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERRY_PRICES", "/nonexistent/prices.toml")
    with pytest.raises(Usage, match="cannot be read"):
        price_of("hash:8")


@given(st.text(max_size=200), st.text(max_size=200))
def test_tokens_grow_with_the_text(one: str, other: str) -> None:
    assert 1 <= estimate(one) <= estimate(one + other) <= estimate(one) + estimate(other)


def test_tokens_of_korean_count_more_than_of_english() -> None:
    assert estimate("blood pressure") == 4
    assert 6 <= estimate("공복 혈당 검사") <= 10


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("12", 12.0), ("0.5", 0.5), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0), ("soon", None), ("-3", None), ("nan", None)],
)
def test_a_wait_is_read_from_its_header(value: str, seconds: float | None) -> None:
    assert faults.retry_after({"retry-after": value}) == seconds
    assert faults.retry_after({}) is None


def test_words_of_a_refusal_are_quoted_only_when_they_repeat_nothing() -> None:
    text = "환자 홍길동의 공복 혈당은 182이고 주소는 서울시입니다."
    assert faults.said("too many requests", ["sk-1"], [text]) == ": too many requests"
    assert faults.said(f"bad input: {text}", [], [text]) == ""
    assert faults.said(f"bad input: {text[3:20]}", [], [text]) == ""
    assert faults.said(f'bad input: "{text.encode("unicode_escape").decode()}"', [], [text]) == ""
    assert faults.said("bad input: ALT", [], ["ALT"]) == ""
    assert faults.said("key sk-1 is wrong", ["sk-1"], [text]) == ": key *** is wrong"
    assert faults.said("", [], [text]) == ""


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 409, 413, 422, 425, 429, 500, 503, 504, 529])
def test_every_status_has_an_error_that_says_what_to_do(status: int) -> None:
    error = faults.refused(status, "", where="openai:x")
    assert isinstance(error, WherryError)
    assert error.retryable == (status in (408, 409, 425, 429) or status >= 500)
    assert getattr(error, "divisible", False) == (status in (400, 413, 422))
    assert str(status) in error.what


def test_a_model_of_sentence_transformers_is_a_folder_or_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "mini_package" / "weights"
    model.mkdir(parents=True)
    (model / "modules.json").write_text("[]")
    info = tmp_path / "mini_model-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mini-model\nVersion: 1.0\n")
    (info / "RECORD").write_text("mini_package/weights/modules.json,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert found_folder(str(model)) == model
    assert found_folder("mini-model") == model
    assert found_folder("nosuch-model") is None
    assert found_folder("org/model") is None
    before = digest_of(model)
    (model / "modules.json").write_text("[ ]")
    assert digest_of(model) != before


def test_schemas_are_closed_where_they_can_be() -> None:
    nested = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "object", "properties": {}}}}}
    closed = objects_closed(nested)
    assert closed is not None
    assert closed["properties"]["a"]["items"]["additionalProperties"] is False
    assert objects_closed({"type": "object", "additionalProperties": {"type": "integer"}}) is None
    assert objects_closed({"anyOf": [{"type": "object"}]}) is None
