"""Cutting an object into its members and documents, whatever the chunks it comes in."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import ArchiveCorrupt, Refused
from wherry.stores.archive.splitter import Splitter, flat_end

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)
STYLES = st.fixed_dictionaries(
    {
        "ensure_ascii": st.booleans(),
        "indent": st.sampled_from([None, 0, 2]),
        "separators": st.sampled_from([None, (",", ":")]),
    }
)


class Dribble(io.RawIOBase):
    """Gives a few bytes at a time, whatever is asked for."""

    def __init__(self, data: bytes, step: int) -> None:
        self.data, self.step, self.at = data, step, 0

    def read(self, size: int = -1) -> bytes:
        part = self.data[self.at : self.at + self.step]
        self.at += len(part)
        return part


def split(data: bytes, step: int = 1 << 20) -> tuple[list[Any], dict[str, Any], bool]:
    splitter = Splitter(Dribble(data, step), "documents", "a.json")
    documents = []
    for offset, raw in splitter:
        assert data[offset : offset + len(raw)] == raw
        documents.append(json.loads(raw))
    return documents, {name: json.loads(raw) for name, raw in splitter.fields.items()}, splitter.found


@given(
    st.dictionaries(st.text(), VALUES, max_size=4), st.lists(VALUES, max_size=5), st.integers(1, 40), STYLES, st.data()
)
def test_any_object_is_cut_as_the_parser_reads_it(
    members: dict[str, Any], documents: list[Any], step: int, style: dict[str, Any], data: st.DataObject
) -> None:
    members.pop("documents", None)
    order = data.draw(st.permutations([*members.items(), ("documents", documents)]))
    raw = json.dumps(dict(order), **style).encode()
    assert split(raw, step) == (documents, members, True)


@given(st.lists(VALUES, min_size=1, max_size=3), st.data())
def test_every_truncation_is_noticed(documents: list[Any], data: st.DataObject) -> None:
    raw = json.dumps({"a": 1, "documents": documents, "b": "x"}).encode()
    cut = data.draw(st.integers(1, len(raw) - 1))
    with pytest.raises(ArchiveCorrupt):
        split(raw[:cut])


def test_truncation_names_the_byte_and_the_document() -> None:
    raw = json.dumps({"documents": [{"id": "a"}, {"id": "b", "text": "나나"}]}).encode()
    with pytest.raises(ArchiveCorrupt) as caught:
        split(raw[:40])
    assert "byte 40" in caught.value.what
    assert "number 2 of the documents" in caught.value.what
    assert caught.value.next


@pytest.mark.parametrize(
    "raw",
    [
        b'{"documents": [1 2]}',
        b'{"documents": [1,]}',
        b'{"documents": [,1]}',
        b'{"documents" [1]}',
        b"{documents: [1]}",
        b'{"documents": [1]} x',
        b'{"documents": [1]}{"documents": [2]}',
        b'{"documents": [1], "documents": [2]}',
        b'{"a": 1, "a": 2, "documents": []}',
        b'{"documents": [1}',
        b'{"documents": [{"a": "\\"}]}',
        b'{"documents": [1], }',
        b"\xff\xfe{\x00}\x00",
        b"{",
    ],
)
def test_what_is_no_json_is_damage(raw: bytes) -> None:
    with pytest.raises(ArchiveCorrupt):
        split(raw)


@pytest.mark.parametrize("raw", [b"[1, 2]", b'"text"', b"17"])
def test_what_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(Refused):
        split(raw)


def test_byte_order_mark_is_accepted() -> None:
    assert split(b'\xef\xbb\xbf {"documents": [1]}', 1)[0] == [1]


def test_documents_that_are_no_list_are_a_member_like_any_other() -> None:
    assert split(b'{"documents": {"a": [1]}}') == ([], {"documents": {"a": [1]}}, False)


def test_value_longer_than_the_chunks_takes_linear_time() -> None:
    raw = json.dumps({"documents": [{"text": "가" * 3_000_000}, 2]}, ensure_ascii=False).encode()
    splitter = Splitter(io.BytesIO(raw), "documents", "a.json")
    assert [len(part) for _, part in splitter] == [9_000_012, 1]


@pytest.mark.parametrize(
    ("raw", "end"), [(b"[1, 2] ", 6), (b"[]", 2), (b"[1, 2", 0), (b"[[1]]", 0), (b'["]"]', 0), (b"{}", 0), (b"[{}]", 0)]
)
def test_flat_lists_are_passed_over_whole(raw: bytes, end: int) -> None:
    assert flat_end(raw, 0) == end
