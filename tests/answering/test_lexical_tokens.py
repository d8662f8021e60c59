"""Turning text into tokens: Korean inside words, other languages, hostile texts, and always the same."""

from __future__ import annotations

import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.answering import english, korean, tokens
from wherry.answering.tokens import MORPHEME, PIECE, STEM, Morphemes, Pieces, Tokenizer, digest, hashed, tokenizer
from wherry.errors import MissingExtra, Usage

# Made when they are asked for: the model of Kiwi takes 200 MB.
TOKENIZERS = {"pieces": Pieces, "kiwi": Morphemes}


@pytest.fixture(params=TOKENIZERS, ids=str)
def maker(request: pytest.FixtureRequest) -> Tokenizer:
    """Each tokenizer in turn."""
    return TOKENIZERS[request.param]()


def tokens_of(maker: Tokenizer, text: str | None) -> set[int]:
    """Return the distinct tokens of a text."""
    return set(maker.bags(["x"], [text], [None]).tokens.tolist())


def common(maker: Tokenizer, question: str, text: str) -> set[int]:
    """Return the tokens that a question and a text share."""
    return set(maker.query(question).tokens.tolist()) & tokens_of(maker, text)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("서울", "서울에서 만나요"),
        ("서울에서", "서울"),
        ("엔진", "검색엔진을 고칩니다"),
        ("뇌졸중진단비", "뇌 졸중 진단비"),
        ("보험료를 알려주세요", "보험료는 월 15만원입니다"),
        ("지급되나요", "지급됩니다"),
        ("LDL이 높으면", "LDL 판정"),
        ("running", "he runs"),
        ("prepared", "How to prepare"),
        ("café", "CAFÉ"),
        ("１２６", "126 이상"),
        ("🩺", "진료 🩺 안내"),
        ("日本語", "日本語の文章"),
    ],
)
def test_what_belongs_together_shares_a_token(maker: Tokenizer, question: str, text: str) -> None:
    assert common(maker, question, text)


@pytest.mark.parametrize(("question", "text"), [("부산", "서울에서"), ("blood", "brother"), ("126", "12 6")])
def test_what_does_not_shares_none(maker: Tokenizer, question: str, text: str) -> None:
    assert not common(maker, question, text)


def test_composed_and_decomposed_korean_are_one(maker: Tokenizer) -> None:
    decomposed = unicodedata.normalize("NFD", "한국어")  # as some file systems write it
    assert len(decomposed) == 8
    assert tokens_of(maker, decomposed) == tokens_of(maker, "한국어")


def test_words_that_only_ask_are_left_out_of_a_question() -> None:
    asked = set(Pieces().query("혈압이 왜 오르나요?").tokens.tolist())
    assert hashed(PIECE, "혈압") in asked
    assert hashed(PIECE, "나요") not in asked
    assert set(Pieces().query("what is the metric").tokens.tolist()) == set(Pieces().query("metric").tokens.tolist())
    # A question of nothing else is asked as it is.
    assert len(Pieces().query("what is it").tokens)
    assert len(Pieces().query("왜요?").tokens)


def test_families_weigh_what_the_tokenizer_says() -> None:
    query = Morphemes().query("혈압")
    by_token = dict(zip(query.tokens.tolist(), query.weights.tolist(), strict=True))
    assert by_token[hashed(MORPHEME, "혈압")] == Morphemes.weights[MORPHEME]
    assert by_token[hashed(PIECE, "혈압")] == Morphemes.weights[PIECE]
    assert by_token[hashed(STEM, "혈압")] == Morphemes.weights[STEM]


def test_first_words_count_one_half_more() -> None:
    bags = Pieces().bags(["a"], ["혈압 하나 둘 셋 넷 혈당 혈압"], [None])
    halves = dict(zip(bags.tokens.tolist(), bags.halves.tolist(), strict=True))
    assert halves[hashed(STEM, "혈압")] == 5
    assert halves[hashed(STEM, "혈당")] == 2
    assert bags.lengths[0][STEM] == 7


