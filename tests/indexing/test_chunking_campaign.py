"""Slow proofs: far more examples, damaged files by the thousand, a file of 200 MB. Run by `make campaign`."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.indexing.pdfs import make_pdf
from tests.indexing.test_chunking_laws import SPECS, limit_of, require_lawful
from tests.indexing.texts import KOREAN, document, texts, wild
from wherry.errors import BadRecord, NotListed
from wherry.indexing.base import Document, Part
from wherry.indexing.chunking import open_chunker, text_of
from wherry.indexing.sources import open_source_paths
from wherry.indexing.sources.html import read_html
from wherry.indexing.sources.markdown import read_markdown

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(3600)]

many = settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
UNITS = [
    ".", "\n", " ", "(", "“", '"', "다\n", "다 ", "다.", ".\n", "…)", ".) ", "가", "1. ", "1.\n", "\t", "\r", "\r\n",
    "\n \n", "#", "# ", "# a\n", "`", "```\n", "~~~", "|a|\n", "| a | b |\n|-|-|\n", "- ", "- a\n", "  - a\n",
    "> ", "*", "<",
    "<div>\n", "[a]: b\n", "=\n", "a\n=\n", "\\", "&amp;", "\u0301", "\u1161", "🇰",
]  # fmt: skip
MEASURE = r"""
import json, re, sys, time
from pathlib import Path
from wherry.indexing.chunking import open_chunker
from wherry.indexing.sources import open_source_paths
[item] = open_source_paths([sys.argv[1]]).documents()
document = item.read(item.bytes())
chunks = sum(1 for _ in open_chunker(sys.argv[2]).each(document))
# Not ru_maxrss: a process begins with that of its parent.
peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024
print(json.dumps({"chunks": chunks, "peak": peak, "seconds": time.process_time()}))
"""


@pytest.mark.parametrize("spec", [*SPECS, "tokens?size=15&overlap=5&tokenizer=kiwi"])
@many
@given(pages=st.lists(texts | wild, min_size=1, max_size=3), title=st.sampled_from([None, "제목", "혈압 안내"]))
def test_the_laws_hold_for_thousands_of_texts(spec: str, pages: list[str], title: str | None) -> None:
    parts = tuple(Part(text, page) for page, text in enumerate(pages, 1))
    require_lawful(open_chunker(spec), Document("글.md", parts, title), limit_of(spec))


@pytest.mark.parametrize("name", ["markdown", "sentences", "fixed"])
@many
@given(text=texts | wild, size=st.integers(1, 200), overlap=st.integers(0, 99))
def test_the_laws_hold_for_every_size(name: str, text: str, size: int, overlap: int) -> None:
    lap = "" if name == "markdown" else f"&overlap={min(overlap, (size - 1) // 2)}"
    require_lawful(open_chunker(f"{name}?size={size}{lap}"), document(text), size)


@pytest.mark.parametrize("spec", ["fixed", "sentences", "markdown", "tokens?tokenizer=space"])
@pytest.mark.parametrize("unit", UNITS, ids=map(repr, UNITS))
def test_four_times_the_text_takes_about_four_times_the_time(spec: str, unit: str) -> None:
    def taken(length: int) -> float:
        text, started = unit * (length // len(unit)), time.process_time()
        list(open_chunker(spec).each(document(text, format="text")))
        return time.process_time() - started

    small, large = (min(taken(length) for _ in range(2)) for length in (100_000, 400_000))
    # Quadratic would be 16 times.
    assert large < 9 * small + 0.3


@pytest.mark.parametrize("spec", ["markdown", "sentences", "fixed", "tokens?tokenizer=space"])
def test_a_file_of_200_megabytes_is_cut_in_bounded_time_and_memory(tmp_path: Path, spec: str) -> None:
    section = f"## 절 제목\n\n{(KOREAN + chr(10)) * 12}\n"
    path = tmp_path / "큰 글.md"
    with path.open("w", encoding="utf-8") as handle:
        for _ in range((200 << 20) // len(section.encode())):
            handle.write(section)
    done = subprocess.run([sys.executable, "-c", MEASURE, path, spec], capture_output=True, text=True, check=True)
    measured = json.loads(done.stdout)
    assert measured["chunks"] > 50_000
    assert measured["peak"] < 600 << 20
    assert measured["seconds"] < 120
    path.unlink()


def damaged(data: bytes, dice: random.Random) -> bytes:
    """Return bytes with a few of them changed, cut out or doubled."""
    changed = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        at = dice.randrange(len(changed) + 1)
        length = dice.choice([1, 1, 4, 64])
        kind = dice.randrange(4)
        if kind == 0:
            changed[at : at + length] = dice.randbytes(length)
        elif kind == 1:
            del changed[at : at + length]
        elif kind == 2:
            changed[at:at] = changed[at : at + length]
        else:
            del changed[at:]
    return bytes(changed)


PAGE = (
    "<html><head><title>제목</title></head><body><h1>가</h1><ul><li>나<li>다</ul><table><tr><td>라</table>"
    "<pre>마</pre><p hidden>바</p><!-- 사 --><script>if (a<b) {}</script>"
)
TEXT = (
    f"---\ntitle: 혈압\ntags: [가, 나]\n---\n# 제목\n\n{KOREAN}\n\n| 가 | 나 |\n|---|---|\n| 다 | 라 |\n\n```\n코드\n"
)
CSV = 'id,제목,본문\n1,혈압,"여러\n줄"\n2,혈당,글\n'
JSONL = '{"id": 1, "text": "가"}\n{"id": 2}\n' * 3


@pytest.mark.parametrize(("read", "sample"), [(read_html, PAGE), (read_markdown, TEXT)], ids=["html", "markdown"])
def test_damaged_texts_are_read_or_refused(read: Callable[[str, bytes], Document], sample: str) -> None:
    dice = random.Random(4)
    outcomes = {"read": 0, "refused": 0}
    for number in range(4000):
        data = damaged(sample.encode("cp949" if number % 2 else "utf-8"), dice)
        try:
            found = read("글", data)
        except BadRecord:
            outcomes["refused"] += 1
            continue
        outcomes["read"] += 1
        require_lawful(open_chunker("auto?size=60"), found, 60)
        assert "\x00" not in text_of(found)
    assert min(outcomes.values()) > 50


@pytest.mark.parametrize(("suffix", "table"), [(".csv", CSV), (".jsonl", JSONL)], ids=["csv", "jsonl"])
def test_damaged_tables_are_listed_or_refused(tmp_path: Path, suffix: str, table: str) -> None:
    dice, path = random.Random(5), tmp_path / f"표{suffix}"
    whole = 0
    for _ in range(3000):
        path.write_bytes(damaged(table.encode(), dice))
        found = []
        try:
            found.extend(open_source_paths([path]).documents())
            whole += 1
        except NotListed:
            assert found
        assert len({item.id for item in found}) == len(found)
        for item in found:
            if item.stamp is not None:
                assert item.read(item.bytes()).id == item.id
    assert 100 < whole < 3000


DAMAGED_PDFS = """
import random, sys
from tests.indexing.pdfs import make_pdf
from tests.indexing.test_chunking_campaign import damaged
from wherry.errors import BadRecord
from wherry.indexing.sources.pdf import read_pdf
dice = random.Random(int(sys.argv[1]))
sample = make_pdf(["혈압 안내입니다.\\n정상은 120 미만", "", "셋째 쪽 English"], title="검진")
read = 0
for _ in range(3000):
    try:
        read_pdf("글.pdf", damaged(sample, dice))
        read += 1
    except BadRecord:
        pass
print(read)
"""


@pytest.mark.parametrize("seed", range(3))
def test_damaged_pdfs_are_read_or_refused_and_end_no_process(seed: int) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", DAMAGED_PDFS, str(seed)], capture_output=True, text=True, check=False, cwd=root
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert 100 < int(done.stdout) < 3000


def test_a_pdf_of_many_pages_is_read() -> None:
    from wherry.indexing.sources.pdf import read_pdf

    found = read_pdf("글.pdf", make_pdf([f"{number}쪽의 안내입니다." for number in range(3000)]))
    assert len(found.parts) == 3000
