"""Texts to cut: Korean and other scripts, Markdown of every kind, and what should never happen but does."""

from __future__ import annotations

import unicodedata

from hypothesis import strategies as st

from wherry.indexing.base import Document, Part

KOREAN = (
    "공복 혈당이 100 미만이면 정상으로 봅니다. 수축기 혈압은 어떤가요? 3.5배 높으면 위험하다! "
    '의사는 "다시 검사합시다."라고 말했다. 결과는 2026. 3. 5. 에 나옵니다. Dr. Kim은 e.g. 운동을 권한다.'
)
WORDS = (
    "혈압", "검진 결과입니다.", "괜찮을까요?", "3.5", "v1.2.3", "Dr. Kim", "“인용했다. 또 했다.”라고", "(괄호. 안)",
    "…", "?!", "했다.그리고", "*굵게*", "\\", "&amp;", "|", "`", "a" * 70, "가" * 90, "." * 40,
    unicodedata.normalize("NFD", "한글과 각설탕"), "e\u0301\u0302", "ᄒᆞᆫ글", "中文。没有空格！", "العربية",
    "👨\u200d👩\u200d👧", "🇰🇷🇺🇸🇯🇵", "👍🏽", "\u200b", "\ufeff", "\u2028", "\x0b", "\x85",
    "\r\n", "\r", "\t", " ", "  ", "\n", "\n\n", "\n \n",
    "\n# 제목\n", "\n## 둘째 `코드` [링크](x)\n", "\n###### 깊은 제목\n", "\n제목\n===\n", "\n---\n",
    "\n```py\nx = 1\n\ny = '다.'\n```\n", "\n~~~\n", "\n```", "\n    들여쓴 코드\n",
    "\n- 하나\n- 둘\n  - 셋\n", "\n1. 첫째\n2. 둘째\n", "\n> 인용문\n> 이어짐\n", "\n[ref]: http://x\n",
    "\n| 항목 | 값 |\n| --- | --- |\n| 혈압 | 120 |\n| 혈당 | 98 |\n", "<div>\n<p>html</p>\n</div>\n",
)  # fmt: skip

texts = st.lists(st.sampled_from(WORDS) | st.text(max_size=12), max_size=60).map("".join)
# Lone surrogates too: what reads files never makes them, an app's own source may.
wild = st.text(st.characters(codec=None), max_size=400)


def document(*texts: str, title: str | None = None, **metadata: object) -> Document:
    """Return a document with one part per text."""
    return Document("글.md", tuple(Part(text) for text in texts), title, metadata)
