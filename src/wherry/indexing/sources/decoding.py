"""From bytes to text: UTF-8 and UTF-16 by their marks, then UTF-8, then CP949 where the result reads as Korean.

Nothing else is guessed: a wrong guess would put nonsense into an index, and nobody would notice.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from functools import lru_cache

from wherry.errors import BadRecord

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    # UTF-32 first: its little-endian mark begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# What CP949 makes of other encodings: rare syllables, Chinese characters, single letters, kana, Cyrillic.
_LETTER = re.compile("[가-힣\u3400-\u9fff\uf900-\ufaff\u3130-\u318f\u3040-\u30ff\u0400-\u04ff]")
# Nearly all of today's Korean is written in 2,350 syllables; Chinese or Japanese read as CP949 is not.
_KOREAN_SHARE = 0.75
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
        zeros = "; it holds zero bytes" if b"\x00" in data else ""
        tried = f"no UTF-8 (from byte {first.start:,} on), no UTF-16 with a byte order mark and no CP949"
        raise BadRecord(
            f"the file is {tried}{zeros}",
            where=where,
            next=_NEXT,
        )
    return _without_nul(text, where)


def _reads_as_korean(text: str) -> bool:
    usual, letters = 0, 0
    for start in range(0, len(text), _SAMPLE):
        part = text[start : start + _SAMPLE]
        usual += len(_usual_syllable().findall(part))
        letters += len(_LETTER.findall(part))
    return usual > 0 and usual / letters >= _KOREAN_SHARE


@lru_cache(maxsize=1)
def _usual_syllable() -> re.Pattern[str]:
    codes = bytes(byte for row in range(0xB0, 0xC9) for cell in range(0xA1, 0xFF) for byte in (row, cell))
    return re.compile(f"[{codes.decode('euc-kr')}]")


def _without_nul(text: str, where: str) -> str:
    if "\x00" in text:
        raise BadRecord(
            "the file holds zero bytes: it is no text, or UTF-16 without its byte order mark", where=where, next=_NEXT
        )
    return text
