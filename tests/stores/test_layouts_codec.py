"""Between LlamaIndex's nodes and plain records: nothing is lost either way, whichever store holds them."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_index.core.schema import BaseNode, MediaResource, MetadataMode, Node
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

from tests.stores.layouts_kit import nodes, odd_nodes
from wherry.errors import Rejected
from wherry.record import Page, Record, from_records, to_records
from wherry.stores.layouts.langchain import Documents
from wherry.stores.layouts.llamaindex import CONTENT, EMPTY, KEPT, RAW, TYPE, Nodes

POSTGRES, QDRANT, CHROMA = Nodes(), Nodes(text_inside=True), Nodes(flat=True)
OURS = (CONTENT, TYPE, EMPTY, RAW)
CODECS = {"postgres": POSTGRES, "qdrant": QDRANT, "chroma": CHROMA}
EVERY = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
NODES = [*nodes()[:2], *odd_nodes()]
EACH = pytest.mark.parametrize("node", NODES, ids=[f"{type(n).__name__}-{n.node_id[-2:]}" for n in NODES])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def as_stored(node: BaseNode, codec: Nodes) -> tuple[str | None, str]:
    """Return text and metadata of a node as LlamaIndex's own store for an engine writes them."""
    metadata = node_to_metadata_dict(node, remove_text=not codec.text_inside)
    if codec.flat:
        metadata = {key: "" if value is None else value for key, value in metadata.items()}
    text = None if codec.text_inside else node.get_content(metadata_mode=MetadataMode.NONE)
    return text, json.dumps(metadata, ensure_ascii=False)


def as_read(text: str | None, metadata: str) -> BaseNode:
    """Return the node that LlamaIndex's own store makes of a row."""
    return metadata_dict_to_node(json.loads(metadata), text=text)


def metadata_of(text: str | None) -> dict[str, Any]:
    """Return metadata without what is kept beside it."""
    found: dict[str, Any] = json.loads(text or "{}")
    found.pop(KEPT, None)
    return found


@EACH
def test_a_node_is_one_record_whichever_store_held_it(node: BaseNode) -> None:
    records = [codec.record(node.node_id, *as_stored(node, codec)) for codec in CODECS.values()]
    assert records[0] == records[1] == records[2]
    text, metadata = records[0]
    assert text == node.get_content(metadata_mode=MetadataMode.NONE)
    assert metadata_of(metadata) == node.metadata


@EACH
@EVERY
def test_a_node_comes_back_as_it_was(node: BaseNode, codec: Nodes) -> None:
    stored = as_stored(node, codec)
    row = codec.row(node.node_id, *POSTGRES.record(node.node_id, *as_stored(node, POSTGRES)))
    assert row[1] is not None
    assert as_read(row[0], row[1]) == as_read(stored[0] or None, stored[1])
    assert row[0] == stored[0]
    assert {k: v for k, v in json.loads(row[1]).items() if k != CONTENT} == {
        k: v for k, v in json.loads(stored[1]).items() if k != CONTENT
    }


def test_an_ordinary_node_is_written_as_llamaindex_writes_it() -> None:
    node = odd_nodes()[0]
    row = POSTGRES.row(node.node_id, node.text, None)  # type: ignore[attr-defined]
    assert json.loads(row[1] or "") == json.loads(as_stored(node, POSTGRES)[1])
    assert json.loads(row[1] or "")[CONTENT] == json.loads(as_stored(node, POSTGRES)[1])[CONTENT]


def test_metadata_edited_on_the_way_is_edited_in_both_places() -> None:
    node = nodes()[1]
    text, metadata = CHROMA.record(node.node_id, *as_stored(node, CHROMA))
    edited = json.dumps(json.loads(metadata or "") | {"쪽": 99})
    row = POSTGRES.row(node.node_id, text, edited)
    assert json.loads(row[1] or "")["쪽"] == 99
    changed = as_read(row[0], row[1] or "")
    assert changed.metadata == {**node.metadata, "쪽": 99}
    assert changed.relationships == node.relationships


