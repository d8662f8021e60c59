"""Folders and files: which documents they hold, what they are called, and what cannot be listed."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry.errors import BadRecord, NotListed, Usage
from wherry.indexing.base import DocumentSource, Listed, Stamp
from wherry.indexing.sources import Files, open_source_paths, open_sources
from wherry.indexing.sources.globs import Choice

NFC, NFD = unicodedata.normalize("NFC", "건강검진.md"), unicodedata.normalize("NFD", "건강검진.md")
NOBODY = 65534


def write(folder: Path, *names: str, text: str = "혈압 안내입니다.") -> None:
    """Write files with a text, and the folders they are in."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text} {name}", encoding="utf-8")


def ids(source: DocumentSource) -> list[str]:
    """Return the ids a source lists."""
    return [item.id for item in source.documents()]


def listed(folder: Path, **options: Sequence[str]) -> list[str]:
    """Return the ids of a folder."""
    return ids(open_source_paths([folder], **options))


@contextmanager
def without_rights() -> Iterator[None]:
    """Go on as a user for whom rights count: root may read everything."""
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can look into."""
    folder = Path(tempfile.mkdtemp(prefix="wherry-open-"))
    folder.chmod(0o755)
    yield folder
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)


def test_files_of_known_kinds_are_documents_by_their_path(tmp_path: Path) -> None:
    write(
        tmp_path, "b.md", "a.txt", "안내/혈압.html", "안내/깊이/글.md", "그림.png", "README", ".hidden.md", ".git/x.md"
    )
    source = open_source_paths([tmp_path])
    assert isinstance(source, DocumentSource)
    assert ids(source) == ["a.txt", "b.md", "안내/깊이/글.md", "안내/혈압.html"]
    (tmp_path / "안내/깊이/표.csv").write_text("id,본문\n1,혈압\n2,혈당\n")
    rows = ["안내/깊이/표.csv#1", "안내/깊이/표.csv#2"]
    assert ids(source) == ["a.txt", "b.md", "안내/깊이/글.md", *rows, "안내/혈압.html"]


def test_a_listed_file_tells_its_stamp_and_reads_as_a_document(tmp_path: Path) -> None:
    write(tmp_path, "혈압.txt")
    [item] = open_source_paths([tmp_path]).documents()
    assert isinstance(item, Listed)
    found = (tmp_path / "혈압.txt").stat()
    assert item.stamp == Stamp(found.st_size, found.st_mtime_ns, found.st_ino)
    assert item.read(item.bytes()).parts[0].text == "혈압 안내입니다. 혈압.txt"


def test_names_are_nfc_and_two_spellings_of_one_are_two_documents(tmp_path: Path) -> None:
    write(tmp_path, NFD)
    assert listed(tmp_path) == [NFC]
    write(tmp_path, NFC, text="또 하나")
    first, second = open_source_paths([tmp_path]).documents()
    assert first.id == NFC
    assert first.bytes().startswith("또".encode())
    assert second.id.startswith(f"{NFC}~")
    assert second.bytes().startswith("혈압".encode())


def test_a_name_that_is_no_utf8_is_still_a_name(tmp_path: Path) -> None:
    for name in ("혈압.txt".encode("cp949"), b"\xff\xfe\x81.txt"):
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).write_text("본문")
    assert sorted(listed(tmp_path)) == ["\\xff\\xfe\\x81.txt", "혈압.txt"]
    assert all(item.bytes() == "본문".encode() for item in open_source_paths([tmp_path]).documents())


def test_loops_of_links_end_and_real_paths_win(tmp_path: Path) -> None:
    write(tmp_path, "나/글.md", "다/글.md")
    (tmp_path / "가").symlink_to("나")
    (tmp_path / "나/위로").symlink_to("..")
    (tmp_path / "다/나로").symlink_to("../나")
    (tmp_path / "나/자신").symlink_to(".")
    (tmp_path / "돌고.md").symlink_to("도는.md")
    (tmp_path / "도는.md").symlink_to("돌고.md")
    assert listed(tmp_path) == ["나/글.md", "다/글.md"]


def test_links_out_of_the_folder_are_followed_once(tmp_path: Path) -> None:
    write(tmp_path, "밖/글.md", "안/글.md")
    (tmp_path / "안/링크").symlink_to("../밖")
    (tmp_path / "안/또").symlink_to("../밖")
    (tmp_path / "안/파일.md").symlink_to("../밖/글.md")
    assert listed(tmp_path / "안") == ["글.md", "파일.md", "또/글.md"]


def test_a_link_that_leads_nowhere_is_a_document_that_fails(tmp_path: Path) -> None:
    (tmp_path / "글.md").symlink_to("없음.md")
    [item] = open_source_paths([tmp_path]).documents()
    assert (item.id, item.stamp) == ("글.md", None)
    with pytest.raises(FileNotFoundError):
        item.bytes()


def test_what_is_no_file_is_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "관.md")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s.md"))
        write(tmp_path, "글.md")
        assert listed(tmp_path) == ["글.md"]
    with pytest.raises(Usage, match="neither a file nor a folder"):
        open_source_paths([tmp_path / "관.md"])


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ([], ["*.txt"], ["가/나/b.md", "가/c.md", "a.md"]),
        (["*.txt"], [], ["가/d.txt", "e.txt"]),
        (["가/**"], [], ["가/나/b.md", "가/c.md", "가/d.txt"]),
        (["가/*.md"], [], ["가/c.md"]),
        (["**/b.md"], [], ["가/나/b.md"]),
        ([], ["나"], ["가/c.md", "가/d.txt", "a.md", "e.txt"]),
        ([], ["가/"], ["a.md", "e.txt"]),
        ([], ["/가/나/**"], ["가/c.md", "가/d.txt", "a.md", "e.txt"]),
        (["*.md"], ["[!a]*.md"], ["a.md"]),
        (["*.dat"], [], ["x.dat"]),
        (["?.md"], ["a.*"], ["가/나/b.md", "가/c.md"]),
        (["*"], [], ["가/나/b.md", "가/c.md", "가/d.txt", "a.md", "e.txt"]),
    ],
)
def test_patterns_choose(tmp_path: Path, include: list[str], exclude: list[str], expected: list[str]) -> None:
    write(tmp_path, "a.md", "가/나/b.md", "가/c.md", "가/d.txt", "e.txt", "x.dat")
    assert sorted(listed(tmp_path, include=include, exclude=exclude)) == sorted(expected)


@settings(max_examples=80)
@given(pattern=st.text("ab*?[]!/.\\(", min_size=1, max_size=10), path=st.text("ab/.", max_size=12))
def test_no_pattern_is_an_accident(pattern: str, path: str) -> None:
    if not pattern.strip().strip("/"):
        with pytest.raises(Usage):
            Choice([pattern])
        return
    assert Choice([pattern]).takes(path, True) in (True, False)


def test_a_folder_that_cannot_be_listed_is_told_and_the_rest_is_there(open_folder: Path) -> None:
    write(open_folder, "a.md", "잠김/b.md", "c/d.md")
    (open_folder / "잠김").chmod(0)
    source, found = open_source_paths([open_folder]), []
    with without_rights(), pytest.raises(NotListed, match=r"잠김: Permission denied") as caught:
        found.extend(source.documents())
    assert [item.id for item in found] == ["a.md", "c/d.md"]
    assert "nothing may be deleted" in caught.value.left


def test_a_file_that_cannot_be_read_is_listed_and_fails(open_folder: Path) -> None:
    write(open_folder, "a.md")
    (open_folder / "a.md").chmod(0)
    with without_rights():
        [item] = open_source_paths([open_folder]).documents()
        with pytest.raises(PermissionError):
            item.bytes()


def test_a_table_that_cannot_be_read_keeps_the_listing_from_being_complete(open_folder: Path) -> None:
    write(open_folder, "a.md", "표.csv")
    (open_folder / "표.csv").chmod(0)
    with without_rights(), pytest.raises(NotListed, match=r"표\.csv: Permission denied"):
        list(open_source_paths([open_folder]).documents())


def test_a_folder_that_went_away_is_an_error_not_an_empty_folder(tmp_path: Path) -> None:
    write(tmp_path, "docs/a.md")
    source = open_source_paths([tmp_path / "docs"])
    shutil.rmtree(tmp_path / "docs")
    with pytest.raises(NotListed, match="No such file"):
        list(source.documents())


def test_a_file_that_is_too_large_says_so(tmp_path: Path) -> None:
    write(tmp_path, "a.md", text="가" * 100)
    [item] = open_source_paths([tmp_path], max_bytes=100).documents()
    with pytest.raises(BadRecord, match="larger than 100 bytes") as caught:
        item.bytes()
    assert caught.value.where == "a.md"
    [item] = open_source_paths([tmp_path], max_bytes=1000).documents()
    assert len(item.bytes()) > 100


def test_a_folder_is_one_source_however_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "docs/a.md")
    (tmp_path / "link").symlink_to("docs")
    monkeypatch.chdir(tmp_path)
    names = {open_source_paths([path]).name for path in ("docs", "docs/", "./docs", "link", tmp_path / "docs")}
    assert names == {str((tmp_path / "docs").resolve())}


def test_files_by_name_belong_to_their_folder_and_say_nothing_of_the_others(tmp_path: Path) -> None:
    write(tmp_path, "docs/a.md", "docs/b.md", "docs/c.org")
    source = open_source_paths([tmp_path / "docs/a.md", tmp_path / "docs/c.org"])
    whole = open_source_paths([tmp_path / "docs"])
    assert ids(source) == ["a.md", "c.org"]
    assert (source.name, source.complete) == (whole.name, False)
    assert whole.complete


def test_a_file_within_a_folder_that_is_given_too_is_listed_once(tmp_path: Path) -> None:
    write(tmp_path, "docs/a.md", "docs/sub/b.md", "docs/c.org", "docs/d.org")
    paths = [tmp_path / "docs/sub", tmp_path / "docs/a.md", tmp_path / "docs", tmp_path / "docs/c.org"]
    [source] = open_sources(paths)
    assert ids(source) == ["a.md", "sub/b.md", "c.org"]
    assert source.complete
    assert ids(open_sources(source.paths)[0]) == ids(source)


def test_several_folders_are_one_source_with_their_names_in_front(tmp_path: Path) -> None:
    write(tmp_path, "하나/글.md", "둘/글.md", "셋/둘/글.md", "낱개.md")
    source = open_source_paths([tmp_path / "하나", tmp_path / "둘", tmp_path / "셋/둘", tmp_path / "낱개.md"])
    top = tmp_path.name
    inside = [f"{top}/하나/글.md", f"{top}/둘/글.md", "셋/둘/글.md"]
    assert ids(source) == [*inside, f"{tmp_path.parent.name}/{top}/낱개.md"]
    assert not source.complete
    for item in source.documents():
        assert item.read(item.bytes()).id == item.id
        assert item.stamp is not None


def test_one_folder_that_cannot_be_listed_does_not_hide_the_other(tmp_path: Path) -> None:
    write(tmp_path, "하나/글.md", "둘/글.md")
    source, found = open_source_paths([tmp_path / "하나", tmp_path / "둘"], name="둘다"), []
    shutil.rmtree(tmp_path / "하나")
    with pytest.raises(NotListed):
        found.extend(source.documents())
    assert [item.id for item in found] == ["둘/글.md"]
    assert source.name == "둘다"


@pytest.mark.parametrize("paths", [[], ["없는 폴더"], ["a\x00b"], ["없음/글.md"]])
def test_paths_that_are_not_there_are_refused(
    paths: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Usage):
        open_source_paths(paths)


def test_what_was_left_out_is_counted_by_kind(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "b.docx", "c.docx", "d.hwp", "README", "안/e.PNG", ".숨김.docx")
    source = open_source_paths([tmp_path])
    assert ids(source) == ids(source) == ["a.md"]
    [note] = source.notes
    said, _, kinds = note.partition(" left out: ")
    assert said == f"{source.name}: files of other kinds were"
    assert sorted(kinds.split(", ")) == ["1 .hwp", "1 .png", "1 without a suffix", "2 .docx"]
    chosen = open_source_paths([tmp_path], exclude=["*.docx"])
    assert ids(chosen) == ["a.md"]
    assert "hwp" in chosen.notes[0]
    assert "docx" not in chosen.notes[0]
    chosen = open_source_paths([tmp_path], include=["*.md"])
    assert ids(chosen) == ["a.md"]
    assert chosen.notes == ()


def test_a_file_of_an_office_program_says_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, "보고서.hwp")
    [item] = open_source_paths([tmp_path / "보고서.hwp"]).documents()
    with pytest.raises(BadRecord, match="office") as caught:
        item.read(item.bytes())
    assert "PDF" in caught.value.next


def test_an_empty_folder_is_a_source_without_documents(tmp_path: Path) -> None:
    assert listed(tmp_path) == []


def test_ids_do_not_depend_on_where_the_folder_is(tmp_path: Path) -> None:
    write(tmp_path, f"여기/{NFC}", f"여기/{NFD}", "여기/표.csv")
    (tmp_path / "여기/표.csv").write_text("본문\n혈압\n혈당\n")
    before = listed(tmp_path / "여기")
    shutil.move(tmp_path / "여기", tmp_path / "저기")
    assert listed(tmp_path / "저기") == before


def test_the_parser_says_what_reads_and_which_columns(tmp_path: Path) -> None:
    from wherry.indexing.sources import Columns

    plain, other = Files(tmp_path), Files(tmp_path, columns=Columns(text="본문"))
    assert "pypdfium2/" in plain.parser
    assert "selectolax/" in plain.parser
    assert plain.parser != other.parser


def test_a_deep_folder_is_walked_without_recursion(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(400):
        folder = folder / "깊"
    folder.mkdir(parents=True)
    (folder / "글.md").write_text("본문")
    assert len(listed(tmp_path)) == 1


def test_listing_costs_little_more_than_looking(tmp_path: Path) -> None:
    for folder in range(20):
        (tmp_path / f"폴더{folder}").mkdir()
        for number in range(100):
            (tmp_path / f"폴더{folder}/글{number}.md").write_text("본문")
    source = open_source_paths([tmp_path])

    def bare() -> int:
        return sum(entry.stat().st_size for folder in os.scandir(tmp_path) for entry in os.scandir(folder))

    def timed(act: object) -> float:
        started = time.process_time()
        act()  # type: ignore[operator]
        return time.process_time() - started

    looking = min(timed(bare) for _ in range(3))
    listing = min(timed(lambda: list(source.documents())) for _ in range(3))
    # A run without changes may take 0.05 ms per document beyond looking; a slow machine is given some more.
    assert listing - looking < 2000 * 0.0001
