"""Real folders through a whole index: every kind of bad file, and what readers keep meanwhile."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

import wherry
from tests.indexing.conftest import Indexed
from tests.indexing.pdfs import make_pdf

TEXT = "# 혈압\n\n수축기 혈압이 120 미만이면 정상입니다.\n"
Rows = Callable[[], dict[str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one good file of each kind."""
    docs = tmp_path / "docs"
    (docs / "안내").mkdir(parents=True)
    (docs / "안내/혈압.md").write_text(TEXT)
    (docs / "혈당.txt").write_bytes("공복 혈당은 100 미만이 정상입니다.".encode("cp949"))
    (docs / "운동.html").write_text("<h1>걷기</h1><p>하루 30분 걸으세요.</p>")
    (docs / "검진.pdf").write_bytes(make_pdf(["검진 안내입니다.", "둘째 쪽입니다."]))
    (docs / "준비.csv").write_text("id,제목,본문\n1,식사,저녁은 일찍 드세요.\n2,물,물은 조금만 드세요.\n")
    return docs


@pytest.fixture
def go(run: Indexed, folder: Path) -> Callable[..., wherry.IndexResult]:
    """Index the folder as the command does: paths and the usual chunker."""
    return lambda *paths, **more: run([str(path) for path in paths or (folder,)], chunker="auto", **more)


def sources(pg: psycopg.Connection, name: str) -> set[str]:
    """Return which documents readers find."""
    return {row[0] for row in pg.execute(f"SELECT DISTINCT metadata->>'source' FROM {name}")}


def test_every_kind_is_indexed_and_a_second_run_does_nothing(
    go: Callable[..., wherry.IndexResult], pg: psycopg.Connection, name: str
) -> None:
    first, second = go(), go()
    assert (first.new, first.failed, first.exit_code) == (6, 0, 0)
    assert (second.unchanged, second.changed, second.chunks_embedded, second.run) == (6, 0, 0, "")
    assert sources(pg, name) == {"안내/혈압.md", "혈당.txt", "운동.html", "검진.pdf", "준비.csv#1", "준비.csv#2"}
    pages = pg.execute(f"SELECT (metadata->>'page')::int FROM {name} WHERE metadata->>'source' = '검진.pdf'").fetchall()
    assert sorted(pages) == [(1,), (2,)]
    found = pg.execute(f"SELECT metadata->'headings' FROM {name} WHERE metadata->>'source' = '안내/혈압.md'").fetchone()
    assert found == (["혈압"],)


BAD = {
    "안내/혈압.md": b"caf\xe9 \xff\xfe",
    "혈당.txt": b"\x00\x01\x02binary",
    "운동.html": b"<div>" * 5000,
    "검진.pdf": b"%PDF-1.7 broken",
}


def test_files_that_turn_bad_fail_and_their_old_version_serves(
    go: Callable[..., wherry.IndexResult], folder: Path, rows: Rows
) -> None:
    go()
    before = rows()
    for path, data in BAD.items():
        (folder / path).write_bytes(data)
    result = go()
    assert (result.scanned, result.failed, result.unchanged, result.deleted) == (6, 4, 2, 0)
    assert result.exit_code == 5
    assert {failure.document for failure in result.failures} == set(BAD)
    assert rows() == before
    (folder / "안내/혈압.md").write_text(TEXT)
    assert go().failed == 3


def test_files_that_were_bad_from_the_start_harm_no_other(
    go: Callable[..., wherry.IndexResult], folder: Path, pg: psycopg.Connection, name: str
) -> None:
    (folder / "비밀.pdf").write_bytes(make_pdf(["비밀 문서"], encrypted=True))
    (folder / "그림.pdf").write_bytes(make_pdf(["", ""]))
    (folder / "빈.md").write_text("")
    (folder / "고리").symlink_to(folder)
    (folder / "없음.md").symlink_to("nowhere")
    result = go()
    assert (result.scanned, result.new, result.failed) == (10, 7, 3)
    assert {failure.document for failure in result.failures} == {"비밀.pdf", "그림.pdf", "없음.md"}
    assert "빈.md" not in sources(pg, name)
    assert go().new == 0


