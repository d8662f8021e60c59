"""What files of each kind become: encodings, Markdown, HTML, PDF, rows of tables."""

from __future__ import annotations

import codecs
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.indexing.pdfs import make_pdf
from wherry.errors import BadRecord, NotListed
from wherry.indexing.base import Document
from wherry.indexing.chunking import open_chunker
from wherry.indexing.sources import Columns, open_source_paths
from wherry.indexing.sources.decoding import decode
from wherry.indexing.sources.html import read_html
from wherry.indexing.sources.markdown import front_matter, read_markdown
from wherry.indexing.sources.pdf import read_pdf

TEXT = "공복 혈당은 100 미만이 정상입니다.\n수축기 혈압도 확인하세요."


def read(folder: Path, name: str, data: bytes | str, **options: object) -> list[Document]:
    """Return the documents of a file."""
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return [item.read(item.bytes()) for item in open_source_paths([path], **options).documents()]  # type: ignore[arg-type]


def body(html: str) -> str:
    """Return the text of a page."""
    return "".join(part.text for part in read_html("쪽.html", html.encode()).parts)


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        TEXT.encode("utf-16"),
        codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"),
        TEXT.encode("cp949"),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode("euc-kr"),
        unicodedata.normalize("NFD", TEXT).encode(),
    ],
)
def test_text_is_the_same_in_every_encoding(data: bytes) -> None:
    assert decode(data, "글.txt") == TEXT


def test_syllables_that_only_cp949_has_are_read() -> None:
    assert decode("똠방각하와 펲시콜라".encode("cp949"), "글.txt") == "똠방각하와 펲시콜라"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ("café crème".encode("latin-1"), "no UTF-8 (from byte 3 on)"),
        ("Добрый день, товарищ".encode("cp1251"), "no CP949"),
        ("中华人民共和国今天天气很好我们去公园散步吧".encode("gbk"), "no CP949"),
        ("健康診断の結果をお知らせします".encode("euc-jp"), "no CP949"),
        ("健康診断の結果をお知らせします".encode("shift-jis"), "no CP949"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe", "it holds zero bytes"),
        (TEXT.encode("utf-16-le"), "zero bytes"),
        ("plain English".encode("utf-16-le"), "zero bytes"),
        (b"abc\x00def", "zero bytes"),
        (codecs.BOM_UTF16_LE + b"\x00\xd8\x41", "UTF-16-LE, but is not from byte 0 on"),
        (codecs.BOM_UTF8 + b"\xff", "UTF-8, but is not"),
    ],
)
def test_what_is_no_text_is_named_and_never_guessed(data: bytes, what: str) -> None:
    with pytest.raises(BadRecord) as caught:
        decode(data, "안내/글.txt")
    assert what in str(caught.value)
    assert caught.value.where == "안내/글.txt"
    assert "iconv" in caught.value.next


@settings(max_examples=80)
@given(data=st.binary(max_size=60))
def test_bytes_are_text_or_a_bad_record(data: bytes) -> None:
    for reader in (read_markdown, read_html):
        where = "글"
        try:
            assert all("\x00" not in part.text for part in reader("글", data).parts)
        except BadRecord as error:
            where = error.where
        assert where == "글"


def test_an_empty_file_is_a_document_without_text(tmp_path: Path) -> None:
    for name in ("a.md", "b.txt", "c.html", "d.pdf"):
        [found] = read(tmp_path, name, b"")
        assert (found.id, found.parts) == (name, ())
        assert open_chunker().cut(found) == []
    assert read(tmp_path, "e.csv", b"") == read(tmp_path, "f.jsonl", b" \n\n") == []


def test_front_matter_becomes_metadata_and_title() -> None:
    text = "---\ntitle: '혈압: 안내'\ntags: [건강, \"검진\", 3]\nyear: 2026\nrate: 3.5\ndraft: false\nnone: ~\n"
    text += "# 주석\nlist:\n  - 하나\n  - 둘\nurl: https://example.com/a\nempty: []\n---\n# 본문 제목\n\n본문.\n"
    found = read_markdown("글.md", text.encode())
    assert found.title == "혈압: 안내"
    assert found.parts[0].text == "# 본문 제목\n\n본문.\n"
    assert found.metadata == {
        "format": "markdown", "tags": ["건강", "검진", 3], "year": 2026, "rate": 3.5, "draft": False, "none": None,
        "list": ["하나", "둘"], "url": "https://example.com/a", "empty": [],
    }  # fmt: skip


