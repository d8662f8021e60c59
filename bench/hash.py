"""How well the offline embedder finds what people ask for, against other sizes, weights and dimensions.

    python -m bench.hash            prints the table of docs/decisions

Korean: the sections of the demo's guides, found by questions in other words (`gold/korean.tsv`) and by their
headings. English: docstrings of Python's own library, found by questions (`gold/english.tsv`) and by their
first sentences. A question has one right answer; nDCG@10 is 1 when it is first, 0 beyond the tenth place.
"""

from __future__ import annotations

import inspect
import math
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import xxhash

from bench.measure import Bar
from wherry.demo import library
from wherry.models.hashing import HashEmbedder

GOLD = Path(__file__).parent / "gold"
# Not worse than the best of the table by more than this: differences below it are noise of the questions.
TOLERANCE = 0.02


@dataclass(frozen=True)
class Questions:
    """Questions over one set of texts. right: the position of the text that answers each."""

    name: str
    texts: tuple[str, ...]
    asked: tuple[str, ...]
    right: tuple[int, ...]


@dataclass(frozen=True)
class Form:
    """One way to turn a text into a vector.

    across: the weight of pieces over a space against those inside. words: whole words too. salt: another draw of
    which pieces share a component, which shows how much of a difference is luck.
    """

    sizes: tuple[int, ...] = (2, 3)
    across: float = 0.5
    weight: str = "log"
    dimension: int = 1024
    words: bool = False
    salt: int = 0


def ndcg_at_10(similarities: np.ndarray, right: Sequence[int]) -> float:
    """Return the mean nDCG@10. similarities: shape (questions, texts); equal ones count as the worst place."""
    own = similarities[np.arange(len(right)), right]
    places = (similarities >= own[:, None]).sum(axis=1)
    return float(np.mean([1 / math.log2(place + 1) if place <= 10 else 0.0 for place in places]))


@cache
def sets() -> tuple[Questions, ...]:
    """Return the four sets of questions."""
    sections = {f"{guide.id}-{s.page}": s for guide in library.documents() for s in guide.sections}
    manual = {name: text for name, text in _docstrings() if len(text) >= 60}
    bodies = {name: s.text for name, s in sections.items()}
    cut = {name: text.split(".", 1) for name, text in manual.items() if "." in text}
    rests = {name: rest.strip() for name, (_, rest) in cut.items() if len(rest.strip()) >= 60}
    return (
        _asked("ko questions", {name: f"{s.heading}\n{s.text}" for name, s in sections.items()}, _gold("korean")),
        _asked("ko headings", bodies, [(name, s.heading) for name, s in sections.items()]),
        _asked("en questions", manual, _gold("english")),
        _asked("en first lines", rests, [(name, cut[name][0]) for name in rests]),
    )


def vectors(texts: Sequence[str], form: Form) -> np.ndarray:
    """Return the unit vectors of texts in a form: float64, shape (texts, dimension)."""
    found = np.zeros((len(texts), form.dimension))
    weight = _WEIGHTS[form.weight]
    for row, text in enumerate(texts):
        for piece, count in _counted(text, form).items():
            place = _hash(piece, form.salt)
            found[row, (place >> 1) % form.dimension] += (1 if place & 1 else -1) * weight(count)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return found / np.where(lengths > 0, lengths, 1)


def _counted(text: str, form: Form) -> dict[str, float]:
    """Return the weighted count of each piece of a text."""
    counts: Counter[str] = Counter()
    for size in form.sizes:
        inside, across = _pieces(text, size)
        counts.update(inside)
        for piece, count in across.items() if form.across else ():
            counts[piece] += form.across * count  # type: ignore[assignment]
    if form.words:
        counts.update(f"\0{word}" for word in _folded(text))
    return counts  # type: ignore[return-value]


def score(form: Form) -> list[float]:
    """Return the nDCG@10 of a form on every set."""
    return [ndcg_at_10(vectors(q.asked, form) @ vectors(q.texts, form).T, q.right) for q in sets()]


def shipped(dimension: int) -> list[float]:
    """Return the nDCG@10 of the embedder that ships, on every set."""
    embedder = HashEmbedder(dimension)
    return [ndcg_at_10(embedder.embed(q.asked) @ embedder.embed(q.texts).T, q.right) for q in sets()]


_WEIGHTS = {
    "log": lambda count: math.log1p(count),
    "one": lambda count: 1.0,
    "root": lambda count: math.sqrt(count),
    "count": lambda count: float(count),
}


