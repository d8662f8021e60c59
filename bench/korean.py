"""Korean search: what each way of making words is worth on questions with known answers.

The shipped sets are asked through every way: words cut at spaces, Kiwi's morphemes alone, what Wherry does without
Kiwi and with it, the offline embedder alone, and both legs fused. WHERRY_BENCH_KOREAN names a further file with
`documents` (id, text) and `questions`.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bench.measure import Bar
from wherry.answering import gold, tokens
from wherry.answering.evaluation import Evaluation, evaluate
from wherry.answering.evaluation_metrics import interval, ndcg
from wherry.answering.evaluation_questions import Question, read_questions
from wherry.answering.lexical_sidecar import Sidecar
from wherry.demo import library
from wherry.models.hashing import HashEmbedder
from wherry.record import make_batch, to_records
from wherry.stores.base import Index
from wherry.stores.lexical import FAMILIES, Bags, Lexicon, Query
from wherry.stores.registry import open_target

DIMENSION, DEPTH = 1024, 10
Terms = Callable[[str], list[str]]


def run(folder: Path, rows: int, rounds: int) -> list[Bar]:
    """Measure every set; the bars are those of the issue: hybrid is never below its best leg by more than 0.01."""
    bars = []
    for number, (name, texts, questions) in enumerate(_sets(), 1):
        table = {"BM25, words cut at spaces": _baseline(texts, questions, str.split)}
        table["BM25, Kiwi's morphemes alone"] = _baseline(texts, questions, _morphemes)
        found = {kind: _evaluated(f"{name}-{kind}", texts, questions, kind) for kind in ("pieces", "kiwi")}
        for kind, report in found.items():
            for mode in ("lexical", "vector", "hybrid"):
                table[f"Wherry, {kind}, {mode}"] = report.modes[mode].metrics[f"ndcg@{DEPTH}"].mean
        print(f"## {name}: {len(questions)} questions, {len(texts)} records, nDCG@{DEPTH}")
        for way, value in table.items():
            print(f"| {way} | {value:.3f} |")
        bars += [_bar(f"K{number}{kind[0]}", name, kind, report) for kind, report in found.items()]
    return bars


def _bar(number: str, name: str, kind: str, report: Evaluation) -> Bar:
    means = {mode: found.metrics[f"ndcg@{DEPTH}"].mean for mode, found in report.modes.items()}
    best = max(means["lexical"], means["vector"])
    detail = ", ".join(f"{mode} {mean:.3f}" for mode, mean in means.items())
    return Bar(number, f"{name}, {kind}: hybrid below its best leg", 0.01, False, (best - means["hybrid"],), detail, "")


def _sets() -> list[tuple[str, dict[str, str], list[Question]]]:
    guides = {record.id: record.text or "" for record in to_records(library.records(8))}
    docs = {entry["id"]: entry["text"] for entry in gold.load("docs")["documents"]}
    sets = [("guides", guides, read_questions("gold:guides")), ("docs", docs, read_questions("gold:docs"))]
    further = os.environ.get("WHERRY_BENCH_KOREAN")
    if further:
        whole = json.loads(Path(further).read_text(encoding="utf-8"))
        texts = {str(d.get("id") or d["doc_id"]): d.get("text") or d["content"] for d in whole["documents"]}
        sets.append((Path(further).stem, texts, read_questions(further)))
    return sets


def _evaluated(name: str, texts: dict[str, str], questions: Sequence[Question], kind: str) -> Evaluation:
    embedder = HashEmbedder(DIMENSION)
    store = open_target(f"memory:#{name}")
    store.prepare(embedder.space(), Index(), len(texts))
    values = list(texts.values())
    store.upsert(make_batch(list(texts), embedder.embed(values), values, [None] * len(texts)))
    store.close()
    asked = [{"id": q.id, "question": q.text, "relevant": dict(q.grades)} for q in questions]
    return evaluate(f"memory:#{name}", asked, k=DEPTH, tokenizer=kind)


def _baseline(texts: dict[str, str], questions: Sequence[Question], terms: Terms) -> float:
    """Return nDCG of plain BM25 over one family of terms."""
    words = Sidecar(None)
    words.update(_bags(texts, terms))
    words.keep(Lexicon("baseline"))
    scores = []
    for question in questions:
        found = sorted({tokens.hashed(0, term) for term in terms(tokens.normalised(question.text))})
        hits = words.search(Query(np.array(found, dtype=np.uint64), np.ones(len(found))), DEPTH)
        scores.append(ndcg([hit.id for hit in hits], question.grades, DEPTH))
    return interval(scores).mean


def _bags(texts: dict[str, str], terms: Terms) -> Bags:
    counted = [Counter(tokens.hashed(0, term) for term in terms(tokens.normalised(text))) for text in texts.values()]
    lengths = np.zeros((len(texts), FAMILIES), dtype=np.int32)
    lengths[:, 0] = [counts.total() for counts in counted]
    starts = np.concatenate([[0], np.cumsum([len(counts) for counts in counted])])
    held = np.array([token for counts in counted for token in counts], dtype=np.uint64)
    halves = np.array([min(2 * n, 255) for counts in counted for n in counts.values()], dtype=np.uint8)
    return Bags(list(texts), np.zeros(len(texts), dtype=np.uint64), [None] * len(texts), starts, held, halves, lengths)


def _morphemes(text: str) -> list[str]:
    from wherry.answering.tokens import _MEANING, _kiwi

    return [token.form for token in _kiwi().tokenize(text) if token.tag.partition("-")[0] in _MEANING]
