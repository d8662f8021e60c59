"""Folders as they are: what cannot be read costs itself alone, and the numbers add up."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

import wherry
from wherry.indexing.base import Document, Listed, Part

Rows = Callable[[], dict[str, str]]
GOOD = "# 공복 혈당\n\n여덟 시간 금식한 뒤에 잽니다.\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with everything a folder can have."""
    docs = tmp_path / "docs"
    (docs / "안").mkdir(parents=True)
    (docs / "좋은 글.md").write_text(GOOD)
    (docs / "안" / "깊은 글.md").write_text(GOOD.replace("여덟", "아홉"))
    (docs / "빈 글.md").write_text("")
    (docs / "옛 글.txt").write_bytes("옛날 인코딩의 글입니다. 혈압을 잽니다.".encode("cp949"))
    (docs / "결과지.pdf").write_bytes(b"%PDF-1.7\nand then nothing of use")
    (docs / "사진.bin").write_bytes(os.urandom(200))
    (docs / "안" / "돌아가는 길").symlink_to(docs, target_is_directory=True)
    (docs / "막다른 길.md").symlink_to(docs / "없는 글.md")
    (docs / "고리").symlink_to(docs / "고리")
    return docs


def test_what_cannot_be_read_costs_itself_alone(folder: Path, address: str, rows: Rows) -> None:
    result = wherry.index(folder, address, embedder="hash:32")
    assert result.scanned == result.new + result.failed
    failed = {failure.document for failure in result.failures}
    assert "결과지.pdf" in failed
    assert {"좋은 글.md", "안/깊은 글.md", "옛 글.txt", "빈 글.md"}.isdisjoint(failed)
    assert any("혈압을 잽니다" in text for text in rows().values())
    assert result.exit_code == 5
    again = wherry.index(folder, address)
    assert again.scanned == again.unchanged + again.failed
    assert (again.chunks_embedded, again.run) == (0, ""), "what is bad is not tried again in every run"
    assert wherry.index_status(address).failed == len(failed)


def test_a_large_file_is_cut_and_found_again(tmp_path: Path, address: str, pg: psycopg.Connection, name: str) -> None:
    (tmp_path / "큰 글.txt").write_text(
        "".join(f"{n}번째 줄에는 검진 결과를 읽는 법이 있습니다.\n" for n in range(40_000))
    )
    result = wherry.index(tmp_path, address, embedder="hash:16", chunker="fixed?size=1000&overlap=0")
    counted = pg.execute(f"SELECT count(*) FROM {name}").fetchone()
    assert counted == (result.chunks_embedded + result.chunks_reused,)
    assert result.chunks_embedded > 1000
    assert wherry.index(tmp_path, address).run == ""


def test_single_files_say_nothing_of_their_neighbours(folder: Path, address: str, rows: Rows) -> None:
    wherry.index([folder / "좋은 글.md", folder / "옛 글.txt"], address, embedder="hash:32")
    both = len(rows())
    result = wherry.index(folder / "좋은 글.md", address)
    assert (result.deleted, len(rows())) == (0, both)
    assert result.exit_code == 0


def test_a_folder_that_is_not_mounted_deletes_nothing(folder: Path, address: str, rows: Rows) -> None:
    for number in range(20):
        (folder / f"글-{number}.md").write_text(f"{GOOD}{number}\n")
    wherry.index(folder, address, embedder="hash:32")
    before = rows()
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(wherry.Usage):
        wherry.index(folder, address)
    folder.mkdir()
    with pytest.raises(wherry.Refused, match="are gone"):
        wherry.index(folder, address)
    assert rows() == before


def test_metadata_that_no_database_takes_fails_its_document_alone(address: str, rows: Rows) -> None:
    class Item:
        stamp = None

        def __init__(self, id: str, text: str, metadata: dict) -> None:
            self.id, self.text, self.metadata = id, text, metadata

        def bytes(self) -> bytes:
            return repr((self.text, sorted(self.metadata))).encode("utf-8", "surrogatepass")

        def read(self, data: bytes) -> Document:
            return Document(self.id, (Part(self.text),), metadata=self.metadata)

    class Odd:
        name, parser = "odd", "odd-1"

        def documents(self) -> list[Listed]:
            return [
                Item("gut", "ein Text", {"a": 1}), Item("nul", "a\x00b", {}), Item("half", "a\ud800b", {}),
                Item("meta", "c", {"x": "\x00"}), Item("nan", "d", {"x": object()}),
                Item("quote", "e'; DROP TABLE x; --", {"k\"'": "v'\\"}),
            ]  # fmt: skip

    result = wherry.index(Odd(), address, embedder="hash:32")  # type: ignore[arg-type]
    assert {failure.document for failure in result.failures} == {"nul", "half", "meta", "nan"}
    assert result.new == 2
    assert "e'; DROP TABLE x; --" in rows().values()