def test_what_was_changed_at_the_top_level_alone_is_kept_there() -> None:
    node = nodes()[0]
    text, stored = as_stored(node, POSTGRES)
    top = json.loads(stored)
    top["쪽"], top["extra"] = 41, [1]
    del top["출처"]
    record = POSTGRES.record(node.node_id, text, json.dumps(top))
    assert metadata_of(record[1]) == node.metadata
    again = json.loads(POSTGRES.row(node.node_id, *record)[1] or "")
    assert json.loads(again.pop(CONTENT)) == json.loads(top.pop(CONTENT))
    assert again == top


def test_what_a_resource_holds_beside_its_text_survives_stores_that_drop_it() -> None:
    node = Node(id_="m", text_resource=MediaResource(text="글", mimetype="text/markdown"))
    stored = as_stored(node, QDRANT)
    record = QDRANT.record("m", *stored)
    through = POSTGRES.record("m", *POSTGRES.row("m", *record))
    assert through == record
    assert as_read(None, QDRANT.row("m", *through)[1] or "") == as_read(None, stored[1])


@EVERY
@given(
    text=st.text(st.characters(exclude_categories=("Cs",)), max_size=20) | st.none(),
    metadata=st.none() | st.dictionaries(st.sampled_from(["a", "쪽", "text", "doc_id", "", KEPT, *OURS]), json_values),
)
def test_any_record_goes_into_a_node_and_back(codec: Nodes, text: str | None, metadata: dict[str, Any] | None) -> None:
    shown = None if metadata is None else json.dumps(metadata)
    row = codec.row("0004", text, shown)
    back = codec.record("0004", *row)
    assert back[0] == (text or "" if codec.text_inside else text)
    assert (back[1] is None) == (metadata is None)
    if metadata is not None:
        assert json.dumps(json.loads(back[1] or ""), sort_keys=True) == json.dumps(metadata, sort_keys=True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{cut off", "no JSON object"),
        ("[1]", "no JSON object"),
        (7, "no text"),
        ('{"id_": "a", "metadata": 3}', "metadata"),
        ('{"relationships": []}', "relationships"),
    ],
)
@EVERY
def test_a_broken_node_is_a_reject_and_the_rest_is_read(codec: Nodes, content: Any, words: str) -> None:
    good = codec.row("good", "글", '{"쪽":1}')
    rows = [
        Record("good", [1.0, 2.0], good[0], json.loads(good[1] or "")),
        Record("bad", [3.0, 4.0], "글", {CONTENT: content, "쪽": 2}),
        Record("bare", [5.0, 6.0], "손으로 쓴 글", {"쪽": 3}),
    ]
    page = codec.read(Page(from_records(rows), []))
    assert [(r.id, r.reason) for r in page.rejects] == [("bad", "BadNode")]
    assert words in page.rejects[0].detail
    assert [(r.id, r.metadata) for r in to_records(page.records)] == [("good", {"쪽": 1}), ("bare", {"쪽": 3})]
    assert [list(r.vector) for r in to_records(page.records)] == [[1, 2], [5, 6]]


def test_metadata_that_is_no_object_is_refused_by_name() -> None:
    batch = from_records([Record("a", [1.0], "x")])
    broken = batch.set_column(3, batch.schema.field(3), pa.array(["[1]"]))
    with pytest.raises(Rejected, match="'a'"):
        POSTGRES.written(broken)


@EVERY
def test_what_was_dumped_from_a_collection_is_its_node_again(codec: Nodes) -> None:
    node = nodes()[1]
    text, dumped = as_stored(node, CHROMA)
    row = codec.row(node.node_id, text, dumped)
    made = as_read(row[0], row[1] or "")
    assert (made.metadata, made.relationships) == (node.metadata, node.relationships)
    assert codec.record(node.node_id, *row) == (text, dumped)


def test_langchain_has_no_empty_metadata() -> None:
    rows = [Record("a", [1.0], "x"), Record("b", [1.0], "x", {}), Record("c", [1.0], "x", {"a": {}})]
    written = Documents().written(from_records(rows))
    assert written.column("metadata").to_pylist() == ["{}", '{"_wherry_empty":true}', '{"a": {}}']
    assert [r.metadata for r in to_records(Documents().read(Page(written, [])).records)] == [None, {}, {"a": {}}]