def test_a_broken_row_deletes_nothing(
    go: Callable[..., wherry.IndexResult], folder: Path, pg: psycopg.Connection, name: str
) -> None:
    go()
    before = sources(pg, name)
    (folder / "준비.csv").write_text("id,제목,본문\n1,식사,저녁은 아주 일찍 드세요.\n2,물,물은,조금만\n")
    (folder / "혈당.txt").unlink()
    result = go()
    assert (result.modified, result.failed, result.deleted, result.exit_code) == (1, 1, 0, 5)
    assert sources(pg, name) == before
    (folder / "준비.csv").write_text("id,제목,본문\n1,식사,저녁은 아주 일찍 드세요.\n")
    assert go().deleted == 2


def test_a_folder_that_vanishes_deletes_nothing(
    go: Callable[..., wherry.IndexResult], folder: Path, rows: Rows
) -> None:
    go()
    before = rows()
    shutil.move(folder, folder.with_name("weg"))
    folder.mkdir()
    shutil.rmtree(folder)
    with pytest.raises(wherry.Usage, match="No such file"):
        go()
    assert rows() == before


def test_one_file_by_its_name_leaves_the_others(
    go: Callable[..., wherry.IndexResult], folder: Path, pg: psycopg.Connection, name: str
) -> None:
    go()
    before = sources(pg, name)
    (folder / "혈당.txt").write_text("공복 혈당을 다시 재세요.")
    result = go(folder / "혈당.txt")
    assert (result.scanned, result.modified, result.deleted) == (1, 1, 0)
    assert sources(pg, name) == before
    assert go().changed == 0


def test_renamed_files_and_moved_folders_embed_nothing(
    go: Callable[..., wherry.IndexResult], folder: Path, pg: psycopg.Connection, name: str
) -> None:
    go()
    (folder / "안내").rename(folder / "설명")
    (folder / "혈당.txt").rename(folder / "당.txt")
    result = go()
    assert (result.renamed, result.new, result.deleted, result.chunks_embedded) == (2, 0, 0, 0)
    assert {"설명/혈압.md", "당.txt"} <= sources(pg, name)


def test_one_edited_paragraph_embeds_one_chunk(go: Callable[..., wherry.IndexResult], folder: Path) -> None:
    sections = [f"## 절 {number}\n\n{'혈압은 매일 같은 시간에 재세요. ' * 30}\n\n" for number in range(8)]
    (folder / "긴.md").write_text("# 긴 글\n\n" + "".join(sections))
    go()
    sections[3] = sections[3].replace("매일", "날마다", 1)
    (folder / "긴.md").write_text("# 긴 글\n\n" + "".join(sections))
    result = go()
    assert (result.modified, result.chunks_embedded) == (1, 1)


def test_a_query_is_indexed_like_a_folder(run: Indexed, tmp_path: Path, pg: psycopg.Connection, name: str) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as shop:
        shop.execute("CREATE TABLE guides (id INTEGER, body TEXT)")
        shop.executemany("INSERT INTO guides VALUES (?, ?)", [(n, f"안내 {n}번입니다.") for n in range(20)])
    source = wherry.SqlSource(f"sqlite:///{tmp_path}/shop.db", "SELECT * FROM guides", text="body", name="guides")
    assert run(source, chunker="auto").new == 20
    assert run(source, chunker="auto").changed == 0
    with shop:
        shop.execute("UPDATE guides SET body = '새 안내입니다.' WHERE id = 7")
        shop.execute("DELETE FROM guides WHERE id = 8")
    shop.close()
    result = run(source, chunker="auto")
    assert (result.modified, result.deleted, result.chunks_embedded) == (1, 1, 1)
    assert len(sources(pg, name)) == 19


def test_what_was_left_out_is_told(go: Callable[..., wherry.IndexResult], folder: Path) -> None:
    (folder / "보고서.docx").write_bytes(b"PK")
    for result in (go(), go()):
        assert result.exit_code == 0
        assert [note for note in result.notes if "left out: 1 .docx" in note]


def test_another_chunker_cuts_again(go: Callable[..., wherry.IndexResult], run: Indexed, folder: Path) -> None:
    go()
    result = run([str(folder)], chunker="fixed?size=20&overlap=5")
    assert result.modified > 0
    assert run([str(folder)], chunker="fixed?size=20&overlap=5").changed == 0
