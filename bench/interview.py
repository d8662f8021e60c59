"""Interview: 1,000 job posts of 5,000 characters come in, are cut, embedded and can be found."""

from __future__ import annotations

import random
from pathlib import Path
from uuid import uuid4

from bench.measure import Bar, timed
from wherry_apps.interview.service import bulk, records
from wherry_apps.interview.service.opened import Interview
from wherry_apps.interview.service.searching import search

POSTS, CHARACTERS, LIMIT_S = 1_000, 5_000, 60.0
_ROUNDS = 3
_WORDS = (
    *("배차", "물류", "정산", "결제", "지표", "알림", "기사", "화주", "거점", "창고", "서버", "캐시", "큐", "장애"),
    *("설계", "운영", "분석", "협업", "Kotlin", "Redis", "Kafka", "SQL", "Python", "경험", "개선", "자동화", "테스트"),
    *(
        "배포",
        "모니터링",
        "데이터",
        "화면",
        "고객",
        "상담",
        "예측",
        "모델",
        "보안",
        "권한",
        "로그",
        "검색",
        "추천",
        "계약",
    ),
)
_HEADS = ("주요 업무", "자격 요건", "우대 사항", "일하는 방식")


def run(folder: Path, rows: int, rounds: int) -> list[Bar]:
    """Take the posts in, `rounds` times but at most three, each time into a schema of its own."""
    posts = [post(number) for number in range(POSTS)]
    seconds = tuple(_taken(posts) for _ in range(min(rounds, _ROUNDS)))
    shown = f"{POSTS:,} posts of {CHARACTERS:,} characters, hash:1024, two at a time, each a transaction"
    return [Bar("I1", "interview: 1,000 posts uploaded and searchable", LIMIT_S, False, seconds, shown, "s")]


def post(number: int) -> str:
    """Return a post of 5,000 characters; another one for each number."""
    chance = random.Random(number)
    parts = [f"{number}번 공고\n\n"]
    size = len(parts[0])
    while size < CHARACTERS:
        head = f"\n\n{chance.choice(_HEADS)}\n" if chance.random() < 0.1 else ""
        sentence = " ".join(chance.choices(_WORDS, k=chance.randint(4, 12))) + " 담당합니다. "
        parts.append(head + sentence)
        size += len(parts[-1])
    return "".join(parts)[:CHARACTERS]


def _taken(posts: list[str]) -> float:
    on = Interview(embedder="hash:1024", chat="offline", schema=f"bench_{uuid4().hex[:8]}")
    try:
        company = records.create(on, None, "companies", {"name": "bench"})["id"]

        def act() -> None:
            given = ((f"공고 {number}", f"{number}.txt", text.encode()) for number, text in enumerate(posts))
            found = bulk.upload_all(on, None, company, given, workers=2)
            if found.exit_code or len(found.uploaded) != len(posts):
                raise RuntimeError("some posts were not embedded")
            hits = search(on, None, posts[-1][:500], 5)
            if hits[0].title != f"공고 {len(posts) - 1}":
                raise RuntimeError("the last post is not found first")

        return timed(act)
    finally:
        on.close()
