"""The demo's questions: the same cited answers before and after a move, and another one where a record is gone."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pyarrow as pa
import pytest

import wherry
from wherry.demo import asking, library
from wherry.demo.story import play


def test_the_questions_have_the_same_cited_answers_before_and_after_a_move(tmp_path: Path) -> None:
    export, moved = str(tmp_path / "export.json"), f"faiss:{tmp_path / 'there'}#guides"
    library.export(Path(export), 64)
    wherry.sync(export, f"{moved}?metric=cosine")
    before, after = asking.answers(export), asking.answers(moved)
    assert [answer.citations[0].id for answer in before] == ["g003-p02", "g019-p04", "g001-p05"]
    assert all(asking.same(first, second) for first, second in zip(before, after, strict=True))
    lines: list[str] = []
    asking.tell(before, after, lines.append)
    assert sum("“" in line for line in lines) >= 6
    assert sum("g003-p02" in line for line in lines) == 2

    store = wherry.open_target(moved)
    store.delete(pa.array(["g003-p02"]))
    store.finish(store.describe().space, store.describe().index)
    store.close()
    assert not asking.same(before[0], asking.answers(moved)[0])


@pytest.mark.campaign
def test_the_whole_story_ends_with_answers(pg: psycopg.Connection, tmp_path: Path) -> None:
    said: list[str] = []
    result = play(tmp_path, said.append)
    assert result["seconds"] < 60
    assert [entry["question"] for entry in result["answers"]] == list(asking.QUESTIONS)
    for entry in result["answers"]:
        cited = [[(c["id"], c["quote"]) for c in entry[when]["citations"]] for when in ("before", "after")]
        assert cited[0]
        assert cited[0] == cited[1]
    assert any("the same sentences of the same records" in line for line in said)
