"""Cleaning and cutting texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wherry
from wherry_apps.interview.rules.text import OVERLAP, SIZE, chunks, clean

# Letters, boundaries and space, so that every way of cutting comes up.
TEXTS = st.text(alphabet="가나다 .!?\n한a1", max_size=5_000).map(clean)


def test_paragraphs_stay_and_spaces_are_single() -> None:
    assert clean("a  b\t c\n\n\n\nd \n e\r\n\r\nf\x00") == "a b c\n\nd\ne\n\nf"


@pytest.mark.parametrize(("length", "count"), [(0, 0), (1, 1), (1_000, 1), (1_001, 2), (2_500, 3)])
def test_a_text_without_boundaries_is_cut_hard(length: int, count: int) -> None:
    found = chunks("가" * length)
    assert len(found) == count
    assert [piece.start for piece in found] == [800 * n for n in range(count)]


def test_every_length_to_5000_ends_and_all_of_it_is_covered() -> None:
    text = ("배차 지연을 줄였습니다. " * 30 + "가" * 900 + "\n\n") * 4
    for length in range(0, 5_001, 7):
        part = clean(text[:length])
        covered(part, chunks(part))


@given(TEXTS)
def test_chunks_are_the_text_and_cover_it(text: str) -> None:
    covered(text, chunks(text))


@given(TEXTS, st.integers(1, 400), st.integers(0, 199))
def test_so_they_do_at_any_size(text: str, size: int, overlap: int) -> None:
    if 2 * overlap >= size:
        overlap = (size - 1) // 2
    covered(text, chunks(text, size, overlap))


def covered(text: str, found: list) -> None:
    """Check the laws of chunks."""
    assert [piece.index for piece in found] == list(range(len(found)))
    assert all(text[piece.start : piece.end] == piece.text == piece.text.strip() for piece in found)
    reached = 0
    for piece in found:
        # What lies between two chunks is space that was trimmed.
        assert not text[reached : piece.start].strip()
        reached = max(reached, piece.end)
    assert not text[reached:].strip()


def test_a_chunk_ends_after_the_last_sentence_beyond_its_half() -> None:
    text = "가" * 300 + "." + "나" * 400 + "!" + "다" * 1_000
    first, second, *_ = chunks(text)
    assert first.text.endswith("!")
    assert second.start == first.end - OVERLAP
    # A boundary in the first half would make small chunks: it is left alone.
    assert len(chunks("가" * 300 + "." + "나" * 1_500)[0].text) == SIZE


def test_a_blank_line_is_a_boundary() -> None:
    assert chunks("가" * 700 + "\n\n" + "나" * 800)[0].text == "가" * 700


@pytest.mark.parametrize(("size", "overlap"), [(1_000, 500), (1_000, 501), (0, 0), (10, -1)])
def test_an_overlap_of_half_the_size_is_bad_input(size: int, overlap: int) -> None:
    with pytest.raises(wherry.Usage, match="overlap"):
        chunks("가" * 10, size, overlap)
