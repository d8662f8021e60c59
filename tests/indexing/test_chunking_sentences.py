"""Where sentences end, and chunks made of them."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings

from tests.indexing.texts import document, texts, wild
from wherry.errors import Usage
from wherry.indexing.chunking import open_chunker
from wherry.indexing.chunking.sentences import sentences

CUT = [
    ("검진 결과입니다. 정상이에요! 괜찮을까요? 네.", ["검진 결과입니다.", "정상이에요!", "괜찮을까요?", "네."]),
    ("체온은 36.5도입니다. 혈압은 3.5배.", ["체온은 36.5도입니다.", "혈압은 3.5배."]),
    ('그는 "다시 합시다. 꼭이요."라고 말했다. 끝이다.', ['그는 "다시 합시다. 꼭이요."라고 말했다.', "끝이다."]),
    ("“안녕하세요. 반갑습니다.” 그가 말했다.", ["“안녕하세요. 반갑습니다.”", "그가 말했다."]),
    ("그는 “가자.” 하고 말했다. 끝.", ["그는 “가자.” 하고 말했다.", "끝."]),
    ("2026. 3. 5. 검사했다. 결과는 2026년이다.", ["2026. 3. 5.", "검사했다.", "결과는 2026년이다."]),
    ("했다.그리고 갔다.", ["했다.", "그리고 갔다."]),
    ("제목\n\n결과가 정상이다\n다음 줄", ["제목", "결과가 정상이다", "다음 줄"]),
    ("1. 첫째다.\n2. 둘째다.\n가. 셋째다.", ["1. 첫째다.", "2. 둘째다.", "가. 셋째다."]),
    ("Dr. Kim said e.g. this. Then he left.", ["Dr. Kim said e.g. this.", "Then he left."]),
    ("(참고. 자세히 볼 것.) 다음 문장이다.", ["(참고. 자세히 볼 것.)", "다음 문장이다."]),
    ("結果。次！", ["結果。", "次！"]),
    ("정말...? 그래요… 알겠습니다.", ["정말...?", "그래요…", "알겠습니다."]),
    ("주소는 www.kr.com 입니다. v1.2.3 이다.", ["주소는 www.kr.com 입니다.", "v1.2.3 이다."]),
]


@pytest.mark.parametrize(("text", "expected"), CUT, ids=[text[:12] for text, _ in CUT])
def test_a_sentence_ends_where_a_reader_says(text: str, expected: list[str]) -> None:
    assert [text[start:end].strip() for start, end in sentences(text)] == expected


@settings(max_examples=60)
@given(text=texts | wild)
def test_sentences_are_all_of_the_text(text: str) -> None:
    assert "".join(text[start:end] for start, end in sentences(text)) == text
    assert all(start < end for start, end in sentences(text))


def test_a_stretch_is_cut_without_looking_outside() -> None:
    text = "앞. 가나다. 라마바. 뒤."
    assert [text[start:end] for start, end in sentences(text, 3, 12)] == ["가나다. ", "라마바."]


def test_chunks_hold_whole_sentences_and_overlap_by_them() -> None:
    text = " ".join(f"{number}번째 검진 문장입니다." for number in range(30))
    chunks = open_chunker("sentences?size=100&overlap=30").cut(document(text))
    assert len(chunks) > 3
    assert all(chunk.text.endswith("입니다.") and len(chunk.text) <= 100 for chunk in chunks)
    for before, after in itertools.pairwise(chunks):
        shared = text[after.start : before.end]
        assert 0 < len(shared) <= 30
        assert shared.endswith("입니다.")


def test_a_sentence_longer_than_a_chunk_is_cut_at_a_space() -> None:
    text = "혈압 " * 50
    chunks = open_chunker("sentences?size=40&overlap=0").cut(document(text))
    assert all(set(chunk.text.split()) == {"혈압"} for chunk in chunks)


@pytest.mark.parametrize("options", ["size=0", "size=100&overlap=50", "size=1&overlap=1"])
def test_options_that_cannot_be_are_refused(options: str) -> None:
    with pytest.raises(Usage, match="cannot overlap") as caught:
        open_chunker(f"sentences?{options}")
    assert "sentences?size=800&overlap=100" in caught.value.next


HARD = [".", "\n", "(", "“", '"', "다\n", "다.", ".\n", "…)", "\u0301", "가", "1. ", "\n \n"]


@pytest.mark.parametrize("unit", HARD, ids=map(repr, HARD))
def test_twice_the_text_takes_about_twice_the_time(unit: str) -> None:
    def taken(length: int) -> float:
        text, started = unit * (length // len(unit)), time.process_time()
        assert sum(end - start for start, end in sentences(text)) == len(text)
        return time.process_time() - started

    # Quadratic would be 16 times; the smallest of three tries leaves out what else the machine does.
    small, large = (min(taken(length) for _ in range(3)) for length in (20_000, 80_000))
    assert large < 9 * small + 0.05
