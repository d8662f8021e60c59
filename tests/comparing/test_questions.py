"""Every form questions come in, and what is wrong with them when they cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.comparing.questions import read_questions
from wherry.errors import Usage

L4 = {
    "pipeline_id": "p-1",
    "retrieval_nodes": [
        {
            "node": {"id_": "c-1", "text": "공복혈당 100 미만은 정상입니다."},
            "score": 0.82,
            "class_name": "NodeWithScore",
        },
        {"node": {"id_": "c-2", "text": None}, "score": 0.5},
    ],
}


def write(folder: Path, name: str, value: Any) -> Path:
    """Write a file: text as it is, everything else as JSON."""
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return path


def test_a_text_file_has_a_question_a_line(tmp_path: Path) -> None:
    found = read_questions(write(tmp_path, "q.txt", "\ufeff공복 혈당이 높으면?\n\n  [1, 2]는 무엇인가요?  \r\n"))
    assert [one.text for one in found] == ["공복 혈당이 높으면?", "[1, 2]는 무엇인가요?"]
    assert [one.name for one in found] == ["1", "2"]


@pytest.mark.parametrize("name", ["q.json", "q.jsonl"])
def test_json_holds_texts_vectors_and_objects(tmp_path: Path, name: str) -> None:
    entries = ["혈압", [0.5, 1], {"query": "금식", "id": "q-3"}, {"vector": [1, 2.5], "question": None}]
    text = "\n".join(json.dumps(one, ensure_ascii=False) for one in entries)
    found = read_questions(write(tmp_path, name, text if name.endswith("l") else {"queries": entries}))
    assert [one.text for one in found] == ["혈압", None, "금식", None]
    assert [None if one.vector is None else one.vector.tolist() for one in found] == [
        None,
        [0.5, 1.0],
        None,
        [1.0, 2.5],
    ]
    assert found[2].name == "q-3"
    assert found[1].shown == "vector 2"


def test_one_line_of_jsonl_may_be_one_vector(tmp_path: Path) -> None:
    [found] = read_questions(write(tmp_path, "q.jsonl", "[1, 2, 3]\n"))
    assert found.vector is not None
    assert found.vector.tolist() == [1, 2, 3]


def test_an_array_is_a_vector_a_row(tmp_path: Path) -> None:
    rows = np.arange(6, dtype=np.float64).reshape(2, 3)
    np.save(tmp_path / "q.npy", rows)
    for source in (tmp_path / "q.npy", rows, rows.tolist(), list(rows)):
        found = read_questions(source)
        assert [one.vector.tolist() for one in found if one.vector is not None] == rows.tolist()


@pytest.mark.parametrize("where", ["flat", "reply", "response"])
def test_a_retrieval_reply_is_a_recorded_answer(where: str) -> None:
    entry = {"query": "공복 혈당", **L4} if where == "flat" else {"query": "공복 혈당", where: L4, "seconds": 0.25}
    [found] = read_questions([entry])
    assert found.recorded is not None
    assert [(hit.id, hit.similarity) for hit in found.recorded.hits] == [("c-1", 0.82), ("c-2", 0.5)]
    assert found.recorded.hits[0].text == "공복혈당 100 미만은 정상입니다."
    assert found.recorded.seconds == (None if where == "flat" else 0.25)


def test_what_search_printed_is_a_recorded_answer_once_the_question_is_beside_it() -> None:
    printed = {"in": "memory:#a", "mode": "vector", "k": 1, "hits": [{"id": "g-1", "similarity": 0.9}], "seconds": 0.1}
    [found] = read_questions([{"query": "혈압", **printed}])
    assert found.recorded is not None
    assert found.recorded.hits[0].id == "g-1"
    with pytest.raises(Usage, match="neither a text nor a vector") as error:
        read_questions([printed])
    assert "query" in error.value.next


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("none.txt", "", "no questions"),
        ("none.json", "[]", "no questions"),
        ("bad.jsonl", '{"query": "혈압"}\n{"query": ', "line 2 is no JSON"),
        ("empty.json", '[{"query": "  "}]', "question 1 is empty"),
        ("half.json", '["혈압", "\\ud800"]', "question 2 holds half"),
        ("nan.json", '[{"vector": [1, NaN]}]', "vector of question 1"),
        ("words.json", '[{"vector": ["a"]}]', "vector of question 1"),
        ("huge.json", '[{"vector": [1e300]}]', "vector of question 1"),
        ("nest.json", '[{"vector": [[1, 2]]}]', "vector of question 1"),
        ("number.json", '["혈압", 3]', "question 2 is neither a text nor a vector"),
        ("true.json", "[[true]]", "neither a text nor a vector"),
        ("hit.json", '[{"query": "a", "hits": [{"id": "x"}]}]', "hit 1 of question 1"),
        ("hits.json", '[{"query": "a", "hits": ["x"]}]', "hit 1 of question 1"),
        ("text.npy", "not an array", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, body: str, words: str) -> None:
    with pytest.raises(Usage, match=words) as error:
        read_questions(write(tmp_path, name, body))
    assert name in error.value.where


def test_files_that_are_not_there_or_not_text(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("혈압".encode("cp949"))
    np.save(tmp_path / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "line.npy", np.zeros(3))
    for path in (tmp_path / "gone.txt", tmp_path, tmp_path / "latin.txt", tmp_path / "object.npy"):
        with pytest.raises(Usage, match="cannot be read"):
            read_questions(path)
    with pytest.raises(Usage, match="vector a row"):
        read_questions(tmp_path / "line.npy")


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["query", "vector", "hits", "retrieval_nodes", "node", "id", "score", "reply", "text"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(st.lists(json_values, max_size=3))
def test_anything_is_read_or_refused(entries: list[Any]) -> None:
    try:
        found = read_questions(entries)
    except Usage:
        return
    assert all(one.text is not None or one.vector is not None for one in found)
