"""Documents kept up to date by content, and how each kind is read."""

from __future__ import annotations

import io
import shutil
import unicodedata
import zipfile
from pathlib import Path

import pytest

import wherry
from tests.apps.checkup import kit
from tests.indexing.pdfs import make_pdf as pdf
from wherry_apps.checkup import backups
from wherry_apps.checkup.documents import Documents
from wherry_apps.checkup.files import CHUNKER, Shelf
from wherry_apps.checkup.places import Places, places
from wherry_apps.checkup.service import Checkup


@pytest.fixture
def own(where: Places, tmp_path: Path) -> Places:
    """A service of its own over a copy of the moved library's settings."""
    (tmp_path / "own").mkdir()
    shutil.copy(where.root / "config.json", tmp_path / "own" / "config.json")
    return places(tmp_path / "own")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files; the texts are this test's own, or their vectors might be known from another one."""
    made = tmp_path / "guides" / "대사"
    made.mkdir(parents=True)
    (made / "혈당.md").write_text("# 혈당\n\n공복혈당은 여덟 시간 금식한 뒤 잽니다. " + tmp_path.name)
    (made / "혈압.txt").write_text("혈압은 아침에 잽니다. " + tmp_path.name)
    (tmp_path / "guides" / "간.csv").write_bytes(f"항목,기준\nAST,40 이하\n{tmp_path.name},\n".encode("cp949"))
    return tmp_path / "guides"


def test_only_the_edited_file_is_embedded(own: Places, database: wherry.AppDatabase, folder: Path) -> None:
    documents = Documents(database, own)
    first = documents.update(folder)
    assert (first["new"], first["chunks_embedded"]) == (3, 3)
    again = documents.update(folder)
    assert (again["unchanged"], again["new"], again["chunks_embedded"]) == (3, 0, 0)
    (folder / "대사" / "혈당.md").write_text("# 혈당\n\n공복혈당은 열 시간 금식한 뒤 잽니다. " + folder.parent.name)
    edited = documents.update(folder)
    assert (edited["modified"], edited["unchanged"], edited["chunks_embedded"]) == (1, 2, 1)
    (folder / "대사" / "혈압.txt").unlink()
    # The same name in another folder is another document.
    (folder / "다른").mkdir()
    (folder / "다른" / "혈당.md").write_text("가정에서 재는 혈당은 손끝에서 잽니다.")
    moved = documents.update(folder)
    assert (moved["deleted"], moved["new"], moved["unchanged"]) == (1, 1, 2)
    assert documents.common_paths() >= {"대사/혈당.md", "다른/혈당.md", "간.csv"}
    assert "대사/혈압.txt" not in documents.common_paths()


def test_a_document_taken_up_anew_supersedes_what_was_moved(database: wherry.AppDatabase, tmp_path: Path) -> None:
    kit.switched(database, tmp_path / "s", kit.l1(tmp_path), tmp_path / "q.txt")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "지침0.md").write_text("이 파일은 이름이 다릅니다.")
    with Checkup(places(tmp_path / "s")) as service:
        assert service.search("공복혈당이 높으면?")["passages"][0]["text"] == kit.TEXTS[0]
        (tmp_path / "docs" / "지침0.pdf").write_bytes(pdf(["Glucose guideline, revised"]))
        service.documents.update(tmp_path / "docs")
        texts = [p["text"] for p in service.search("공복혈당이 높으면?")["passages"]]
        assert not set(texts) & set(kit.TEXTS[:4])
        assert "Glucose guideline, revised" in [p["text"] for p in service.search("glucose guideline")["passages"]]
        (tmp_path / "docs" / "지침0.pdf").unlink()
        service.documents.update(tmp_path / "docs")
        assert service.search("공복혈당이 높으면?")["passages"][0]["text"] == kit.TEXTS[0]


def test_a_file_that_cannot_be_read_is_named_and_the_rest_is_done(
    own: Places, database: wherry.AppDatabase, folder: Path
) -> None:
    (folder / "깨짐.pdf").write_bytes(b"%PDF-1.7 nothing")
    report = Documents(database, own).update(folder)
    assert (report["failed"], list(report["failures"])) == (1, ["깨짐.pdf"])
    assert report["new"] == 3


def _workbook() -> bytes:
    out = io.BytesIO()
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    rels = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
    with zipfile.ZipFile(out, "w") as book:
        book.writestr("xl/workbook.xml", f'<workbook {main} {rels}><sheets><sheet name="혈당" sheetId="1" r:id="a"/>'
                      '<sheet name="혈압" sheetId="2" r:id="b"/></sheets></workbook>')  # fmt: skip
        book.writestr("xl/_rels/workbook.xml.rels", '<Relationships xmlns="x"><Relationship Id="a" '
                      'Target="worksheets/sheet1.xml"/><Relationship Id="b" Target="/xl/worksheets/sheet2.xml"/>'
                      '</Relationships>')  # fmt: skip
        book.writestr(
            "xl/sharedStrings.xml", f"<sst {main}><si><t>공복</t></si><si><r><t>기</t></r><r><t>준</t></r></si></sst>"
        )
        book.writestr("xl/worksheets/sheet1.xml", f'<worksheet {main}><sheetData><row><c t="s"><v>0</v></c><c t="s">'
                      '<v>1</v></c><c><v>100</v></c></row></sheetData></worksheet>')  # fmt: skip
        book.writestr("xl/worksheets/sheet2.xml", f'<worksheet {main}><sheetData><row><c t="inlineStr"><is><t>아침</t>'
                      '</is></c></row></sheetData></worksheet>')  # fmt: skip
    return out.getvalue()


