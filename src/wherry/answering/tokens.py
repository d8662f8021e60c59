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
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import xxhash

from wherry.answering import english, korean
from wherry.errors import MissingExtra, Usage
from wherry.stores.lexical import FAMILIES, FAMILY_BITS, MOST_HALVES, Bags, Query

# Whoever changes what a text turns into raises this.
VERSION = 1
MORPHEME, PIECE, STEM = 0, 1, 2
# So many words at the beginning of a text count one half more.
LEAD_WORDS = 5
_MOST_CHARACTERS = 1 << 20
_KNOWN_WORDS = 1 << 18
_TEXTS_AT_ONCE = 512
_HANGUL, _BARE = "가-힣", "぀-ヿ㐀-鿿豈-﫿"
_RUN = re.compile(
    rf"(?P<hangul>[{_HANGUL}]+)|(?P<bare>[{_BARE}]+)|(?P<number>\d+(?:[.,]\d+)*)"
    rf"|(?P<word>[^\W\d_{_HANGUL}{_BARE}]+)|(?P<sign>[^\w\s])"
)
_ENGLISH = re.compile(r"(?<![^\W_])[a-z]+(?![^\W_])")
# Tags of Kiwi that carry meaning; particles, endings, pronouns and marks are left out.
_MEANING = frozenset({"NNG", "NNP", "NR", "SL", "SN", "SH", "VV", "VA", "XR", "XSN"})


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
        plain = [normalised(text or "") for text in texts]
        leads = [" ".join(text.partition("\n")[0].split()[:LEAD_WORDS]) for text in plain]
        counted: list[Counter[int]] = []
        lengths = np.zeros((len(ids), FAMILIES), dtype=np.int32)
        for row, (tokens, lead) in enumerate(zip(self._tokens(plain), self._tokens(leads), strict=True)):
            lengths[row] = np.bincount(np.array(tokens, dtype=np.uint64) & FAMILY_BITS, minlength=FAMILIES)
            halves = Counter({token: 2 * count for token, count in Counter(tokens).items()})
            # A word cut by the end of the lead makes tokens that the text does not have.
            halves.update({token for token in lead if token in halves})
            counted.append(halves)
        return _bags(ids, texts, metadata, counted, lengths)

    def query(self, question: str) -> Query:
        """Return the tokens of a question; the pieces of words that only ask are left out."""
        plain = _content(normalised(question))
        pieces = {token for token in _plain_tokens(korean.content(plain)) if token & (FAMILIES - 1) == PIECE}
        stems = {token for token in _plain_tokens(plain) if token & (FAMILIES - 1) == STEM}
        tokens = sorted(pieces | stems | set(self._more([plain])[0]))
        weights = [self.weights[token & (FAMILIES - 1)] for token in tokens]
        return Query(np.array(tokens, dtype=np.uint64), np.array(weights, dtype=np.float64))

    def _tokens(self, plain: Sequence[str]) -> Iterator[list[int]]:
        for start in range(0, len(plain), _TEXTS_AT_ONCE):
            part = plain[start : start + _TEXTS_AT_ONCE]
            for text, more in zip(part, self._more(part), strict=True):
                yield _plain_tokens(text) + more

    def _more(self, plain: Sequence[str]) -> list[list[int]]:
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

    def _more(self, plain: Sequence[str]) -> list[list[int]]:
        return [
            [_morpheme(t.form, t.tag) for t in tokens if t.tag.partition("-")[0] in _MEANING and t.form.isalnum()]
            for tokens in self._kiwi.tokenize(list(plain))
        ]


def normalised(text: str) -> str:
    """Return a text in one form: composed, compatible, without case, without what is not Unicode."""
    sound = text[:_MOST_CHARACTERS].encode("utf-8", "ignore").decode("utf-8")
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", sound).casefold()).replace("\x00", " ")


def _plain_tokens(plain: str) -> list[int]:
    """Return the pieces and stems of a normalised text, as often as they occur."""
    found: list[int] = []
    # A chain is what stands between marks: words of syllables with nothing but spaces between them.
    chain, last, end = 0, "", 0
    for match in _RUN.finditer(plain):
        kind, text, start = match.lastgroup, match.group(), match.start()
        if kind != "hangul":
            found += _word(kind or "", text)
            continue
        if chain and not plain[end:start].isspace():
            found += _single(chain, last)
            chain = 0
        if chain:
            found.append(hashed(PIECE, last + text[0]))
        found += _word(kind, text)
        chain, last, end = chain + len(text), text[-1], match.end()
    return [*found, *_single(chain, last)]


def _single(chain: int, last: str) -> tuple[int, ...]:
    """Return the piece of a chain of one syllable, which makes no pair."""
    return (hashed(PIECE, last),) if chain == 1 else ()


@lru_cache(maxsize=_KNOWN_WORDS)
def _word(kind: str, text: str) -> tuple[int, ...]:
    """Return the tokens of one run of a text by itself."""
    pairs = tuple(hashed(PIECE, text[at : at + 2]) for at in range(len(text) - 1))
    match kind:
        case "hangul":
            return (*pairs, hashed(STEM, korean.stem(text)))
        case "bare":
            return pairs or (hashed(PIECE, text),)
        case "word":
            return (hashed(PIECE, text), hashed(STEM, english.stem(text)))
        case "number":
            return (hashed(PIECE, text), hashed(STEM, text))
    # Of the signs, pictures alone say something.
    return (hashed(PIECE, text),) if unicodedata.category(text) == "So" else ()


@lru_cache(maxsize=_KNOWN_WORDS)
def _morpheme(form: str, tag: str) -> int:
    return hashed(MORPHEME, english.stem(form) if tag == "SL" else form)


@lru_cache(maxsize=_KNOWN_WORDS)
def hashed(family: int, text: str) -> int:
    """Return the 64 bits that stand for a token: its hash, and its family in the two lowest."""
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
    # Names of several words would double the time of loading, and are found by their parts anyway.
    return Kiwi(load_typo_dict=False, load_multi_dict=False)