def test_front_matter_does_not_replace_what_a_chunk_says_of_itself() -> None:
    text = "---\nsource: https://example.com/a\npage: 7\nchunk: 3\nformat: book\n---\n본문.\n"
    found = read_markdown("글.md", text.encode())
    kept = {"front_source": "https://example.com/a", "front_page": 7, "front_chunk": 3, "front_format": "book"}
    assert found.metadata == {"format": "markdown", **kept}


@pytest.mark.parametrize(
    "lines",
    [
        "a:\n  b: 1",
        "a: &x 1\nb: *x",
        "a: !!python/object:os.system x",
        "a: |\n  여러\n  줄",
        "a: {b: 1}",
        "a: [1, [2]]",
        "a: 1\na: 2",
        "a: b: c",
        "그냥 문장입니다",
        'a: "이스케이프 \\n"',
        "a: [1,",
        "- a",
        "a: 'b' c'",
    ],
)
def test_front_matter_that_says_more_stays_in_the_text(lines: str) -> None:
    text = f"---\n{lines}\n---\n본문.\n"
    assert front_matter(text) == (text, {})


@pytest.mark.parametrize("text", ["---\n본문", "--- \n", "본문\n---\na: 1\n---\n", "----\na: 1\n----\n", "---\n---"])
def test_a_rule_is_no_front_matter(text: str) -> None:
    assert front_matter(text)[1] == {}


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# 혈압 **안내** #\n\n본문", "혈압 안내"),
        ("머리말\n\n## [링크](http://x) 제목\n", "링크 제목"),
        ("혈압 안내\n=====\n\n본문", "혈압 안내"),
        ("```\n# 주석\n```\n\n# 제목", "제목"),
        ("제목 없는 글입니다.", None),
        ("#해시태그\n본문", None),
        ("", None),
    ],
)
def test_the_title_is_the_first_heading(text: str, title: str | None) -> None:
    assert read_markdown("글.md", text.encode()).title == title


def test_a_page_is_what_a_reader_sees() -> None:
    html = """<!doctype html><html><head><title> 검진
      안내 </title><style>p{}</style></head><body>
      <h1>건강 <em>검진</em></h1><p>공복   혈당은<br>100 &lt; 정상 &amp; 좋음.</p>
      <p hidden>숨김</p><div style="DISPLAY : none">숨김</div><script>alert(1)</script><noscript>숨김</noscript>
      <ul><li>하나<li><p>둘</p><ol><li>둘-하나<li>둘-둘</ol></ul>
      <table><thead><tr><th>항목<th>값</thead><tr><td>혈압<td>120<br>80</table>
      <pre>x = 1\n  y = 2</pre><h2></h2><p>끝.</p><!-- 주석 --></body></html>"""
    found = read_html("쪽.html", html.encode())
    assert found.title == "검진 안내"
    assert found.parts[0].text == (
        "# 건강 검진\n\n공복 혈당은\n100 < 정상 & 좋음.\n\n- 하나\n- 둘\n  1. 둘-하나\n  2. 둘-둘\n\n"
        "| 항목 | 값 |\n| --- | --- |\n| 혈압 | 120 80 |\n\n```\nx = 1\n  y = 2\n```\n\n끝."
    )
    assert open_chunker().cut(found)[0].headings == ("건강 검진",)


def test_words_that_look_like_markdown_are_no_headings() -> None:
    text = body("<p># 번호 없음</p><p>```</p><p>#해시</p>")
    assert text == "\\# 번호 없음\n\n\\```\n\n#해시"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>하나<p>둘", "하나\n\n둘"),
        ("<b>굵게</i> 글", "굵게 글"),
        ("맨 글자", "맨 글자"),
        ("<div><div>안</div>밖</div>", "안\n\n밖"),
        ("<table><tr><td>a|b</table>", "| a\\|b |\n| --- |"),
        ("<p>a<p", "a"),
        ("<h1>제목</h1><title>늦음</title>", "# 제목"),
        ("<td>밖의 칸", "밖의 칸"),
        ("<li>밖의 항목", "- 밖의 항목"),
        ("<pre><code>a```b</code></pre>", "````\na```b\n````"),
        ("<!-- 끝나지 않는 주석", ""),
    ],
)
def test_broken_html_is_read_as_browsers_do(html: str, text: str) -> None:
    assert body(html) == text


