"""Moves and foods that plans without a model are made of, with what speaks against each."""

from __future__ import annotations

from dataclasses import dataclass

UPPER, LOWER, CORE, WHOLE = "상체", "하체", "코어", "전신"
WEIGHTS, CARDIO, OWN, STRETCH = "웨이트", "유산소", "맨몸", "스트레칭"
HARD = "고강도"
PROTEIN, CARB, GREEN, FAT = "단백질", "탄수화물", "채소", "지방"


@dataclass(frozen=True)
class Move:
    """An exercise. target: the muscles. strains: parts of the body it loads, `고강도` among them."""

    name: str
    category: str
    target: str
    strains: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Food:
    """A food. role: what it mainly brings. holds: what somebody may not eat. cuisine: where it is at home."""

    name: str
    role: str
    holds: frozenset[str] = frozenset()
    cuisine: str = "한식"


# Name, kind, muscles, what it strains.
_MOVES = """
스쿼트 | 웨이트 | 하체 | 무릎 허리
런지 | 웨이트 | 하체 | 무릎 발목
데드리프트 | 웨이트 | 하체 | 허리 고강도
레그 프레스 | 웨이트 | 하체 | 무릎
레그 컬 | 웨이트 | 하체 |
카프 레이즈 | 맨몸 | 하체 | 발목
글루트 브리지 | 맨몸 | 하체 |
클램셸 | 맨몸 | 하체 |
벤치 프레스 | 웨이트 | 상체 | 어깨 손목
덤벨 로우 | 웨이트 | 상체 | 허리
랫 풀다운 | 웨이트 | 상체 | 어깨
숄더 프레스 | 웨이트 | 상체 | 어깨 목
암 컬 | 웨이트 | 상체 | 팔꿈치 손목
시티드 로우 | 웨이트 | 상체 |
푸시업 | 맨몸 | 상체 | 손목 어깨
밴드 풀 어파트 | 맨몸 | 상체 |
벽 밀기 | 맨몸 | 상체 |
플랭크 | 맨몸 | 코어 | 어깨 손목 허리
데드 버그 | 맨몸 | 코어 |
버드 독 | 맨몸 | 코어 | 손목 무릎
사이드 플랭크 | 맨몸 | 코어 | 어깨
빠르게 걷기 | 유산소 | 전신 |
실내 자전거 | 유산소 | 전신 |
수영 | 유산소 | 전신 | 어깨
달리기 | 유산소 | 전신 | 무릎 발목 고강도
버피 | 맨몸 | 전신 | 무릎 손목 허리 고강도
줄넘기 | 유산소 | 전신 | 무릎 발목 고강도
고양이-소 스트레칭 | 스트레칭 | 코어 |
가슴 스트레칭 | 스트레칭 | 상체 |
햄스트링 스트레칭 | 스트레칭 | 하체 |
"""
# Name, what it mainly brings, what is in it, where it is at home.
_FOODS = """
닭가슴살 | 단백질 | 육류 닭고기 | 한식
두부 | 단백질 | 콩 | 한식
달걀 | 단백질 | 달걀 | 한식
연어 | 단백질 | 생선 해산물 | 양식
고등어구이 | 단백질 | 생선 해산물 | 한식
소고기 우둔살 | 단백질 | 육류 소고기 | 한식
돼지 안심 | 단백질 | 육류 돼지고기 | 한식
그릭 요거트 | 단백질 | 유제품 | 양식
검은콩 | 단백질 | 콩 | 한식
렌틸콩 | 단백질 | 콩 | 양식
병아리콩 | 단백질 | 콩 | 양식
새우 | 단백질 | 갑각류 해산물 | 한식
현미밥 | 탄수화물 |  | 한식
잡곡밥 | 탄수화물 |  | 한식
고구마 | 탄수화물 |  | 한식
감자 | 탄수화물 |  | 한식
오트밀 | 탄수화물 | 글루텐 | 양식
통밀빵 | 탄수화물 | 글루텐 밀 | 양식
메밀국수 | 탄수화물 | 메밀 글루텐 | 일식
퀴노아 | 탄수화물 |  | 양식
단호박 | 탄수화물 |  | 한식
시금치나물 | 채소 |  | 한식
브로콜리 | 채소 |  | 양식
토마토 | 채소 |  | 양식
오이 | 채소 |  | 한식
양배추 | 채소 |  | 한식
파프리카 | 채소 |  | 양식
배추김치 | 채소 | 해산물 갑각류 | 한식
버섯볶음 | 채소 |  | 한식
아몬드 | 지방 | 견과류 | 양식
호두 | 지방 | 견과류 | 한식
올리브유 | 지방 |  | 양식
들기름 | 지방 |  | 한식
아보카도 | 지방 |  | 양식
치즈 | 지방 | 유제품 | 양식
"""


def _rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]


MOVES = tuple(Move(name, kind, target, frozenset(strains.split())) for name, kind, target, strains in _rows(_MOVES))
FOODS = tuple(Food(name, role, frozenset(holds.split()), cuisine) for name, role, holds, cuisine in _rows(_FOODS))
PARTS = frozenset().union(*(move.strains for move in MOVES)) - {HARD}
_ANIMAL = frozenset({"육류", "닭고기", "소고기", "돼지고기", "생선", "해산물", "갑각류"})
# A word in a restriction -> what must not be in a food.
RESTRICTIONS: dict[str, frozenset[str]] = {
    "비건": _ANIMAL | {"달걀", "유제품"},
    "채식": _ANIMAL,
    "유제품": frozenset({"유제품"}),
    "유당": frozenset({"유제품"}),
    "우유": frozenset({"유제품"}),
    "글루텐": frozenset({"글루텐", "밀"}),
    "밀가루": frozenset({"밀", "글루텐"}),
    "견과": frozenset({"견과류"}),
    "땅콩": frozenset({"견과류"}),
    "갑각류": frozenset({"갑각류"}),
    "새우": frozenset({"갑각류"}),
    "해산물": frozenset({"해산물", "생선", "갑각류"}),
    "생선": frozenset({"생선"}),
    "달걀": frozenset({"달걀"}),
    "계란": frozenset({"달걀"}),
    "콩": frozenset({"콩"}),
    "대두": frozenset({"콩"}),
    "돼지": frozenset({"돼지고기"}),
    "할랄": frozenset({"돼지고기"}),
    "소고기": frozenset({"소고기"}),
    "닭": frozenset({"닭고기"}),
    "육류": frozenset({"육류"}),
    "메밀": frozenset({"메밀"}),
}
# Conditions under which nothing of high intensity is planned.
GENTLE = ("고혈압", "심장", "협심증", "부정맥", "임신", "뇌졸중", "디스크", "골다공증")
