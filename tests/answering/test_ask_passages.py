"""Passages: what of the hits goes into a prompt, and in what shape."""

from __future__ import annotations

import pytest

from wherry.answering.hits import Hit
from wherry.answering.passages import packed, spoken, titled
from wherry.models.tokens import estimate


def hit(name: str, text: str | None) -> Hit:
    """Return a hit with a text."""
    return Hit(name, 0.5, 0.5, text, {}, 1.0)


def test_repeats_parts_and_empty_texts_are_left_out() -> None:
    whole = "혈압은 앉아서 잽니다. 5분 쉰 뒤에 잽니다."
    found = packed([hit("a", whole), hit("b", whole.upper() + " "), hit("c", "5분  쉰 뒤에 잽니다."), hit("d", " "),
                    hit("e", None), hit("f", "공복혈당은 아침에 잽니다.")], 3000)  # fmt: skip
    assert [(p.number, p.id) for p in found.passages] == [(1, "a"), (2, "f")]
    assert found.notes == (
        "left out: 2 of the records found, without a text to answer from",
        "left out: 2 of the records found, that repeat a better one",
    )


@pytest.mark.parametrize("budget", [100, 150, 300, 1000])
def test_the_budget_holds_and_cuts_fall_behind_sentences(budget: int) -> None:
    texts = [" ".join(f"{row}번 문장 {n}은 혈압을 설명합니다." for n in range(30)) for row in range(5)]
    found = packed([hit(str(n), text) for n, text in enumerate(texts)], budget)
    assert found.passages
    assert sum(estimate(p.text) for p in found.passages) <= budget
    for passage in found.passages:
        assert texts[int(passage.id)].startswith(passage.text)
        assert passage.text.endswith("설명합니다.")
        assert passage.cut == (passage.text != texts[int(passage.id)])
    assert any("budget" in note for note in found.notes)


def test_a_text_of_one_endless_sentence_is_cut_anyway() -> None:
    found = packed([hit("a", "가" * 50_000)], 200)
    assert found.passages[0].cut
    assert 0 < estimate(found.passages[0].text) <= 200


def test_titles_are_no_sentences() -> None:
    text = "# 혈압 재는 법\n앉아서 5분 쉽니다. 그 뒤에 잽니다."
    assert titled(text)[0] == "혈압 재는 법"
    assert [text[a:b] for a, b in spoken(text)] == ["앉아서 5분 쉽니다.", "그 뒤에 잽니다."]
    assert titled("앉아서 쉽니다.\n그 뒤에 잽니다.") == ("", 0)
    assert titled("혈압") == ("", 0)
