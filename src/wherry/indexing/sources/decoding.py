"""From bytes to text: UTF-8 and UTF-16 by their marks, then UTF-8, then CP949 where the result reads as Korean.

Nothing else is guessed: a wrong guess would put nonsense into an index, and nobody would notice.
"""

from __future__ import annotations

import codecs
import re
import unicodedata

from wherry.errors import BadRecord

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    # UTF-32 first: its little-endian mark begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SYLLABLE = re.compile("[가-힣]")
# What CP949 makes of other encodings: Chinese characters, single letters of the alphabet, kana, Cyrillic.
_STRANGE = re.compile("[\u3400-\u9fff\uf900-\ufaff\u3130-\u318f\u3040-\u30ff\u0400-\u04ff]")
# Korean of today has few Chinese characters in it; Chinese or Japanese read as CP949 has many.
_KOREAN_SHARE = 0.8
_SAMPLE = 1 << 16
_NEXT = "convert the file (iconv -f FROM -t UTF-8 FILE > NEW), then run the same command again"


def decode(data: bytes, where: str) -> str:
    """Return the text of a file, lines ended by \\n and in NFC.

    where: the file, for the message. Raises BadRecord for what is no text in a known encoding.
    """
    return tidy(_decoded(data, where))


def tidy(text: str) -> str:
    """Return a text with lines ended by \\n and in NFC; the same object where it is so already."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def _decoded(data: bytes, where: str) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _strict(data[len(mark) :], encoding, where)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return _korean(data, where, error)
    return _without_nul(text, where)


def _strict(data: bytes, encoding: str, where: str) -> str:
    try:
        return _without_nul(data.decode(encoding), where)
    except UnicodeDecodeError as error:
        raise BadRecord(
            f"the file says it is {encoding.upper()}, but is not from byte {error.start:,} on", where=where, next=_NEXT
        ) from None


def _korean(data: bytes, where: str, first: UnicodeDecodeError) -> str:
    try:
        text = data.decode("cp949")
    except UnicodeDecodeError:
        text = ""
    if not _reads_as_korean(text):
        raise BadRecord(
            f"the file is no UTF-8 (from byte {first.start:,} on), no UTF-16 with a byte order mark and no CP949",
            where=where,
            next=_NEXT,
        )
    return _without_nul(text, where)


def _reads_as_korean(text: str) -> bool:
    syllables = strange = 0
    for start in range(0, len(text), _SAMPLE):
        part = text[start : start + _SAMPLE]
        syllables += len(_SYLLABLE.findall(part))
        strange += len(_STRANGE.findall(part))
    return syllables > 0 and syllables / (syllables + strange) >= _KOREAN_SHARE


def _without_nul(text: str, where: str) -> str:
    if "\x00" in text:
        raise BadRecord(
            "the file holds zero bytes: it is no text, or UTF-16 without its byte order mark", where=where, next=_NEXT
        )
    return text
