"""What a model wrote, made safe to show, and held to the passages of this very request.

A citation is a number in square brackets. One that names no passage of the request is taken out and noted. What a
reader's program could act upon is defused: links, images, markup, invisible and control characters. The same rules
hold piece by piece while an answer arrives: nothing is let go before it is whole.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_WORDS = r"(?:자료|출처|문서|근거|passages?|sources?|docs?)?"
_NUMBERS = r"\^?\d{1,4}(?:\s{0,2}[,;~–-]\s{0,2}\d{1,4}){0,40}"
_CITED = re.compile(
    rf"(?P<space>[ \t]{{0,4}})[\[【]\s{{0,2}}{_WORDS}\s{{0,2}}(?P<numbers>{_NUMBERS})"
    r"(?:†[^\]】\n]{0,80})?\s{0,2}[\]】]",
    re.I,
)
_PART = re.compile(r"(\d+)(?:\s*[~–-]\s*(\d+))?")
# What may still become a citation when more arrives.
_BRACKET = re.compile(r"[\[【][^\]】\n]{0,200}(?:[\]】]|\Z)")
_LINK = re.compile(
    r"(?:[a-z][a-z0-9+.-]{1,30}://|\bwww\.|(?<!\w)//(?=[\w.-]+\.\w)|\b(?:javascript|vbscript|data|mailto|file|blob):(?=\S))"
    r"[^\s<>\"'`\[\](){}|\\가-힣]*",
    re.I,
)
_DEFUSED = (
    (_LINK, "(link removed)"),
    (re.compile(r"<(?=[A-Za-z/!?])"), "‹"),
    (re.compile(r"!+\["), "["),
    (re.compile(r"\]\("), "] ("),
    (re.compile(r"\]:"), "] :"),
)
_CHAT_TOKENS = re.compile(
    r"<\||\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>|<(?:bos|eos|unk|pad)>|</?think>", re.I
)
# Before these, and at the end, nothing has to stand where a citation was; elsewhere a space keeps words apart.
_STOPS = ("", *" \t\n.,!?…;:)")
_JOINER = "\u200d"
# No number above this is a citation: [120-139] is a range of values.
_MOST = 99
LONGEST_ANSWER = 32_000


@dataclass(frozen=True)
class Citation:
    """A passage an answer rests on. number: as in the text, [1]. quote: word for word from the record `id`.

    similarity: of the record and the question, None where no vectors were compared. support: the share of the words
    of what was said that the passage holds, from 0 to 1; 1 for a quotation.
    """

    number: int
    id: str
    quote: str
    metadata: dict[str, Any]
    similarity: float | None
    support: float

    def to_dict(self) -> dict[str, Any]:
        """Return the citation as a JSON object."""
        return dict(self.__dict__)


class Checked:
    """Takes an answer piece by piece and gives back what may be shown; joined, that is the answer."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self.cited: list[int] = []
        self.invalid: list[str] = []
        self.defused = 0
        self.length = 0
        self._known = frozenset(numbers)
        self._held = ""

    @property
    def full(self) -> bool:
        """Whether the answer is as long as any may be."""
        return self.length >= LONGEST_ANSWER

    def feed(self, piece: str) -> str:
        """Take a piece; return what is whole by now, perhaps nothing."""
        self._held += piece
        end = _whole(self._held)
        ready, self._held = self._held[:end], self._held[end:]
        return self._shown(ready)

    def end(self) -> str:
        """Return what was held back; nothing more comes."""
        ready, self._held = self._held, ""
        return self._shown(ready)

    def _shown(self, text: str) -> str:
        # Last, because what stands around a citation that is taken out could come together as a link.
        plain, count = defused(_CITED.sub(self._checked, visible(text)))
        self.defused += count
        shown = plain[: max(0, LONGEST_ANSWER - self.length)]
        self.length += len(shown)
        return shown

    def _checked(self, found: re.Match[str]) -> str:
        numbers = [(int(a), int(b or a)) for a, b in _PART.findall(found["numbers"])]
        if any(first != last and max(first, last) > _MOST for first, last in numbers):
            return f"{found['space']}({found['numbers']})"
        named = [n for first, last in numbers for n in range(first, min(last, first + _MOST) + 1)]
        self.invalid += [str(n) for n in named if n not in self._known]
        valid = [n for n in dict.fromkeys(named) if n in self._known]
        self.cited += [n for n in valid if n not in self.cited]
        if valid:
            return found["space"] + "".join(f"[{n}]" for n in valid)
        return "" if found.string[found.end() : found.end() + 1] in _STOPS else " "


def defused(text: str) -> tuple[str, int]:
    """Return a text without links, images and markup a program could act upon, and how many there were.

    Each rule looks at what stands together without white space, so it holds for the words of a text one by one.
    """
    count = 0
    for pattern, instead in _DEFUSED:
        text, times = pattern.subn(instead, text)
        count += times
    return text, count


def visible(text: str) -> str:
    """Return a text without control characters, invisible ones and lone surrogates; line breaks and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(letter for letter in text if letter in "\n\t" or _is_visible(letter))


def inert(text: str) -> str:
    """Return a text in which no chat template finds a sign of its own, for a prompt."""
    return _CHAT_TOKENS.sub(lambda match: " ".join(match.group()), visible(text))


def uncited(text: str) -> str:
    """Return a text without citations: in another request their numbers mean something else."""
    return _CITED.sub("", text)


def _is_visible(letter: str) -> bool:
    return letter == _JOINER or unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Co", "Cn")


def _whole(text: str) -> int:
    """Return how much of a text no further piece can change: up to the last white space outside a bracket."""
    brackets = [match.span() for match in _BRACKET.finditer(text)]
    for at in range(len(text) - 1, -1, -1):
        while brackets and brackets[-1][0] > at:
            brackets.pop()
        within = bool(brackets) and brackets[-1][0] <= at < brackets[-1][1]
        if text[at].isspace() and not within:
            # The space in front of a citation goes with it.
            return len(text[: at + 1].rstrip(" \t"))
    return 0
