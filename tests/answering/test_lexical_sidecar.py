"""Words beside a collection: BM25 as the formula says, replaced and forgotten, on disk, damaged, killed."""

from __future__ import annotations

import json
import math
import random
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.answering.shelves import TEXTS
from wherry.answering.lexical_sidecar import Sidecar
from wherry.answering.tokens import Pieces
from wherry.errors import JournalCorrupt
from wherry.stores.lexical import K1, B, Lexical, Lexicon
from wherry.where import parse

MAKER = Pieces()


def bags(texts: dict[str, str | None], metadata: dict[str, str] | None = None):
    """Return the words of some texts."""
    return MAKER.bags(list(texts), list(texts.values()), [(metadata or {}).get(name) for name in texts])


def ids(words: Sidecar, question: str, k: int = 10, where: dict | None = None) -> list[str]:
    """Return the ids that a question finds."""
    return [hit.id for hit in words.search(MAKER.query(question), k, parse(where) if where else None)]


def reference(texts: dict[str, str | None], question: str) -> dict[str, float]:
    """Compute BM25 of every text by the formula, token by token."""
    counted = {}
    for name, text in texts.items():
        one = MAKER.bags([name], [text], [None])
        halves = dict(zip(one.tokens.tolist(), one.halves.tolist(), strict=True))
        counted[name] = (halves, one.lengths[0])
    count = len(texts)
    mean = np.maximum(sum(lengths for _, lengths in counted.values()) / count, 1)
    frequency = Counter(token for halves, _ in counted.values() for token in halves)
    query, scores = MAKER.query(question), {}
    for name, (halves, lengths) in counted.items():
        score = 0.0
        for token, weight in zip(query.tokens.tolist(), query.weights.tolist(), strict=True):
            tf, family = halves.get(token, 0) / 2, token & 3
            idf = math.log(1 + (count - frequency[token] + 0.5) / (frequency[token] + 0.5))
            score += weight * idf * tf * (K1 + 1) / (tf + K1 * (1 - B + B * lengths[family] / mean[family]))
        if score:
            scores[name] = score
    return scores


def test_it_is_what_the_protocol_asks_for() -> None:
    assert isinstance(Sidecar(None), Lexical)


@pytest.mark.parametrize("question", ["공복혈당이 얼마면 당뇨병인가요?", "혈압 재는 법", "blood test", "서울"])
def test_scores_are_bm25(question: str) -> None:
    words = Sidecar(None)
    words.update(bags(dict(TEXTS)))
    found = {hit.id: hit.score for hit in words.search(MAKER.query(question), 10)}
    assert found == pytest.approx(reference(dict(TEXTS), question))


def test_after_many_changes_it_answers_as_if_it_were_new(tmp_path: Path) -> None:
    chance = random.Random(7)
    vocabulary = TEXTS["bp-2"].replace(".", "").split()
    words, held = Sidecar(tmp_path / "w"), {}
    for round_ in range(25):
        changed = {f"r{chance.randrange(40)}": " ".join(chance.choices(vocabulary, k=6)) for _ in range(6)}
        words.update(bags(changed))
        held |= changed
        gone = chance.sample(sorted(held), 2)
        words.forget([*gone, "nobody"])
        for name in gone:
            del held[name]
        words.keep(Lexicon("t", census=(round_, 0)))
    again = Sidecar(tmp_path / "w")
    assert again.state() == Lexicon("t", census=(24, 0))
    for question in vocabulary[:6]:
        expected = reference(held, question)
        order = sorted(expected, key=lambda name: (-round(expected[name], 9), name))[:5]
        for one in (words, again):
            found = one.search(MAKER.query(question), 5)
            assert {hit.id: hit.score for hit in found} == pytest.approx({name: expected[name] for name in order})
    assert again.statistics().count == len(held)
    assert {name for names, _ in again.known() for name in names} == set(held)
    # What was replaced does not pile up.
    assert len(list((tmp_path / "w").iterdir())) < 25


def test_ties_are_ordered_by_id() -> None:
    words = Sidecar(None)
    words.update(bags(dict.fromkeys("dbcae", "같은 글입니다")))
    assert ids(words, "같은 글", 3) == ["a", "b", "c"]


def test_a_condition_leaves_k_where_k_fit() -> None:
    words = Sidecar(None)
    texts = {f"r{n:03}": "혈압 이야기 " * (1 + n % 7) for n in range(300)}
    words.update(bags(texts, {name: json.dumps({"rare": int(name[1:]) % 60 == 7}) for name in texts}))
    assert len(ids(words, "혈압", 5, {"rare": True})) == 5
    assert set(ids(words, "혈압", 50, {"rare": True})) == {"r007", "r067", "r127", "r187", "r247"}
    assert ids(words, "혈압", 5, {"none": 1}) == []


@pytest.mark.parametrize(("question", "k"), [("", 5), ("?!", 5), ("낙타", 5), ("혈압", 0)])
def test_nothing_to_find_is_an_empty_answer(question: str, k: int) -> None:
    words = Sidecar(None)
    assert ids(words, question, k) == []
    words.update(bags(dict(TEXTS)))
    assert ids(words, question, k) == []


def test_what_was_not_kept_is_gone_after_a_crash(tmp_path: Path) -> None:
    words = Sidecar(tmp_path / "w")
    words.update(bags({"a": "혈압"}))
    words.keep(Lexicon("t"))
    words.update(bags({"b": "혈압"}))
    words.forget(["a"])
    assert ids(words, "혈압") == ["b"]
    assert ids(Sidecar(tmp_path / "w"), "혈압") == ["a"]
    words.abandon()
    assert ids(words, "혈압") == ["a"]


def test_files_nobody_names_are_swept(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    words = Sidecar(folder)
    words.update(bags({"a": "혈압"}))
    words.keep(Lexicon("t"))
    (folder / "deadbeef").mkdir()
    (folder / "dead-x.npy").write_bytes(b"")
    words.update(bags({"a": "혈당"}))
    words.keep(Lexicon("t"))
    assert len([entry for entry in folder.iterdir() if entry.is_dir()]) == 1
    assert not (folder / "dead-x.npy").exists()


@pytest.mark.parametrize("damage", ["manifest", "array", "rows", "missing"])
def test_damaged_files_are_named(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "w"
    words = Sidecar(folder)
    words.update(bags(dict(TEXTS)))
    words.keep(Lexicon("t"))
    segment = next(entry for entry in folder.iterdir() if entry.is_dir())
    match damage:
        case "manifest":
            (folder / "manifest.json").write_text("{")
        case "array":
            (segment / "tokens.npy").write_bytes(b"no array")
        case "rows":
            (segment / "rows.arrow").write_bytes(b"no table")
        case "missing":
            (segment / "starts.npy").unlink()
    with pytest.raises(JournalCorrupt, match="cannot be read") as raised:
        Sidecar(folder)
    assert "lexicon build" in raised.value.next


def test_searches_go_on_while_words_change() -> None:
    words = Sidecar(None)
    words.update(bags({f"r{n}": "혈압 기록" for n in range(50)}))
    stop, wrong = threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            found = ids(words, "혈압", 200)
            if len(set(found)) != len(found) or len(found) < 49:
                wrong.append(found)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for n in range(60):
        words.update(bags({f"r{n % 50}": f"혈압 기록 {n}"}))
        if n % 10 == 9:
            words.keep(Lexicon("t"))
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
