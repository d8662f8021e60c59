"""Words stay true to their collection: made once, followed cheaply, by another tokenizer anew, held by one writer."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

import wherry
from tests.answering.shelves import TEXTS, fill
from wherry.answering import lexical, tokens
from wherry.answering.lexical_sidecar import Sidecar
from wherry.answering.search import Searcher
from wherry.errors import Busy, Usage
from wherry.stores.registry import open_source, open_target

MAKER = tokens.Pieces()


@pytest.fixture
def address(name: str) -> str:
    """The address of six records in memory."""
    return fill(f"memory:#{name}")


def refreshed(address: str, maker: tokens.Tokenizer = MAKER, **named: bool) -> lexical.Step:
    """Bring the words of a collection in line with it; return what that took."""
    with closing(open_source(address)) as store, closing(lexical.lexical_of(store)) as words:
        return lexical.refresh(store, words, maker, **named)


def found(address: str, question: str) -> list[str]:
    """Return the ids that the words of a question find."""
    return [hit.id for hit in wherry.search(question, in_=address, k=10, mode="lexical", tokenizer="pieces")]


def test_the_first_search_makes_the_words_and_the_second_does_not(address: str) -> None:
    assert found(address, "서울") == ["seoul"]
    assert refreshed(address) == lexical.Step()


def test_new_changed_and_deleted_records_are_followed(address: str) -> None:
    assert refreshed(address).written == len(TEXTS)
    fill(address, {"bp-1": "아주 다른 글입니다", "new": "골다공증과 뼈"})
    target = open_target(address)
    target.delete(pa.array(["seoul"]))
    assert found(address, "골다공증") == ["new"]
    assert found(address, "숫자") == []
    assert found(address, "서울") == []
    assert refreshed(address) == lexical.Step()


def test_only_what_differs_is_made_again(address: str) -> None:
    refreshed(address)
    fill(address, {"bp-1": "아주 다른 글입니다"})
    step = refreshed(address)
    assert (step.read, step.written, step.forgotten, step.whole) == (len(TEXTS), 1, 0, True)


def test_metadata_alone_is_followed_too(address: str) -> None:
    refreshed(address)
    fill(address, {"bp-1": TEXTS["bp-1"]}, metadata={"bp-1": {"year": 2026}})
    hits = wherry.search("혈압", in_=address, mode="lexical", where={"year": 2026}, tokenizer="pieces")
    assert [hit.id for hit in hits] == ["bp-1"]


def test_another_tokenizer_makes_all_words_anew(address: str) -> None:
    refreshed(address)
    step = refreshed(address, tokens.Morphemes())
    assert step.written == len(TEXTS)
    assert refreshed(address, tokens.Morphemes()) == lexical.Step()


def test_one_writes_and_a_reader_goes_on_with_what_is_there(address: str) -> None:
    refreshed(address)
    fill(address, {"new": "골다공증과 뼈"})
    with closing(open_source(address)) as store, lexical.writing(store):
        with pytest.raises(Busy):
            refreshed(address)
        with closing(Searcher(store, tokenizer="pieces")) as searcher:
            hits = searcher.search("혈압", 5, "lexical")
            assert {hit.id for hit in hits} >= {"bp-1", "bp-2"}
            assert "may be behind" in hits.notes[0]
    assert found(address, "골다공증") == ["new"]


def test_who_comes_while_the_words_are_made_for_the_first_time_waits(address: str) -> None:
    answers: list[list[str]] = []
    with closing(open_source(address)) as store:
        with lexical.writing(store):
            waiting = [threading.Thread(target=lambda: answers.append(found(address, "서울"))) for _ in range(4)]
            for thread in waiting:
                thread.start()
            waiting[0].join(0.3)
            assert answers == []
        for thread in waiting:
            thread.join()
    assert answers == [["seoul"]] * 4


def test_a_failure_in_the_middle_leaves_what_was_there(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refreshed(address)
    fill(address, {"new": "골다공증과 뼈"})
    with closing(open_source(address)) as store, closing(lexical.lexical_of(store)) as words:
        monkeypatch.setattr(words, "keep", _fail)
        with pytest.raises(OSError, match="disk"):
            lexical.refresh(store, words, MAKER)
        assert words.statistics().count == len(TEXTS)
    monkeypatch.undo()
    assert found(address, "골다공증") == ["new"]


def test_a_large_collection_is_followed_by_its_ids(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexical, "SMALL", 3)
    refreshed(address)
    fill(address, {"bp-1": "아주 다른 글입니다"})
    # The same ids: only a complete reading sees it.
    assert refreshed(address) == lexical.Step()
    assert refreshed(address, full=True).written == 1
    fill(address, {"new": "골다공증과 뼈"})
    assert refreshed(address).written == 1


def test_a_record_without_text_is_known_and_found_by_nothing(name: str) -> None:
    address = fill(f"memory:#{name}", {"a": None, "b": "", "c": "혈압"})
    assert found(address, "혈압") == ["c"]
    with closing(open_source(address)) as store, closing(lexical.lexical_of(store)) as words:
        assert words.statistics().count == 3


def test_an_archive_is_searched_by_words_too(tmp_path: Path) -> None:
    address = fill(str(tmp_path / "a.parquet"))
    assert found(address, "보건소")[0] == "seoul"
    assert isinstance(lexical.lexical_of(open_source(address)), Sidecar)


@pytest.mark.parametrize("question", ["", "   ", "\ud800"])
def test_a_question_without_words_is_refused(address: str, question: str) -> None:
    with pytest.raises(Usage):
        found(address, question)


@pytest.mark.parametrize("question", ["가", "🩺", "?!", "혈압 " * 3_000, "'; DROP TABLE x; --", "Ignore all rules"])
@pytest.mark.parametrize("mode", ["lexical", "hybrid"])
def test_any_other_question_gets_an_answer(address: str, question: str, mode: str) -> None:
    hits = wherry.search(question, in_=address, k=3, mode=mode)
    assert len(hits) <= 3
    # Hybrid fills up with what is near, so that k come where k exist.
    assert mode == "lexical" or len(hits) == 3


def _fail(*_: object) -> None:
    raise OSError("no room on the disk")


def test_two_who_have_the_words_open_do_not_undo_each_other(address: str) -> None:
    with closing(open_source(address)) as store:
        first, second = lexical.lexical_of(store), lexical.lexical_of(store)
        lexical.refresh(store, first, MAKER)
        fill(address, {"new": "골다공증과 뼈"})
        lexical.refresh(store, first, MAKER)
        step = lexical.refresh(store, second, MAKER)
        assert step.written == 0
        assert second.statistics().count == len(TEXTS) + 1
        fill(address, {"newer": "골절과 낙상"})
        lexical.refresh(store, second, MAKER)
        assert [hit.id for hit in first.search(MAKER.query("골다공증"), 3)] == ["new"]
        lexical.refresh(store, first, MAKER)
        assert [hit.id for hit in first.search(MAKER.query("골절"), 3)][:1] == ["newer"]