def test_a_page_tells_its_own_encoding() -> None:
    page = '<html><head><meta charset="{}"></head><body>건강검진 똠 안내</body>'
    for stated in ("euc-kr", "ks_c_5601-1987", "utf-8", "x-nosuch"):
        assert "건강검진 똠" in read_html("쪽", page.format(stated).encode("cp949")).parts[0].text
    japanese = '<meta http-equiv="Content-Type" content="text/html; charset=Shift_JIS"><p>健康診断'
    assert read_html("쪽", japanese.encode("shift-jis")).parts[0].text == "健康診断"


@pytest.mark.parametrize("html", ["<div>" * 100_000, "<b><div>" * 50_000])
def test_a_page_that_nests_without_end_is_refused_at_once(html: str) -> None:
    started = time.process_time()
    with pytest.raises(BadRecord, match="nests more than"):
        read_html("쪽", html.encode())
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    "unit", ["<p>", "<li>", "<!--", '<a b="', "<br>", "<script>", "<script>if (a<b) {}</script>", "<"]
)
def test_a_long_page_is_read_in_time(unit: str) -> None:
    started = time.process_time()
    read_html("쪽", (unit * 50_000).encode())
    assert time.process_time() - started < 20


def test_a_pdf_has_a_part_for_each_page_with_text(tmp_path: Path) -> None:
    pages = ["혈압 안내입니다.\n정상은 120 미만입니다.", "", "셋째 쪽 English."]
    [found] = read(tmp_path, "검진.pdf", make_pdf(pages, title="건강 검진"))
    assert [(part.page, part.text) for part in found.parts] == [(1, pages[0]), (3, pages[2])]
    assert found.title == "건강 검진"
    assert [chunk.page for chunk in open_chunker("fixed").cut(found)] == [1, 3]


@pytest.mark.parametrize("title", ["Microsoft Word - 최종.docx", "untitled", "제목 없음", "문서1", "보고서(3).hwp", ""])
def test_a_title_nobody_gave_is_none(title: str) -> None:
    assert read_pdf("검진.pdf", make_pdf(["혈압 안내"], title=title)).title is None


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (make_pdf(["혈압 안내"], encrypted=True), "wants a password"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "cannot be opened"),
        (make_pdf(["혈압 안내"])[:200], "cannot be opened"),
        (b"%PDF-1.7\n%%EOF", "cannot be opened"),
        (make_pdf(["", "", ""]), "none of its 3 pages holds text"),
    ],
)
def test_a_pdf_that_cannot_be_read_says_why(data: bytes, what: str) -> None:
    with pytest.raises(BadRecord, match=what) as caught:
        read_pdf("안내/검진.pdf", data)
    assert caught.value.where == "안내/검진.pdf"
    assert caught.value.next


def test_rows_of_a_table_are_documents(tmp_path: Path) -> None:
    table = 'id,제목,본문,등급\n1,혈압,"정상은 120 미만,\n그 위는 높음",A\n2,혈당,100 미만,\n,빈 이름,글,B\n'
    first, second, third = read(tmp_path, "표.csv", table.encode("cp949"))
    assert (first.id, first.title, first.parts[0].text) == ("표.csv#1", "혈압", "정상은 120 미만,\n그 위는 높음")
    assert first.metadata == {"format": "row", "등급": "A"}
    assert second.metadata == {"format": "row", "등급": ""}
    assert third.id.startswith("표.csv#")
    assert len(third.id) == len("표.csv#") + 16


def test_a_table_without_a_text_column_is_read_as_it_is(tmp_path: Path) -> None:
    [found] = read(tmp_path, "표.csv", "이름;나이;비고\n홍길동;30;\n")
    assert found.parts[0].text == "이름: 홍길동\n나이: 30"
    [found] = read(tmp_path, "표.tsv", "이름\t나이\n홍,길동\t30\n")
    assert found.parts[0].text == "이름: 홍,길동\n나이: 30"


