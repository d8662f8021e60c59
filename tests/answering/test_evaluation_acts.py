"""Evaluating a collection: questions in every form, every mode, labels that are trusted, a page, bad files."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

import wherry
from tests.answering.shelves import TEXTS, fill
from wherry.answering import gold
from wherry.answering.evaluation_page import page
from wherry.answering.evaluation_questions import language_of, read_questions
from wherry.cli import main
from wherry.demo import library
from wherry.errors import Usage
from wherry.record import to_records
from wherry.space import Metric, Space

QUESTIONS = [
    {"question": "집에서 혈압 재는 방법", "relevant": ["bp-2"]},
    {"query": "공복혈당이 126이면?", "relevant": {"glu-1": 2, "glu-2": 1}},
    {"question": "서울에서 검진", "relevant": {"where": {"source": "seoul.pdf"}}, "id": "s"},
    {"question": "what to eat before a blood test", "relevant": "en-1"},
]


@pytest.fixture
def address(name: str) -> str:
    """The address of six records."""
    return fill(f"memory:#{name}")


def test_every_mode_and_language_is_measured(address: str) -> None:
    report = wherry.evaluate(address, QUESTIONS, k=5)
    assert set(report.modes) == {"hybrid", "vector", "lexical"}
    assert set(report.modes["lexical"].metrics) == {"ndcg@5", "recall@5", "mrr", "hit@1"}
    assert set(report.modes["lexical"].languages) == {"ko", "en"}
    assert report.modes["lexical"].metrics["hit@1"].mean == 1.0
    assert [question.grades for question in report.asked][2] == {"seoul": 1.0}
    assert report.questions == 4
    value = report.to_dict()
    assert json.loads(json.dumps(value)) == value
    assert 0 < value["modes"]["vector"]["metrics"]["mrr"]["mean"] <= 1


def test_without_a_model_words_are_measured(name: str) -> None:
    address = fill(f"memory:#{name}", space=Space(64, Metric.COSINE))
    assert set(wherry.evaluate(address, QUESTIONS).modes) == {"lexical"}
    assert set(wherry.evaluate(address, QUESTIONS, embedder="hash:64").modes) == {"hybrid", "vector", "lexical"}


def test_labels_can_be_trusted_and_are_kept(name: str) -> None:
    texts = {f"r{n:02}": f"{'혈압' if n % 2 else '혈당'} 기록 {n}번" for n in range(40)}
    address = fill(f"memory:#{name}", texts)
    asked = [{"question": text, "relevant": [key]} for key, text in texts.items()]
    report = wherry.evaluate(address, asked, trust=True, tokenizer="pieces")
    assert report.trusted is not None
    assert report.trusted.source == "labels"
    assert report.trusted.asked == 40
    again = wherry.evaluate(address, asked[:3], tokenizer="pieces")
    assert again.trusted == report.trusted


@pytest.mark.parametrize("form", ["lines", "object", "list"])
def test_questions_are_read_in_every_form(tmp_path: Path, form: str) -> None:
    file = tmp_path / "q.json"
    lines = [json.dumps(question, ensure_ascii=False) for question in QUESTIONS]
    whole = {
        "lines": "\n".join(lines),
        "object": f'{{"questions": [{",".join(lines)}]}}',
        "list": f"[{','.join(lines)}]",
    }
    file.write_text(whole[form], encoding="utf-8")
    found = read_questions(file)
    assert [question.text for question in found] == [q.get("question") or q["query"] for q in QUESTIONS]
    assert found[1].grades == {"glu-1": 2.0, "glu-2": 1.0}
    assert [question.id for question in found] == ["q001", "q002", "s", "q004"]


def test_variants_of_a_question_share_its_answers() -> None:
    entry = {"test_id": "r1", "query": "보험료", "query_variants": ["보험료는?", "보험료를"], "relevant_docs": ["d1"]}
    found = read_questions([entry])
    assert [question.id for question in found] == ["r1", "r1.1", "r1.2"]
    assert all(question.grades == {"d1": 1.0} for question in found)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "there are no questions"),
        ("{", "line 1 is no JSON"),
        ('{"question": "a"}', "needs a `question`"),
        ('{"relevant": ["a"]}', "needs a `question`"),
        ('{"question": "a", "relevant": [1]}', "neither ids"),
        ('{"question": "a", "relevant": {"b": -1}}', "neither ids"),
        ('{"question": "a", "relevant": 5}', "neither ids"),
        ("[1]", "no JSON object"),
        ("5", "no questions"),
        ('{"question": "a", "relevant": {"where": {"x": {"$no": 1}}}}', "$no"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "bad.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(Usage) as raised:
        read_questions(file)
    assert named in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Usage, match="FileNotFoundError"):
        read_questions(tmp_path / "none.json")
    with pytest.raises(Usage, match="there is no set"):
        read_questions("gold:none")


def test_an_answer_that_is_not_in_the_collection_is_named(address: str) -> None:
    with pytest.raises(Usage, match="q001 is not in the collection: 'nobody'"):
        wherry.evaluate(address, [{"question": "a", "relevant": ["nobody"]}])
    with pytest.raises(Usage, match="is not in the collection"):
        wherry.evaluate(address, [{"question": "a", "relevant": {"where": {"source": "none"}}}])
    with pytest.raises(Usage, match="k has to be"):
        wherry.evaluate(address, QUESTIONS, k=0)


def test_shipped_sets_fit_their_collections() -> None:
    guides = {record.id for record in to_records(library.records(8))}
    sets = {"guides": guides, "docs": {entry["id"] for entry in gold.load("docs")["documents"]}}
    for name, ids in sets.items():
        questions = read_questions(f"gold:{name}")
        assert len(questions) >= 200
        assert len({question.text for question in questions}) == len(questions)
        assert {answer for question in questions for answer in question.grades} <= ids
        assert {question.language for question in questions} == {"ko" if name == "guides" else "en"}


def test_hybrid_is_no_worse_than_its_best_leg_on_the_english_set(name: str) -> None:
    texts = {entry["id"]: entry["text"] for entry in gold.load("docs")["documents"]}
    report = wherry.evaluate(fill(f"memory:#{name}", texts), "gold:docs", tokenizer="pieces")
    means = {mode: found.metrics["ndcg@10"].mean for mode, found in report.modes.items()}
    assert means["hybrid"] >= max(means.values()) - 0.01
    assert means["lexical"] > 0.70


def test_the_page_is_whole_and_needs_nothing_else(address: str) -> None:
    asked = [*QUESTIONS, {"question": "<script>alert(1)</script>", "relevant": ["bp-1"]}]
    report = wherry.evaluate(address, asked, k=1)
    html = page(report)
    HTMLParser().feed(html)
    assert "<script" not in html
    assert "://" not in html
    assert "Questions in ko" in html
    assert f"{report.modes['hybrid'].metrics['mrr'].mean:.3f}" in html


def test_the_command_measures_prints_and_writes(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, report = tmp_path / "q.jsonl", tmp_path / "page.html"
    file.write_text("\n".join(json.dumps(q, ensure_ascii=False) for q in QUESTIONS), encoding="utf-8")
    assert main(["evaluate", address, "--questions", str(file), "--report", str(report), "-k", "3"]) == 0
    said = capsys.readouterr().out
    assert "ndcg@3" in said
    assert "weights" in said or "too few" in said
    assert report.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert main(["evaluate", address, "--questions", str(file), "--json", "--modes", "lexical"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert list(value["modes"]) == ["lexical"]
    assert main(["evaluate", address, "--questions", "gold:none"]) == 2
    assert main(["evaluate", address, "--questions", str(file), "--modes", "magic"]) == 2


def test_words_are_built_by_a_command(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lexicon", "build", address, "--tokenizer", "pieces", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["count"], value["written"], value["tokenizer"]) == (len(TEXTS), len(TEXTS), "pieces-v1")
    assert main(["lexicon", "build", address, "--tokenizer", "pieces"]) == 0
    assert "written 0" in capsys.readouterr().out
    assert main(["lexicon", "build", address, "--tokenizer", "magic"]) == 2


@pytest.mark.parametrize(
    ("text", "language"), [("혈압 BMI", "ko"), ("blood", "en"), ("血圧", "other"), ("123", "other"), ("naïve", "other")]
)
def test_languages_are_told_apart(text: str, language: str) -> None:
    assert language_of(text) == language
