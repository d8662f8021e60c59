"""Turning text into tokens: Korean, languages with words, languages without spaces, numbers, emoji.

Three families, each with a length and a weight of its own:

    morpheme  what Kiwi finds: nouns, stems of verbs and adjectives, foreign words, numbers (extra `korean`)
    piece     pairs of neighbouring syllables, over spaces as well, because spacing varies; whole words elsewhere
    stem      a word without its particle or ending, by rule

Korean is never cut at spaces alone: 서울 has to be found in 서울에서. What a text turns into is part of a
lexicon's identity, so that words made by another tokenizer or version are made anew.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import xxhash

from wherry.answering import english, korean
from wherry.errors import MissingExtra, Usage
from wherry.stores.lexical import FAMILIES, MOST_HALVES, Bags, Query

# Whoever changes what a text turns into raises this.
VERSION = 1
MORPHEME, PIECE, STEM = 0, 1, 2
# So many words at the beginning of a text count one half more.
LEAD_WORDS = 5
_MOST_CHARACTERS = 1 << 20
_KNOWN_TOKENS = 1 << 20
_WORDS_AT_ONCE = 512
_HANGUL, _BARE = "가-힣", "぀-ヿ㐀-鿿豈-﫿"
_RUN = re.compile(
    rf"(?P<hangul>[{_HANGUL}]+)|(?P<bare>[{_BARE}]+)|(?P<number>\d+(?:[.,]\d+)*)"
    rf"|(?P<word>[^\W\d_{_HANGUL}{_BARE}]+)|(?P<sign>[^\w\s])"
)
_ENGLISH = re.compile(r"(?<![^\W_])[a-z]+(?![^\W_])")
_SYLLABLES = re.compile(rf"[{_HANGUL}]+(?:\s+[{_HANGUL}]+)*")
# Tags of Kiwi that carry meaning; particles, endings, pronouns and marks are left out.
_MEANING = frozenset({"NNG", "NNP", "NR", "SL", "SN", "SH", "VV", "VA", "XR", "XSN"})

Terms = list[tuple[int, str]]


class Tokenizer(Protocol):
    """Turns texts into bags of tokens, always the same ones."""

    @property
    def identity(self) -> str:
        """Return its name and version: other words come from another identity."""
        ...

    def bags(self, ids: Sequence[str], texts: Sequence[str | None], metadata: Sequence[str | None]) -> Bags:
        """Return the tokens of some records; a record without text has none."""
        ...

    def query(self, question: str) -> Query:
        """Return the tokens of a question and their weights; none for a text without words."""
        ...


def tokenizer(name: str | None = None) -> Tokenizer:
    """Return a tokenizer: `kiwi`, `pieces`, or the best one that is installed. Raises Usage or MissingExtra."""
    if name is None:
        name = "kiwi" if _kiwi_installed() else "pieces"
    if name == "pieces":
        return Pieces()
    if name == "kiwi":
        return Morphemes()
    raise Usage(f"unknown tokenizer {name!r}", next="use kiwi or pieces")


class Pieces:
    """Pieces and stems: needs no dictionary."""

    weights = (0.0, 1.0, 1.0, 0.0)

    @property
    def identity(self) -> str:
        """Return its name and version."""
        return f"pieces-v{VERSION}"

    def bags(self, ids: Sequence[str], texts: Sequence[str | None], metadata: Sequence[str | None]) -> Bags:
        """Return the tokens of some records."""
        counted: list[Counter[int]] = []
        lengths = np.zeros((len(ids), FAMILIES), dtype=np.int32)
        plain = [normalised(text or "") for text in texts]
        for row, (terms, lead) in enumerate(zip(self._terms(plain), self._leads(plain), strict=True)):
            for family, _ in terms:
                lengths[row, family] += 1
            counts = Counter(map(hashed, terms))
            halves = Counter({token: 2 * count for token, count in counts.items()})
            halves.update({token for token in map(hashed, lead) if token in counts})
            counted.append(halves)
        return _bags(ids, texts, metadata, counted, lengths)

    def query(self, question: str) -> Query:
        """Return the tokens of a question; the pieces of words that only ask are left out."""
        plain = normalised(question)
        plain = _content(plain)
        asked = set(pieces(korean.content(plain))) | set(stems(plain)) | set(self._more([plain])[0])
        terms = sorted(asked)
        tokens = np.array([hashed(term) for term in terms], dtype=np.uint64)
        return Query(tokens, np.array([self.weights[family] for family, _ in terms], dtype=np.float64))

    def _leads(self, plain: Sequence[str]) -> Iterator[Terms]:
        return self._terms([" ".join(text.partition("\n")[0].split()[:LEAD_WORDS]) for text in plain])

    def _terms(self, plain: Sequence[str]) -> Iterator[Terms]:
        for start in range(0, len(plain), _WORDS_AT_ONCE):
            part = plain[start : start + _WORDS_AT_ONCE]
            for text, more in zip(part, self._more(part), strict=True):
                yield pieces(text) + stems(text) + more

    def _more(self, plain: Sequence[str]) -> list[Terms]:
        return [[] for _ in plain]


class Morphemes(Pieces):
    """Kiwi's morphemes beside the pieces and stems. Raises MissingExtra where Kiwi is not installed."""

    weights = (1.0, 0.7, 0.5, 0.0)

    def __init__(self) -> None:
        self._kiwi = _kiwi()

    @property
    def identity(self) -> str:
        """Return its name, the versions of Kiwi and of its model, and what is beside them."""
        from importlib.metadata import version

        return f"kiwi-{version('kiwipiepy')}/{version('kiwipiepy_model')}+pieces-v{VERSION}"

    def _more(self, plain: Sequence[str]) -> list[Terms]:
        found = self._kiwi.tokenize(list(plain))
        return [[_morpheme(t.form, t.tag) for t in tokens if t.tag.partition("-")[0] in _MEANING] for tokens in found]