def _asked(name: str, texts: dict[str, str], pairs: Sequence[tuple[str, str]]) -> Questions:
    # Two names of one text are one answer.
    places = {text: n for n, text in enumerate(dict.fromkeys(texts.values()))}
    right = tuple(places[texts[key]] for key, _ in pairs)
    return Questions(name, tuple(places), tuple(text for _, text in pairs), right)


def _gold(language: str) -> list[tuple[str, str]]:
    lines = (GOLD / f"{language}.tsv").read_text(encoding="utf-8").splitlines()
    return [(name, text) for name, _, text in (line.partition("\t") for line in lines)]


def _docstrings() -> Iterator[tuple[str, str]]:
    """Yield (name, docstring) of the public functions and classes of the library."""
    for module_name in (GOLD / "english_modules.txt").read_text(encoding="utf-8").split():
        module = import_module(module_name)
        for name in sorted(getattr(module, "__all__", None) or dir(module)):
            thing = getattr(module, name, None)
            if name.startswith("_") or not (inspect.isclass(thing) or inspect.isroutine(thing)):
                continue
            parts = [(name, thing)]
            if inspect.isclass(thing):
                parts += [(f"{name}.{n}", m) for n, m in sorted(vars(thing).items()) if not n.startswith("_")]
            for part, member in parts:
                text = " ".join((inspect.getdoc(member) or "").split())
                if text:
                    yield f"{module_name}.{part}", text


@cache
def _folded(text: str) -> tuple[str, ...]:
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    spaced = "".join(" " if unicodedata.category(c)[0] in "PSZ" else c for c in folded)
    return tuple(spaced.split() or folded.split())


@cache
def _pieces(text: str, size: int) -> tuple[Counter[str], Counter[str]]:
    """Return how often each piece of a text occurs: inside words, and across them."""
    words = _folded(text)
    inside = Counter(f" {word}"[n : n + size] for word in words for n in range(len(word) + 2 - size))
    joined = "".join(words)
    ends = [n for n, word in enumerate(words) for _ in word]
    across = Counter(joined[n : n + size] for n in range(len(joined) + 1 - size) if ends[n] != ends[n + size - 1])
    return inside, across


@cache
def _hash(piece: str, salt: int) -> int:
    return xxhash.xxh3_64_intdigest(piece.encode(), seed=salt)


def table(salts: int = 5) -> str:
    """Return the table of the decision: every form, the mean and the spread over several salts."""
    names = " | ".join(questions.name for questions in sets())
    lines = [f"| form | {names} | mean |", "|---|" + "---|" * 5]
    for form in FORMS:
        rows = np.array([score(replace(form, salt=salt)) for salt in range(salts)])
        cells = [f"{mean:.3f} ± {spread:.3f}" for mean, spread in zip(rows.mean(0), rows.std(0), strict=True)]
        lines.append(f"| {_named(form)} | {' | '.join(cells)} | {rows.mean():.3f} |")
        print(lines[-1], file=sys.stderr, flush=True)
    for dimension in (384, 1024, 4096):
        row = shipped(dimension)
        cells = " | ".join(f"{value:.3f}" for value in row)
        lines.append(f"| `hash:{dimension}` as it ships | {cells} | {np.mean(row):.3f} |")
    return "\n".join(lines)


def run(folder: Path, rows: int, rounds: int) -> list[Bar]:
    """Compare the embedder that ships with the best of the forms at 1,024 dimensions."""
    own = shipped(1024)
    ratios = tuple(
        min(1.0, float(np.mean(own)) / best)
        for best in (max(float(np.mean(score(replace(form, salt=salt)))) for form in RIVALS) for salt in range(3))
    )
    detail = ", ".join(f"{q.name} {value:.3f}" for q, value in zip(sets(), own, strict=True))
    return [Bar("M1", "hash:1024 finds as well as the best form (nDCG@10)", 1 - TOLERANCE, True, ratios, detail)]


def _named(form: Form) -> str:
    sizes = ", ".join(map(str, form.sizes))
    words = " and words" if form.words else ""
    return f"{sizes}{words}; across {form.across:g}; {form.weight}; N {form.dimension}"


_CHOSEN = Form()
RIVALS = (_CHOSEN, Form(sizes=(2, 4)), Form(sizes=(2, 3, 4)), Form(weight="root"))
FORMS = (
    _CHOSEN,
    *(Form(sizes=sizes) for sizes in ((2,), (3,), (1, 2, 3), (2, 3, 4), (2, 4), (3, 4))),
    Form(words=True),
    *(Form(across=across) for across in (0.0, 1.0)),
    *(Form(weight=weight) for weight in ("one", "root", "count")),
    *(Form(dimension=dimension) for dimension in (128, 256, 384, 512, 768, 2048, 4096)),
)


if __name__ == "__main__":
    print(table())