def test_every_kind_is_read_with_its_places(tmp_path: Path) -> None:
    (tmp_path / "기준.xlsx").write_bytes(_workbook())
    (tmp_path / "안내.pdf").write_bytes(pdf(["page one", "page two"]))
    (tmp_path / "표.csv").write_bytes("항목,기준\n혈당,100\n".encode("cp949"))
    (tmp_path / ".숨김.md").write_text("숨김")
    (tmp_path / "그림.png").write_bytes(b"png")
    (tmp_path / unicodedata.normalize("NFD", "한글")).mkdir()
    (tmp_path / unicodedata.normalize("NFD", "한글") / unicodedata.normalize("NFD", "글.md")).write_text("글")
    found = {one.id: one.read(one.bytes()) for one in Shelf("x", tmp_path).documents()}
    assert set(found) == {"기준.xlsx", "안내.pdf", "표.csv", "한글/글.md"}
    sheets = found["기준.xlsx"].parts
    assert [(p.metadata["sheet_name"], p.text) for p in sheets] == [("혈당", "공복\t기준\t100"), ("혈압", "아침")]
    assert [(p.metadata["page_label"], p.text) for p in found["안내.pdf"].parts] == [
        ("1", "page one"),
        ("2", "page two"),
    ]
    assert found["표.csv"].parts[0].text == "항목,기준\n혈당,100\n"
    data = found["한글/글.md"].metadata
    assert (data["file_name"], data["file_path"], data["category"], data["doc_type"]) == (
        "글.md",
        "한글/글.md",
        "한글",
        "md",
    )


def test_numbers_of_people_in_a_document_are_masked(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("보기: 900101-1234567 님의 공복혈당 108")
    [found] = Shelf("x", tmp_path).documents()
    assert found.read(found.bytes()).parts[0].text == "보기: [주민등록번호 가림] 님의 공복혈당 108"


def test_chunks_end() -> None:
    document = wherry.Document("x", (wherry.Part("가" * 2500),))
    chunks = wherry.open_chunker(CHUNKER).cut(document)
    assert [(c.start, c.end) for c in chunks] == [(0, 1000), (800, 1800), (1600, 2500)]


def test_a_backup_comes_back(database: wherry.AppDatabase, tmp_path: Path) -> None:
    where = kit.loaded(database, tmp_path / "s", kit.l1(tmp_path), "faiss").places
    with database.begin() as connection:
        for statement in (
            "DROP SCHEMA IF EXISTS wello CASCADE", "DROP SCHEMA IF EXISTS back CASCADE", "CREATE SCHEMA wello",
            "CREATE TABLE wello.wello_checkup_data (id int, note text, at timestamptz, value numeric(8,2), raw jsonb)",
            "INSERT INTO wello.wello_checkup_data SELECT n, E'줄\\n탭\\t' || n, now(), n / 3.0, '{\"a\": null}'"
            " FROM generate_series(1, 50) n",
        ):  # fmt: skip
            connection.exec_driver_sql(statement)
    made = backups.backup(where, database, ["wello.wello_checkup_data"], tmp_path / "archive")
    assert [(p["kind"], p["records"]) for p in made["parts"]] == [("collection", 12), ("table", 50)]
    assert all(len(p["sha256"]) == 64 for p in made["parts"])
    shutil.rmtree(where.folder)
    done = backups.restore(tmp_path / "archive", where, database, "back")
    assert [p["records"] for p in done["parts"]] == [12, 50]
    hits = wherry.search("공복혈당이 높으면?", in_=where.local, k=1, mode="vector")
    assert hits[0].text == kit.TEXTS[0]
    with database.begin() as connection:
        same = "SELECT count(*) FROM (TABLE wello.wello_checkup_data INTERSECT TABLE back.wello_checkup_data) x"
        # jsonb and text come back as they were.
        assert connection.exec_driver_sql(same).scalar_one() == 50
    with pytest.raises(wherry.Refused, match="holds rows"):
        backups.restore(tmp_path / "archive", where, database, "back")
    with pytest.raises(wherry.Refused, match="there is a backup"):
        backups.backup(where, database, [], tmp_path / "archive")


def test_a_backup_that_was_touched_restores_nothing(database: wherry.AppDatabase, tmp_path: Path) -> None:
    where = kit.loaded(database, tmp_path / "s", kit.l1(tmp_path), "faiss").places
    backups.backup(where, database, [], tmp_path / "archive")
    with (tmp_path / "archive" / "library.parquet").open("r+b") as file:
        file.seek(100)
        file.write(b"\x00\xff")
    with pytest.raises(wherry.Integrity, match="not what was archived"):
        backups.restore(tmp_path / "archive", where, database)
    with pytest.raises(wherry.Usage, match="no backup"):
        backups.restore(tmp_path / "absent", where, database)
    with pytest.raises(wherry.Usage, match="no name of a table"):
        backups.backup(where, database, ["x; DROP TABLE y"], tmp_path / "other")
