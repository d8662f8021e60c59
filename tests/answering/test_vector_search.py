"""Searching by vectors through the front door: questions, vectors, conditions, and what cannot be asked."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

import wherry
from wherry.answering.search import Searcher
from wherry.cli import main
from wherry.errors import SpaceMismatch, Unsupported, Usage, WrongDimension
from wherry.models.hashing import HashEmbedder
from wherry.record import make_batch
from wherry.space import Metric, Space
from wherry.stores.base import Index
from wherry.stores.registry import open_source, open_target

TEXTS = {
    "당뇨-1": (
        "공복 혈당이 126 이상이면 당뇨병을 의심합니다.",
        {"source": "혈당.pdf", "page": 3, "tags": ["당뇨"]},
    ),
    "당뇨-2": ("당화혈색소는 지난 석 달의 혈당을 보여 줍니다.", {"source": "혈당.pdf", "page": 4, "tags": ["당뇨"]}),
    "혈압-1": ("혈압은 앉아서 5분 쉰 뒤에 잽니다.", {"source": "혈압.pdf", "page": 1, "tags": ["혈압", "검사"]}),
    "면접-1": ("자기소개는 1분 안에 마치는 것이 좋습니다.", None),
}
EMBEDDER = HashEmbedder(256)


@pytest.fixture
def guides(name: str) -> str:
    """The address of four records with a card."""
    return filled(f"memory:#{name}", EMBEDDER.space())


def filled(address: str, space: Space) -> str:
    """Write the four records under a card; return the address."""
    store = open_target(address)
    store.prepare(space, Index(), len(TEXTS))
    texts = [text for text, _ in TEXTS.values()]
    metadata = [None if m is None else json.dumps(m, ensure_ascii=False) for _, m in TEXTS.values()]
    store.upsert(make_batch(list(TEXTS), EMBEDDER.embed(texts), texts, metadata))
    store.finish(space, Index())
    store.close()
    return address


def test_a_question_finds_the_text_that_answers_it(guides: str) -> None:
    found = wherry.search("공복혈당이 얼마면 당뇨병인가요?", in_=guides, k=2)
    assert found[0].id == "당뇨-1"
    assert (found[0].text, found[0].metadata) == TEXTS["당뇨-1"]
    assert found[0].metric == Metric.COSINE
    assert found[0].similarity == pytest.approx(1 - found[0].distance)
    assert [hit.parts["vector"].rank for hit in found] == [1, 2]
    assert found[0].similarity > found[1].similarity
    assert 0 < found.seconds < 60


def test_a_vector_is_asked_as_it_is(guides: str) -> None:
    vector = EMBEDDER.embed([TEXTS["혈압-1"][0]])[0]
    assert wherry.search(vector, in_=guides, k=1)[0].id == "혈압-1"
    assert wherry.search(vector.tolist(), in_=guides, k=1)[0].similarity == pytest.approx(1, abs=1e-6)
    assert len(wherry.search(vector, in_=guides, k=50)) == 4


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ({"source": "혈당.pdf", "page": {"$gte": 4}}, {"당뇨-2"}),
        ("source=혈당.pdf and page<4", {"당뇨-1"}),
        ("tags in [검사, 없음]", {"혈압-1"}),
        ({"source": {"$exists": False}}, {"면접-1"}),
        ({"$not": {"tags": "당뇨"}}, {"혈압-1", "면접-1"}),
        ({"page": "3"}, set()),
    ],
)
def test_a_condition_leaves_only_what_fits(guides: str, where: object, ids: set[str]) -> None:
    assert {hit.id for hit in wherry.search("혈당", in_=guides, k=10, where=where)} == ids


def test_an_open_store_stays_open(guides: str) -> None:
    store = open_source(guides)
    assert wherry.search("혈압", in_=store, k=1)[0].id == "혈압-1"
    searcher = Searcher(store)
    assert [searcher.search(q, 1)[0].id for q in ("혈압 재기", "자기소개")] == ["혈압-1", "면접-1"]
    searcher.close()
    store.close()


def test_a_model_can_be_named_where_the_card_names_none(name: str) -> None:
    address = filled(f"memory:#{name}", Space(256, Metric.COSINE))
    with pytest.raises(Usage, match="does not say which model"):
        wherry.search("혈압", in_=address, mode="vector")
    assert wherry.search("혈압", in_=address, embedder="hash:256", k=1)[0].id == "혈압-1"
    assert wherry.search("혈압", in_=address, embedder=EMBEDDER, k=1)[0].id == "혈압-1"


@pytest.mark.parametrize("given", ["hash:32", HashEmbedder(32)])
def test_another_model_is_refused_and_both_are_named(guides: str, given: str | HashEmbedder) -> None:
    with pytest.raises(SpaceMismatch) as raised:
        wherry.search("혈압", in_=guides, embedder=given)
    assert guides in str(raised.value)
    assert "hash:32" in str(raised.value)


@pytest.mark.parametrize(
    ("ask", "error", "named"),
    [
        (lambda a: wherry.search("", in_=a), Usage, "empty"),
        (lambda a: wherry.search(" \n", in_=a), Usage, "empty"),
        (lambda a: wherry.search("\ud800", in_=a), Usage, "surrogate"),
        (lambda a: wherry.search([1.0, 2.0], in_=a), WrongDimension, "256"),
        (lambda a: wherry.search([float("nan")] * 256, in_=a), Usage, "NaN"),
        (lambda a: wherry.search([0.0] * 256, in_=a), Usage, "zero"),
        (lambda a: wherry.search(["a"], in_=a), Usage, "neither"),
        (lambda a: wherry.search("혈압", in_=a, k=0), Usage, "k is 0"),
        (lambda a: wherry.search("혈압", in_=a, mode="magic"), Usage, "magic"),
        (lambda a: wherry.search("혈압", in_=a, where={"$sql": 1}), Usage, "sql"),
        (lambda a: wherry.search("혈압", in_=a, where="page"), Usage, "page"),
    ],
)
def test_what_cannot_be_asked(guides: str, ask: Callable[[str], object], error: type[Exception], named: str) -> None:
    with pytest.raises(error, match=named):
        ask(guides)


@pytest.mark.parametrize("question", ["혈", "😀", "당" * 10_000, "blood 혈압 pressure", "'; DROP TABLE x; --", "\x00"])
def test_odd_questions_are_answered(guides: str, question: str) -> None:
    assert len(wherry.search(question, in_=guides, k=3)) == 3


def test_a_store_that_cannot_search_says_where_to_go() -> None:
    class Blind:
        """A store without search."""

        address = "blind:#x"

    with pytest.raises(Unsupported, match="cannot be searched"):
        wherry.search(np.ones(2), in_=Blind())


def test_the_command_prints_hits(guides: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["search", "공복혈당", "--in", guides, "-k", "2", "--where", "page>=3", "--mode", "vector"])
    said = capsys.readouterr().out
    assert code == 0
    assert "1. 당뇨-1  similarity 0." in said
    assert TEXTS["당뇨-1"][0] in said
    assert '"source": "혈당.pdf"' in said
    code = main(["search", "공복혈당", "--in", guides, "-k", "2", "--json"])
    value = json.loads(capsys.readouterr().out)
    assert (code, value["count"], value["mode"], value["in"]) == (0, 2, "hybrid", guides)
    assert value["hits"][0]["parts"]["vector"]["rank"] == 1
    assert value["hits"][0]["metric"] == "cosine"
    assert main(["search", "x", "--in", guides, "--where", "page>=9"]) == 0
    assert "Nothing found" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["--where", "page"], 2, "cannot be read"),
        (["--mode", "magic"], 2, "magic"),
        (["-k", "0"], 2, "k is 0"),
        (["--embedder", "hash:8"], 3, "hash:8"),
        (["--embedder", "nosuch:8"], 2, "nosuch"),
    ],
)
def test_the_command_refuses(
    guides: str, arguments: list[str], code: int, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", "혈압", "--in", guides, *arguments]) == code
    assert named in capsys.readouterr().err
