"""What holds for every chunk of every chunker, whatever the text."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.indexing.texts import KOREAN, document, texts, wild
from wherry.indexing.base import Chunker, Document, Part
from wherry.indexing.chunking import open_chunker, text_of
from wherry.indexing.chunking.clusters import torn
from wherry.indexing.chunking.tokens import open_tokenizer

SPECS = [
    "auto",
    "auto?size=60",
    "markdown",
    "markdown?size=120",
    "markdown?size=40&smallest=0",
    "markdown?size=80&prefix=0",
    "sentences",
    "sentences?size=50&overlap=20",
    "fixed",
    "fixed?size=40&overlap=15",
    "tokens?size=20&overlap=8&tokenizer=space",
    "tokens?size=30&overlap=10&tokenizer=estimate",
]
TOKENIZERS = ["space", "estimate"]
LIMITS = {"auto?size=60": 60, "auto": 1200, "markdown": 1200, "sentences": 800, "fixed": 1000}


def limit_of(spec: str) -> int | None:
    """Return how many characters a chunk may have, None where tokens are counted."""
    if spec.startswith("tokens"):
        return None
    return LIMITS[spec] if spec in LIMITS else int(spec.partition("size=")[2].partition("&")[0])


def require_lawful(chunker: Chunker, given: Document, limit: int | None) -> None:
    """Fail unless the chunks of a document are what every chunker promises."""
    text, chunks = text_of(given), chunker.cut(given)
    assert [chunk.ordinal for chunk in chunks] == list(range(len(chunks)))
    covered = bytearray(len(text))
    before = (-1, -1)
    for chunk in chunks:
        exact = text[chunk.start : chunk.end]
        assert exact.strip()
        assert chunk.text.endswith(exact)
        _require_prefix(chunk.text[: len(chunk.text) - len(exact)], chunk.headings, text)
        # White space is left out at both ends, so two chunks can begin with the same word.
        assert chunk.start >= before[0]
        assert chunk.end > before[1]
        before = (chunk.start, chunk.end)
        assert limit is None or len(chunk.text) <= limit
        covered[chunk.start : chunk.end] = b"\x01" * (chunk.end - chunk.start)
    missed = [sign for sign, seen in zip(text, covered, strict=True) if not seen and not sign.isspace()]
    assert missed == []
    assert chunker.cut(given) == chunks


def _require_prefix(prefix: str, headings: tuple[str, ...], text: str) -> None:
    if not prefix:
        return
    path, _, header = prefix.rpartition("\n\n")
    # Either headings and a blank line, or the header of a table as the text has it, or both.
    assert prefix.endswith("\n")
    assert not header or header.strip("\n") in text
    assert path or header


@pytest.mark.parametrize("spec", SPECS)
@settings(max_examples=25)
@given(text=texts, title=st.sampled_from([None, "제목", "혈압 안내", "아주 긴 제목 " * 20]))
@example(text="", title="제목")
@example(text=" \n\t ", title=None)
@example(text=KOREAN * 4, title="검진 안내")
def test_chunks_are_exact_and_whole(spec: str, text: str, title: str | None) -> None:
    require_lawful(open_chunker(spec), document(text, title=title), limit_of(spec))


@pytest.mark.parametrize("spec", SPECS)
@settings(max_examples=12)
@given(text=wild)
def test_no_sign_is_too_strange(spec: str, text: str) -> None:
    require_lawful(open_chunker(spec), document(text), limit_of(spec))


@pytest.mark.parametrize("name", ["markdown", "sentences", "fixed"])
@settings(max_examples=25)
@given(text=texts, size=st.integers(1, 50), overlap=st.integers(0, 24))
def test_any_size_will_do(name: str, text: str, size: int, overlap: int) -> None:
    lap = "" if name == "markdown" else f"&overlap={min(overlap, (size - 1) // 2)}"
    require_lawful(open_chunker(f"{name}?size={size}{lap}"), document(text), size)


@settings(max_examples=25)
@given(text=texts, size=st.integers(1, 40), overlap=st.integers(0, 19), tokenizer=st.sampled_from(TOKENIZERS))
def test_a_chunk_has_no_more_tokens_than_it_may(text: str, size: int, overlap: int, tokenizer: str) -> None:
    overlap = min(overlap, (size - 1) // 2)
    chunker = open_chunker(f"tokens?size={size}&overlap={overlap}&tokenizer={tokenizer}")
    require_lawful(chunker, document(text), None)


@pytest.mark.parametrize("spec", ["tokens?size=15&overlap=5&tokenizer=kiwi", "tokens?tokenizer=kiwi"])
@settings(max_examples=12)
@given(text=texts)
@example(text=KOREAN * 4)
@example(text="했" * 200)
@example(text="\ud800가나다\udfff 했어요")
def test_morphemes_are_counted_and_syllables_stay_whole(spec: str, text: str) -> None:
    require_lawful(open_chunker(spec), document(text), None)


@pytest.mark.parametrize("spec", SPECS)
@settings(max_examples=12)
@given(pages=st.lists(texts, max_size=5))
def test_a_chunk_lies_within_one_page(spec: str, pages: list[str]) -> None:
    parts = tuple(Part(text, page, {"절": page}) for page, text in enumerate(pages, 1))
    given = Document("검진.pdf", parts, None, {"format": "pdf"})
    require_lawful(open_chunker(spec), given, limit_of(spec))
    start = 0
    for part in parts:
        inside = [c for c in open_chunker(spec).cut(given) if start <= c.start and c.end <= start + len(part.text)]
        of_page = [c for c in open_chunker(spec).cut(given) if c.page == part.page]
        assert inside == of_page
        assert all(chunk.metadata == part.metadata for chunk in of_page)
        start += len(part.text) + 1


@pytest.mark.parametrize("spec", [spec for spec in SPECS if not spec.startswith("tokens")])
@settings(max_examples=25)
@given(text=texts)
def test_no_sign_is_torn_apart(spec: str, text: str) -> None:
    for chunk in open_chunker(spec).cut(document(text)):
        assert not torn(text, chunk.start)
        assert not torn(text, chunk.end)


def test_every_option_is_in_the_identity() -> None:
    specs = [
        "markdown", "markdown?size=1199", "markdown?prefix=0", "markdown?smallest=1",
        "sentences", "sentences?size=801", "sentences?overlap=99", "sentences?prefix=0",
        "fixed", "fixed?size=1001", "fixed?overlap=199",
        "tokens?tokenizer=space", "tokens?tokenizer=estimate", "tokens?tokenizer=kiwi",
        "tokens?size=451&tokenizer=space", "tokens?overlap=79&tokenizer=space",
        "auto", "auto?size=800",
    ]  # fmt: skip
    identities = [open_chunker(spec).identity for spec in specs]
    assert len(set(identities)) == len(specs)
    assert identities == [open_chunker(spec).identity for spec in specs]


def test_the_tokenizer_of_auto_is_named() -> None:
    assert open_chunker("tokens").identity == open_chunker("tokens?tokenizer=kiwi").identity
    assert open_tokenizer("auto")[0].startswith("kiwi/")