def test_columns_may_be_named(tmp_path: Path) -> None:
    columns = Columns(id="번호", text="설명", metadata=("값",))
    [found] = read(tmp_path, "표.csv", "번호,설명,값,그밖\n7,글,3,x\n", columns=columns)
    assert (found.id, found.parts[0].text, found.metadata) == ("표.csv#7", "글", {"format": "row", "값": "3"})
    with pytest.raises(BadRecord, match="no column 설명; it has 번호"):
        read(tmp_path, "표.csv", "번호,값\n7,3\n", columns=columns)


def test_lines_of_json_are_documents(tmp_path: Path) -> None:
    lines = '{"id": 7, "text": "혈압", "meta": {"깊이": [1, null]}}\n\n{"id": "여덟", "content": null}\n{"a": true}\n'
    first, second, third = read(tmp_path, "줄.jsonl", lines)
    assert (first.id, first.metadata) == ("줄.jsonl#7", {"format": "row", "meta": {"깊이": [1, None]}})
    assert (second.id, second.parts) == ("줄.jsonl#여덟", ())
    assert third.parts[0].text == "a: true"


def test_a_row_put_in_front_renames_no_other(tmp_path: Path) -> None:
    before = [found.id for found in read(tmp_path, "표.csv", "본문\n하나\n둘\n")]
    after = [found.id for found in read(tmp_path, "표.csv", "본문\n영\n하나\n둘\n")]
    assert after[1:] == before


def test_rows_of_one_name_are_told_apart(tmp_path: Path) -> None:
    found = [one.id for one in read(tmp_path, "표.csv", "id,본문\n1,가\n1,나\n1,가\n1,가\n")]
    assert found[0] == "표.csv#1"
    assert len(set(found)) == 4


@pytest.mark.parametrize(
    ("name", "data", "bad", "what"),
    [
        ("a.jsonl", '{"id": 1, "text": "가"}\n{bad\n[1]\n', ["a.jsonl#line-2", "a.jsonl#line-3"], "line 2 is no JSON"),
        ("a.jsonl", '{"id": 1, "text": "가"}\n{"x": NaN}', ["a.jsonl#line-2"], "line 2 is no JSON"),
        ("a.csv", "id,본문\n1,가\n2,나,다\n", ["a.csv#line-3"], "has 3 cells, the header 2"),
        ("a.csv", 'id,본문\n1,가\n2,"나\n3,다\n', ["a.csv#line-4"], "cannot be read"),
        ("a.csv", "본문,본문\n1,2\n", ["a.csv"], "'본문' twice"),
        ("a.csv", "본문,\n1,2\n", ["a.csv"], "without a name"),
        ("a.csv", b"\xff\xff\xff", ["a.csv"], "no UTF-8"),
    ],
)
def test_rows_that_cannot_be_read_are_told_and_the_others_kept(
    tmp_path: Path, name: str, data: bytes | str, bad: list[str], what: str
) -> None:
    (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    (tmp_path / "글.md").write_text("그대로")
    found = []
    with pytest.raises(NotListed, match=bad[0]):
        found.extend(open_source_paths([tmp_path]).documents())
    failing = [item for item in found if item.stamp is None]
    assert [item.id for item in failing] == bad
    with pytest.raises(BadRecord) as caught:
        failing[0].bytes()
    assert what in str(caught.value)
    good = [item.read(item.bytes()).id for item in found if item.stamp is not None]
    assert "글.md" in good


@settings(max_examples=100)
@given(data=st.text("ab,;\"\n\r '{}[]:1", max_size=40), name=st.sampled_from(["a.csv", "a.tsv", "a.jsonl"]))
def test_no_table_is_an_accident(tmp_path_factory: pytest.TempPathFactory, data: str, name: str) -> None:
    folder = tmp_path_factory.mktemp("표")
    (folder / name).write_text(data, newline="")
    ids, failures = [], []
    try:
        for item in open_source_paths([folder]).documents():
            ids.append(item.id)
            if item.stamp is not None:
                item.read(item.bytes())
    except NotListed as error:
        failures.append(error)
    assert all(name in str(error) for error in failures)
    assert len(set(ids)) == len(ids)