def _morpheme(form: str, tag: str) -> tuple[int, str]:
    return (MORPHEME, english.stem(form) if tag == "SL" else form)


def normalised(text: str) -> str:
    """Return a text in one form: composed, compatible, without case, without what is not Unicode."""
    sound = text[:_MOST_CHARACTERS].encode("utf-8", "ignore").decode("utf-8")
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", sound).casefold()).replace("\x00", " ")


def pieces(plain: str) -> Terms:
    """Return the pieces of a normalised text."""
    found: Terms = []
    for match in _SYLLABLES.finditer(plain):
        found += _pairs("".join(match.group().split()))
    for match in _RUN.finditer(plain):
        kind, text = match.lastgroup, match.group()
        if kind == "bare":
            found += _pairs(text)
        elif kind in ("word", "number") or (kind == "sign" and unicodedata.category(text) == "So"):
            found.append((PIECE, text))
    return found


def stems(plain: str) -> Terms:
    """Return the words of a normalised text without particles and endings."""
    found: Terms = []
    for match in _RUN.finditer(plain):
        kind, text = match.lastgroup, match.group()
        if kind == "hangul":
            found.append((STEM, korean.stem(text)))
        elif kind == "word":
            found.append((STEM, english.stem(text)))
        elif kind == "number":
            found.append((STEM, text))
    return found


@lru_cache(maxsize=_KNOWN_TOKENS)
def hashed(term: tuple[int, str]) -> int:
    """Return the 64 bits that stand for a term: its hash, and its family in the two lowest."""
    family, text = term
    return xxhash.xxh3_64_intdigest(text.encode()) & ~(FAMILIES - 1) | family


def digest(text: str | None, metadata: str | None) -> int:
    """Return what tells whether a record's text or metadata changed."""
    form = xxhash.xxh3_64()
    for part in (text, metadata):
        # A missing text is not an empty one.
        form.update(b"\x00" if part is None else b"\x01" + part.encode("utf-8", "surrogatepass"))
    return form.intdigest()


def _content(plain: str) -> str:
    """Return a question without the English words that only ask; all of it when nothing would be left."""
    kept = _ENGLISH.sub(lambda match: " " if english.is_asking(match.group()) else match.group(), plain)
    return kept if kept.strip(" ?!.,") else plain


def _pairs(text: str) -> Terms:
    if len(text) == 1:
        return [(PIECE, text)]
    return [(PIECE, text[at : at + 2]) for at in range(len(text) - 1)]


def _bags(
    ids: Sequence[str],
    texts: Sequence[str | None],
    metadata: Sequence[str | None],
    counted: Sequence[Counter[int]],
    lengths: np.ndarray,
) -> Bags:
    starts = np.zeros(len(ids) + 1, dtype=np.int64)
    np.cumsum([len(counts) for counts in counted], out=starts[1:])
    size = int(starts[-1])
    tokens = np.fromiter((token for counts in counted for token in counts), dtype=np.uint64, count=size)
    most = (min(n, MOST_HALVES) for counts in counted for n in counts.values())
    digests = [digest(text, data) for text, data in zip(texts, metadata, strict=True)]
    return Bags(
        ids,
        np.array(digests, dtype=np.uint64),
        metadata,
        starts,
        tokens,
        np.fromiter(most, dtype=np.uint8, count=size),
        lengths,
    )


def _kiwi_installed() -> bool:
    from importlib.util import find_spec

    return find_spec("kiwipiepy") is not None


@lru_cache(maxsize=1)
def _kiwi() -> Any:
    """Return Kiwi, loaded once per process: it takes about a second."""
    try:
        from kiwipiepy import Kiwi
    except ModuleNotFoundError:
        raise MissingExtra(
            "morphemes of Korean need the package kiwipiepy, which is not installed",
            next='pip install "wherry[korean]"',
        ) from None
    make: Callable[[], Any] = Kiwi
    return make()
