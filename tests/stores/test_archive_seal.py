"""Any flipped bit and any missing byte of an archive of ours is found before a record is handed out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stores.archive_kit import SPACE, SUFFIXES, records, source, target, write
from wherry.errors import ArchiveCorrupt, Refused
from wherry.record import Record, from_records
from wherry.space import Space
from wherry.stores.archive.seal import EMPTY_SEAL, Sink
from wherry.stores.base import Index
from wherry.testing.samples import sample

# Rows per batch; text is larger per row, and every flip costs an open.
ROWS = {".json": 4, ".jsonl": 4, ".parquet": 55}


@pytest.fixture(scope="module", params=SUFFIXES)
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of some kilobytes, in three batches."""
    path, rows = tmp_path_factory.mktemp("seal") / f"a{request.param}", ROWS[request.param]
    batches = [sample(rows, 8, start=rows * n) for n in range(3)]
    store = target(path)
    store.prepare(Space(dimension=8), Index(), 3 * rows)
    for batch in batches:
        store.upsert(batch)
    store.finish(Space(dimension=8), Index())
    store.close()
    return path


def caught(path: Path) -> bool:
    try:
        source(path).close()
    except (ArchiveCorrupt, Refused):
        return True
    return False


def flips(whole: bytes, step: int) -> Iterator[tuple[int, int, int]]:
    """Yield (place, bit, damaged byte) of every `step`th bit."""
    for number in range(0, 8 * len(whole), step):
        at, bit = divmod(number, 8)
        yield at, bit, whole[at] ^ 1 << bit


# Nine bits on is the next byte and the next bit of it: every byte once, every bit of a byte as often.
@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.campaign)])
def test_every_single_bit(archive: Path, step: int) -> None:
    whole = archive.read_bytes()
    assert 4_000 < len(whole) < 30_000
    try:
        # Written in place: a file made anew for each flip would take minutes.
        with archive.open("r+b", buffering=0) as handle:
            for at, bit, damaged in flips(whole, step):
                handle.seek(at)
                handle.write(bytes([damaged]))
                assert caught(archive), f"bit {bit} of byte {at}"
                handle.seek(at)
                handle.write(whole[at : at + 1])
    finally:
        archive.write_bytes(whole)
    assert len(records(archive)) == 3 * ROWS[archive.suffix]


def test_every_truncation(archive: Path) -> None:
    whole = archive.read_bytes()
    try:
        with archive.open("r+b", buffering=0) as handle:
            # A cut text archive is parsed up to the cut: every place near the end, every third before.
            step = 1 if archive.suffix == ".parquet" else 3
            for size in [*range(len(whole) - 1, len(whole) - 600, -1), *range(len(whole) - 600, -1, -step)]:
                handle.truncate(size)
                assert caught(archive), f"{size} of {len(whole)} bytes"
    finally:
        archive.write_bytes(whole)


def test_bytes_put_in_or_taken_out(archive: Path) -> None:
    whole = archive.read_bytes()
    try:
        for at in (0, 1, 100, len(whole) // 2, len(whole) - 100, len(whole) - 1, len(whole)):
            for damaged in (whole[:at] + b" " + whole[at:], whole[:at] + whole[at + 1 :], whole[at:] + whole[:at]):
                if damaged != whole:
                    archive.write_bytes(damaged)
                    assert caught(archive), at
    finally:
        archive.write_bytes(whole)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_seal_quoted_in_a_record_changes_nothing(tmp_path: Path, suffix: str) -> None:
    quoted = "wherry-seal-1:" + "ab" * 16
    rows = [
        Record(f"{quoted}{n}", [1.0, 2.0, 3.0, float(n)], f"{quoted} {EMPTY_SEAL}", {quoted: quoted}) for n in range(9)
    ]
    path = write(tmp_path / f"a{suffix}", from_records(rows))
    assert [r.text for r in records(path)] == [r.text for r in rows]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_archive_is_never_written_over(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a{suffix}", sample(5, 4))
    damaged = bytearray(path.read_bytes())
    damaged[200] ^= 1
    path.write_bytes(damaged)
    store = target(path)
    for act in (store.describe, lambda: store.prepare(SPACE, Index(), 1), lambda: store.upsert(sample(1, 4))):
        with pytest.raises(ArchiveCorrupt):
            act()
    store.close()
    assert path.read_bytes() == damaged


def test_export_of_ours_that_was_edited_says_how_to_go_on(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", sample(5, 4))
    edited = json.loads(path.read_bytes())
    edited["documents"][0]["text"] = "new"
    path.write_text(json.dumps(edited))
    with pytest.raises(ArchiveCorrupt, match="not what Wherry wrote") as error:
        source(path)
    assert "remove every wherry key" in error.value.next
    del edited["wherry"], edited["wherry_seal"]
    path.write_text(json.dumps(edited))
    assert records(path)[0].text == "new"


@pytest.mark.parametrize("order", [["wherry", "documents"], ["documents", "wherry"]], ids=["before", "after"])
def test_card_without_its_seal_is_damage(tmp_path: Path, order: list[str]) -> None:
    path = write(tmp_path / "a.json", sample(5, 4))
    export = json.loads(path.read_bytes())
    path.write_text(json.dumps({key: export[key] for key in order}))
    with pytest.raises(ArchiveCorrupt, match="seal"):
        source(path)


def test_archive_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("w+b", buffering=0) as handle:
        sink = Sink(handle.fileno())
        sink.write(b'{"wherry": {"format": 2}}\n')
        sink.write(json.dumps({"wherry_seal": {"seal": EMPTY_SEAL, "again": EMPTY_SEAL}}).encode())
        sink.seal()
    with pytest.raises(Refused, match="format 2"):
        source(path)
