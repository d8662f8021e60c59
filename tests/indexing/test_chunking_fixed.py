"""The fixed chunker, as the interview system defines it."""

from __future__ import annotations

import itertools
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.indexing.texts import document, texts
from wherry.errors import Usage
from wherry.indexing.chunking import open_chunker
from wherry.indexing.chunking.fixed import Fixed


def spans(text: str, size: int = 1000, overlap: int = 200) -> list[tuple[int, int]]:
    """Return where the chunks of a text begin and end."""
    return [(chunk.start, chunk.end) for chunk in Fixed(size, overlap).cut(document(text))]


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (0, []),
        (1, [(0, 1)]),
        (1000, [(0, 1000)]),
        (1001, [(0, 1000), (800, 1001)]),
        (2500, [(0, 1000), (800, 1800), (1600, 2500)]),
    ],
)
def test_text_without_boundaries(length: int, expected: list[tuple[int, int]]) -> None:
    assert spans("가" * length) == expected


def test_every_length_up_to_5000_ends_and_covers_all() -> None:
    for length in range(5001):
        found = spans("나" * length)
        assert (found[0][0], found[-1][1]) == (0, length) if length else found == []
        assert all(after[0] == before[1] - 200 for before, after in itertools.pairwise(found))


@pytest.mark.parametrize("mark", [".", "!", "?", "\n\n", "\n \t\n"])
def test_it_cuts_after_the_last_boundary_beyond_the_middle(mark: str) -> None:
    text = "가" * 600 + mark + "나" * 100 + mark + "다" * 1000
    first = spans(text)[0]
    assert text[first[0] : first[1]] == ("가" * 600 + mark + "나" * 100 + mark).rstrip()
    assert spans(text)[1][0] == 700 + 2 * len(mark) - 200


@pytest.mark.parametrize("before", [499, 100])
def test_a_boundary_in_the_first_half_is_no_boundary(before: int) -> None:
    assert spans("가" * before + "." + "나" * 1500)[0] == (0, 1000)


def test_the_boundary_right_beyond_the_middle_counts() -> None:
    assert spans("가" * 500 + "." + "나" * 1500)[0] == (0, 501)


@settings(max_examples=60)
@given(text=texts, size=st.integers(1, 60), overlap=st.integers(0, 29))
def test_it_ends_and_each_start_lies_behind_the_last(text: str, size: int, overlap: int) -> None:
    chunker = Fixed(size, min(overlap, (size - 1) // 2))
    starts = [span.start for span in chunker._spans(text)]
    assert len(starts) <= max(1, len(text))
    ends = [chunk.end for chunk in chunker.cut(document(text))]
    assert ends == sorted(set(ends))


@pytest.mark.parametrize(("size", "overlap"), [(1000, 500), (1000, 999), (0, 0), (10, -1), (-5, 0), (1, 1)])
def test_an_overlap_of_half_the_size_is_bad_input(size: int, overlap: int) -> None:
    with pytest.raises(Usage, match="cannot overlap"):
        Fixed(size, overlap)


def test_a_hard_cut_keeps_syllables_and_faces_whole() -> None:
    text = unicodedata.normalize("NFD", "각") * 700
    for chunk in Fixed(100, 20).cut(document(text)):
        assert unicodedata.normalize("NFC", chunk.text).strip("각") == ""
    family = "👨\u200d👩\u200d👧"
    for chunk in Fixed(100, 20).cut(document(family * 100)):
        assert chunk.text.replace(family, "") == ""
    for chunk in Fixed(101, 20).cut(document("🇰🇷" * 100)):
        assert chunk.text.replace("🇰🇷", "") == ""


def test_it_is_opened_by_its_spec() -> None:
    chunker = open_chunker("fixed")
    assert chunker.identity == "fixed/1 size=1000 overlap=200"