@pytest.mark.parametrize("text", [None, "", "   ", "?!…", "\x00", "\ud800", "‍", "​"])
def test_text_without_words_has_no_tokens(maker: Tokenizer, text: str | None) -> None:
    assert tokens_of(maker, text) == set()
    assert len(maker.query(text or "").tokens) == 0


def test_ten_thousand_characters_and_a_word_without_end(maker: Tokenizer) -> None:
    long = "가나다라마바사" * 1_500
    bags = maker.bags(["a", "b"], [long, "혈압 " * 3_000], [None, None])
    assert len(bags) == 2
    assert bags.halves.max() == 255


@given(st.text(max_size=80))
def test_any_text_becomes_sound_bags(text: str) -> None:
    bags = Pieces().bags(["x"], [text], [None])
    assert len(bags.tokens) == len(set(bags.tokens.tolist())) == bags.starts[-1]
    assert (bags.halves >= 2).all()
    assert bags.tokens.dtype == np.uint64
    # Whoever asks with a text's own words finds at least one of them.
    asked = set(Pieces().query(text).tokens.tolist())
    assert not asked or not len(bags.tokens) or asked & set(bags.tokens.tolist())


def test_tokens_are_the_same_in_another_process() -> None:
    program = (
        "from wherry.answering.tokens import Morphemes as M; b = M().bags(['a'], ['서울에서 LDL 126 🩺'], [None]);"
        "print(sorted(b.tokens.tolist()))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.strip() == str(sorted(tokens_of(TOKENIZERS["kiwi"](), "서울에서 LDL 126 🩺")))


def test_identities_differ_and_name_versions() -> None:
    assert TOKENIZERS["pieces"]().identity != TOKENIZERS["kiwi"]().identity
    assert "kiwi-0." in TOKENIZERS["kiwi"]().identity
    assert tokenizer("pieces").identity == TOKENIZERS["pieces"]().identity
    assert tokenizer().identity == TOKENIZERS["kiwi"]().identity
    with pytest.raises(Usage, match="unknown tokenizer"):
        tokenizer("words")


def test_digest_tells_none_from_empty_and_text_from_metadata() -> None:
    seen = {
        digest(None, None),
        digest("", None),
        digest(None, ""),
        digest("a", "b"),
        digest("ab", ""),
        digest("", "ab"),
    }
    assert len(seen) == 6


@pytest.mark.parametrize(
    ("word", "stem"), [("서울에서", "서울"), ("혈압은", "혈압"), ("검사할까요", "검사"), ("가", "가"), ("술을", "술")]
)
def test_korean_endings_are_cut(word: str, stem: str) -> None:
    assert korean.stem(word) == stem


@pytest.mark.parametrize(
    ("words", "stem"),
    [
        (["run", "runs", "running"], "run"),
        (["copy", "copies", "copied"], "copy"),
        (["delete", "deletes", "deleted", "deleting"], "delet"),
        (["process", "processes"], "process"),
        (["bus"], "bus"),
        (["naïve"], "naïve"),
    ],
)
def test_english_endings_are_cut(words: list[str], stem: str) -> None:
    assert {english.stem(word) for word in words} == {stem}


def test_without_kiwi_pieces_are_made_and_kiwi_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kiwipiepy", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    tokens._kiwi.cache_clear()
    assert tokenizer().identity == "pieces-v1"
    with pytest.raises(MissingExtra) as raised:
        tokenizer("kiwi")
    assert "wherry[korean]" in raised.value.next


@pytest.mark.parametrize(
    ("question", "left"),
    [
        ("혈압은 왜 오르나요?", "혈압은 오르"),
        ("수술비가 얼마예요", "수술비가"),
        ("대한민국의 수도는 어디인가요", "대한민국의 수도는"),
        ("왜곡된 시간", "왜곡된 시간"),
        ("무엇인가요?", "무엇인가요?"),
    ],
)
def test_only_what_asks_is_taken_out_of_a_question(question: str, left: str) -> None:
    assert korean.content(question) == left
