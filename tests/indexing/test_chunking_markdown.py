"""Chunks that follow headings; what is in them and what is said before them."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.indexing.texts import document
from wherry.errors import MissingExtra, Usage
from wherry.indexing.base import Chunk
from wherry.indexing.chunking import blocks as blocks_module
from wherry.indexing.chunking import open_chunker, text_of, tokens
from wherry.indexing.chunking.blocks import blocks

SENTENCE = "수축기 혈압이 120 미만이면 정상으로 봅니다. "


def cut(text: str, spec: str = "markdown?size=200") -> list[Chunk]:
    """Return the chunks of a text."""
    return open_chunker(spec).cut(document(text, format="markdown"))


def test_a_section_is_a_chunk_and_knows_its_headings() -> None:
    text = f"# 건강검진\n\n{SENTENCE * 2}\n\n## 혈압\n\n{SENTENCE * 3}\n\n## 혈당\n\n{SENTENCE * 3}"
    first, second, third = cut(text)
    assert [chunk.headings for chunk in (first, second, third)] == [
        ("건강검진",),
        ("건강검진", "혈압"),
        ("건강검진", "혈당"),
    ]
    assert second.text == f"건강검진\n\n## 혈압\n\n{SENTENCE * 3}".strip()
    assert text[second.start : second.end] == f"## 혈압\n\n{SENTENCE * 3}".strip()


def test_what_goes_on_says_under_which_headings() -> None:
    text = f"# 건강검진\n\n## 혈압\n\n{SENTENCE * 20}"
    chunks = cut(text)
    assert len(chunks) > 2
    assert all(chunk.text.startswith("건강검진 > 혈압\n\n") for chunk in chunks[1:])
    assert all(chunk.text.endswith("봅니다.") and len(chunk.text) <= 200 for chunk in chunks)
    assert all(not chunk.text.startswith("건강검진 >") for chunk in cut(text, "markdown?size=200&prefix=0"))


@given(st.text(st.sampled_from("a가1 .,\t_*`&<>[]()!\\~#") | st.characters(codec="utf-8"), max_size=30))
def test_a_plain_heading_is_read_as_any_other(words: str) -> None:
    text = f"# {words}"
    found = [block.title for block in blocks(text)]
    with pytest.MonkeyPatch.context() as without:
        without.setattr(blocks_module, "_PLAIN", re.compile("(?!)"))
        assert found == [block.title for block in blocks(text)]


def test_the_title_is_said_where_no_heading_says_it() -> None:
    text = f"## 정상 범위\n\n{SENTENCE * 2}\n\n## 관리\n\n{SENTENCE * 2}"
    chunker = open_chunker("markdown?size=200")
    titled = chunker.cut(document(text, title="혈압  읽는\n법", format="markdown"))
    assert [chunk.text.partition("\n\n")[0] for chunk in titled] == ["혈압 읽는 법"] * 2
    assert [chunk.headings for chunk in titled] == [("정상 범위",), ("관리",)]
    headed = chunker.cut(document(f"# 혈압 읽는 법\n\n{text}", title="혈압 읽는 법"))
    assert headed[0].text.startswith("# 혈압 읽는 법")
    assert headed[1].text.startswith("혈압 읽는 법\n\n## 관리")
    assert "혈압 읽는 법" not in "".join(chunk.text for chunk in open_chunker("markdown?prefix=0").cut(document(text)))


def test_sentences_begin_with_the_title_of_their_document() -> None:
    chunker = open_chunker("sentences?size=120&overlap=0")
    chunks = chunker.cut(document(f"혈압 안내. {SENTENCE * 9}", title="혈압 안내"))
    assert len(chunks) > 2
    assert chunks[0].text.startswith("혈압 안내. 수축기")
    assert all(chunk.text.startswith("혈압 안내\n\n수축기") and len(chunk.text) <= 120 for chunk in chunks[1:])
    for spec in ("sentences?size=120&overlap=0&prefix=0", "fixed", "tokens?tokenizer=space"):
        assert "안내" not in open_chunker(spec).cut(document(SENTENCE, title="혈압 안내"))[0].text


def test_code_and_tables_that_fit_are_not_torn() -> None:
    code = "```python\n" + "x = 1  # 다.\n\n" * 8 + "```"
    table = "| 항목 | 값 |\n| --- | --- |\n" + "| 혈압 | 120 |\n" * 8
    text = f"{SENTENCE * 3}\n\n{code}\n\n{SENTENCE * 3}\n\n{table}\n{SENTENCE * 4}"
    chunks = cut(text)
    assert sum(code in chunk.text for chunk in chunks) == 1
    assert sum(table.strip() in chunk.text for chunk in chunks) == 1


def test_a_table_that_goes_on_repeats_its_header() -> None:
    header = "| 항목 | 값 |\n| --- | --- |\n"
    rows = [f"| 항목 {number} | {number * 10} |\n" for number in range(40)]
    text = "# 표\n\n" + header + "".join(rows)
    chunks = cut(text)
    assert len(chunks) > 3
    for chunk in chunks[1:]:
        assert chunk.text.startswith("표\n\n" + header)
        body = text[chunk.start : chunk.end]
        assert all(line + "\n" in rows for line in body.splitlines())


def test_a_list_is_cut_between_its_items() -> None:
    items = [f"- 항목 {number}: {SENTENCE.strip()}\n  이어지는 줄\n" for number in range(12)]
    for chunk in cut("# 목록\n\n" + "".join(items), "markdown?size=150"):
        body = chunk.text.partition("\n\n")[2]
        assert all(part.strip() + "\n" in items for part in body.replace("\n- ", "\n\x00- ").split("\x00"))


def test_code_is_cut_between_lines_and_keeps_its_indentation() -> None:
    lines = [f"    value_{number} = compute({number})" for number in range(30)]
    text = "# 코드\n\n```python\ndef f():\n" + "\n".join(lines) + "\n```\n"
    for chunk in cut(text)[1:]:
        body = text[chunk.start : chunk.end].removesuffix("\n```")
        assert body.split("\n")[0] in lines


def test_a_heading_stays_with_what_it_is_above() -> None:
    text = "\n\n".join(f"## 제목 {number}\n\n{SENTENCE * 4}" for number in range(8))
    for chunk in cut(text, "markdown?size=250"):
        assert not chunk.text.rstrip().split("\n")[-1].startswith("#")


def test_small_sections_share_a_chunk_under_their_common_heading() -> None:
    text = "# 안내\n\n" + "".join(f"## 항목 {number}\n\n짧다.\n\n" for number in range(6)) + f"# 다른\n\n{SENTENCE * 2}"
    chunks = cut(text, "markdown?size=600")
    assert [chunk.headings for chunk in chunks] == [("안내",), ("다른",)]
    assert len(cut(text, "markdown?size=600&smallest=0")) > 4


def test_words_of_headings_are_read_as_seen() -> None:
    text = (
        f"# **혈압** `mmHg` [링크](http://x) <b>굵게</b> &amp; \\* #\n\n{SENTENCE}\n\n제목 둘\n=====\n\n{SENTENCE * 3}"
    )
    assert [chunk.headings for chunk in cut(text)] == [("혈압 mmHg 링크 굵게 & *",), ("제목 둘",)]


def test_what_looks_like_a_heading_in_code_is_none() -> None:
    text = f"# 진짜\n\n```sh\n# 주석\nls\n```\n\n    # 들여쓴 코드\n\n{SENTENCE}"
    assert {chunk.headings for chunk in cut(text)} == {("진짜",)}


def test_link_definitions_and_blank_lines_belong_to_a_block() -> None:
    text = "\n\n[ref]: http://x\n\n# 제목\n\n[other]: http://y\n본문.\n\n\n"
    found = list(blocks(text))
    assert (found[0].start, found[-1].end) == (0, len(text))
    assert all(one.end == other.start for one, other in itertools.pairwise(found))


def test_a_text_of_many_slabs_is_cut_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    section = f"## 절\n\n{SENTENCE * 5}\n\n```text\n# 코드 안의 줄\n\n빈 줄\n```\n\n"
    text = "# 전체\n\n" + section * 60
    whole = cut(text)
    monkeypatch.setattr(blocks_module, "SLAB", 1500)
    assert len(list(blocks_module._slabs(text))) > 5
    assert cut(text) == whole


def test_auto_looks_at_the_format_and_else_for_a_heading() -> None:
    text = f"# 제목\n\n{SENTENCE * 3}"
    auto = open_chunker("auto?size=200")
    assert auto.cut(document(text, format="markdown"))[0].headings == ("제목",)
    assert auto.cut(document(text, format="html"))[0].headings == ("제목",)
    assert auto.cut(document(text))[0].headings == ("제목",)
    assert auto.cut(document(text, format="text"))[0].headings == ()
    assert auto.cut(document(SENTENCE * 3))[0].headings == ()


def test_paragraphs_are_packed_to_their_tokens() -> None:
    paragraphs = [" ".join(f"낱말{number}" for number in range(100)) for _ in range(12)]
    text = "\n\n".join(paragraphs)
    chunks = open_chunker("tokens?size=450&overlap=80&tokenizer=space").cut(document(text))
    # Four paragraphs fit; after that 80 tokens of overlap leave room for three.
    assert [len(chunk.text.split()) for chunk in chunks] == [400, 380, 380, 280]
    for before, after in itertools.pairwise(chunks):
        assert len(text_of(document(text))[after.start : before.end].split()) == 80


def test_kiwi_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_kiwi_version", lambda: None)
    assert open_chunker("tokens").identity.endswith("tokenizer=space/1")
    with pytest.raises(MissingExtra, match="Korean tokenizer") as caught:
        open_chunker("tokens?tokenizer=kiwi")
    assert "wherry[korean]" in caught.value.next


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ("markdwon", "use markdown"),
        ("nosuch", "use one of auto, markdown"),
        ("markdown?sise=3", "options: size, prefix, smallest"),
        ("markdown?size=3&size=4", "given twice"),
        ("markdown?size=big", "whole number"),
        ("markdown?size=-1", "whole number"),
        ("markdown?size=٣", "whole number"),
        ("markdown?prefix=maybe", "1 or 0"),
        ("markdown?size", "cannot be read"),
        ("markdown?size=10&smallest=11", "cannot be made"),
        ("markdown?size=0", "cannot be made"),
        ("tokens?tokenizer=tiktoken", "no tokenizer"),
        ("tokens?size=10&overlap=5&tokenizer=space", "cannot overlap"),
        ("auto?size=0", "cannot be made"),
    ],
)
def test_a_spec_that_cannot_be_says_why(spec: str, what: str) -> None:
    with pytest.raises(Usage) as caught:
        open_chunker(spec)
    assert what in str(caught.value)
