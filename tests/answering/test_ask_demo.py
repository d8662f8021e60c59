"""The demo's questions: the same cited answers before and after a move, and another one where a record is gone."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pyarrow as pa
import pytest

import wherry
from wherry.demo import asking, library
from wherry.demo.cloud import cloud
from wherry.demo.stage import ROUTE
from wherry.demo.story import play
from wherry.errors import AuthFailed
from wherry.routing.book import Book
from wherry.routing.migration import PHASES


def test_the_questions_have_the_same_cited_answers_before_and_after_a_move(tmp_path: Path) -> None:
    export, moved = str(tmp_path / "export.json"), f"faiss:{tmp_path / 'there'}#guides"
    library.export(Path(export), 64)
    wherry.sync(export, f"{moved}?metric=cosine")
    before, after = asking.answers(export), asking.answers(moved)
    assert [answer.citations[0].id for answer in before] == ["g003-p02", "g042-p02", "g001-p05"]
    assert all(asking.same(first, second) for first, second in zip(before, after, strict=True))
    lines: list[str] = []
    for when, answers in (("before", before), ("after", after)):
        asking.tell(when, answers, lines.append)
    assert sum("“" in line for line in lines) >= 6
    assert sum("g003-p02" in line for line in lines) == 2

    store = wherry.open_target(moved)
    store.delete(pa.array(["g003-p02"]))
    store.finish(store.describe().space, store.describe().index)
    store.close()
    assert not asking.same(before[0], asking.answers(moved)[0])


def test_the_cloud_of_the_story_answers_as_a_copy_of_it(tmp_path: Path) -> None:
    copy = str(tmp_path / "copy.json")
    with cloud(1024) as address:
        assert wherry.sync(address, copy).written == library.records(1024).num_rows
        there = asking.answers(address, "vector")
        assert all(asking.same(one, other) for one, other in zip(there, asking.answers(copy, "vector"), strict=True))
    with pytest.raises(AuthFailed):
        wherry.open_source(address)


@pytest.mark.campaign
def test_the_whole_story(pg: psycopg.Connection, tmp_path: Path) -> None:
    said: list[str] = []
    result = play(tmp_path, said.append)
    assert [(phase["name"], phase["state"]) for phase in result["phases"]] == [(name, "done") for name in PHASES]
    assert Path(result["report"]).read_text(encoding="utf-8").startswith("<!doctype html>")
    assert result["comparison"]["a"]["cost"]["per_month"] == pytest.approx(200)
    assert result["watched"]["rolled_back"]
    assert result["readers"]["failed"] == 0
    assert set(result["readers"]["answers"]) == {"chroma", "llamacloud"}
    assert [entry["question"] for entry in result["answers"]] == list(asking.QUESTIONS)
    for entry in result["answers"]:
        cited = [[(c["id"], c["quote"]) for c in entry[when]["citations"]] for when in ("before", "after")]
        assert cited[0]
        assert cited[0] == cited[1]
    assert any("the same sentences of the same records" in line for line in said)
    assert any("exactly the 6 damaged records" in line for line in said)
    with Book() as book:
        acts = [event.act for event in book.history(ROUTE) if event.act in ("switch", "rollback")]
        assert acts[:3] == ["switch", "rollback", "switch"]
