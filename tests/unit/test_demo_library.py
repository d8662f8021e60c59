"""The demo's knowledge base is complete, careful, and can be searched offline."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from wherry.demo import library
from wherry.models.hashing import HashEmbedder
from wherry.record import to_records, vectors_of

GUIDES = library.documents()
SECTIONS = [(guide, section) for guide in GUIDES for section in guide.sections]

_NAMES = """
타이레놀 아세트아미노펜 이부프로펜 나프록센 덱시부프로펜 아스피린 클로피도그렐 와파린 아픽사반
리바록사반 메트포르민 글리메피리드 다파글리플로진 엠파글리플로진 시타글립틴 세마글루타이드 위고비
오젬픽 삭센다 스타틴 리피토 에제티미브 페노피브레이트 암로디핀 로사르탄 텔미사르탄 발사르탄
비소프롤롤 푸로세미드 오메프라졸 에스오메프라졸 라니티딘 레보티록신 씬지로이드 메티마졸
알로푸리놀 페북소스타트 콜히친 프로포폴 미다졸람 졸피뎀 바레니클린 챔픽스 부프로피온
피나스테리드 두타스테리드 탐스로신 알렌드로네이트 프레드니솔론 덱사메타손 아목시실린
클래리트로마이신 테노포비르 엔테카비르 우루사 게보린 판콜 비아그라
"""
DRUGS = _NAMES.split()


# Which guide a person asking this should find. Written before the embedder, which was then chosen with them.
QUESTIONS = {
    "혈당이 108 나왔는데 당뇨인가요?": "g003",
    "혈압 135에 88이면 고혈압인가요?": "g001",
    "집에서 혈압은 언제 재는 게 좋아요?": "g002",
    "당화혈색소 6.1은 무슨 뜻인가요?": "g004",
    "술 마시면 중성지방이 왜 올라가요?": "g009",
    "감마지티피 수치가 높으면 술 때문인가요?": "g011",
    "B형간염 항체가 없다는데 예방접종 맞아야 하나요?": "g013",
    "소변에 거품이 많은데 단백뇨인가요?": "g015",
    "철분은 어떤 음식에 많이 들어 있나요?": "g017",
    "허리둘레는 어디를 재야 하나요?": "g021",
    "골다공증 T점수 -2.7이면 어떤가요?": "g022",
    "장상피화생이라는데 암으로 변하나요?": "g026",
    "분변잠혈 양성이면 대장암인가요?": "g027",
    "대장내시경 전에 김치 먹어도 되나요?": "g028",
    "치밀유방이면 초음파도 받아야 하나요?": "g030",
    "폐결절이 발견됐는데 무엇을 해야 하나요?": "g032",
    "담낭에 용종이 있으면 수술해야 하나요?": "g034",
    "검진 전날 몇 시부터 굶어야 하나요?": "g042",
    "수면내시경 하고 나서 운전해도 되나요?": "g045",
    "코를 심하게 골고 낮에 졸려요": "g051",
    "혈압약 먹는 중인데 검진날 아침에 먹어도 되나요": "g044",
    "LDL 콜레스테롤 165면 높은 건가요": "g007",
    "HDL 수치를 올리려면 어떻게 해야 해요": "g008",
    "지방간이 있다는데 살을 얼마나 빼야 할까요": "g012",
    "AST ALT 수치가 높게 나왔어요": "g010",
    "사구체여과율이 55로 나왔는데 괜찮나요": "g014",
    "소변에서 피가 나왔다고 합니다": "g016",
    "헤모글로빈이 11이면 빈혈인가요 여자입니다": "g017",
    "혈소판이 낮다는데 왜 그런가요": "g018",
    "통풍에 맥주가 나쁜가요": "g019",
    "BMI 27이면 비만인가요": "g020",
    "갑상선에 혹이 있대요 암일까요": "g024",
    "TSH 수치가 높으면 어떤 증상이 있나요": "g023",
    "위내시경 전에 물 마셔도 되나요": "g025",
    "헬리코박터 제균 치료를 받아야 하나요": "g026",
    "용종을 뗀 다음 술은 언제부터 마실 수 있나요": "g029",
    "자궁경부암 검사는 몇 살부터 받나요": "g031",
    "간암 검진은 6개월마다 받아야 하나요": "g033",
    "심방세동이 뭔가요": "g036",
    "안압이 정상이어도 녹내장일 수 있나요": "g037",
    "갑자기 한쪽 귀가 안 들려요": "g038",
    "스케일링은 왜 받나요 잇몸에서 피가 나요": "g039",
    "요즘 우울하고 아무것도 하기 싫어요": "g040",
    "어머니가 자꾸 깜박하시는데 치매일까요": "g041",
    "결과표에 빈칸이 있는데 왜 그런가요": "g043",
    "소주 한 병에 알코올이 얼마나 들어 있나요": "g046",
    "담배 끊으면 몸이 어떻게 좋아지나요": "g047",
    "운동은 일주일에 몇 분 해야 하나요": "g048",
    "나트륨을 줄이려면 국물을 남겨야 하나요": "g049",
    "식이섬유는 하루에 얼마나 먹어야 하나요": "g050",
    "노인 독감 백신 폐렴구균 접종": "g052",
    "임신 중에 흉부 엑스선 찍어도 되나요": "g053",
    "아버지가 대장암이셨는데 내시경은 언제부터 받나요": "g056",
    "질환 의심이 나왔는데 2차 검진은 어디서 받나요": "g055",
    "뇌 MRI를 꼭 찍어야 하나요": "g057",
    "PSA 수치가 5면 전립선암인가요": "g058",
    "CEA 종양표지자가 조금 높아요": "g059",
    "야간 근무하는데 특수건강진단 대상인가요": "g061",
    "공황발작이 온 것 같아요": "g062",
    "아기 성장곡선에서 키가 작대요": "g060",
}

# (guide, words its text must hold): the bands of the national general checkup.
BANDS = [
    (
        "g001",
        ["120 미만이면서 이완기 80", "120~139이거나 이완기 80~89", "140 이상이거나 이완기 90"],
    ),
    ("g003", ["100 미만이면 정상", "100~125", "126 이상"]),
    ("g006", ["200mg/dL 미만", "200~239", "240 이상"]),
    ("g007", ["130mg/dL 미만", "130~159", "160 이상"]),
    ("g008", ["60mg/dL 이상", "40~59", "40 미만"]),
    ("g009", ["150mg/dL 미만", "150~199", "200 이상"]),
    ("g010", ["40U/L 이하", "35U/L 이하", "41~50", "36~45", "51 이상", "46 이상"]),
    ("g011", ["11~63", "64~77", "78 이상", "8~35", "36~45", "46 이상"]),
    ("g014", ["1.5mg/dL 이하", "60mL/min/1.73㎡ 이상"]),
    ("g017", ["13.0~16.5", "12.0~12.9", "12.0 미만", "12.0~15.5", "10.0~11.9", "10.0 미만"]),
    ("g020", ["18.5~24.9", "18.5 미만", "25~29.9", "30 이상"]),
]


def body(guide_id: str) -> str:
    """Return everything one guide says."""
    return "\n".join(f"{s.heading}\n{s.text}" for g, s in SECTIONS if g.id == guide_id)


def test_there_are_enough_guides_and_records() -> None:
    assert len(GUIDES) >= 48
    assert len(SECTIONS) >= 220
    assert all(4 <= len(guide.sections) <= 8 for guide in GUIDES)


def test_names_are_given_once() -> None:
    for names in ([g.id for g in GUIDES], [g.title for g in GUIDES], [g.source for g in GUIDES]):
        assert len(set(names)) == len(GUIDES)


@pytest.mark.parametrize("guide", GUIDES, ids=[g.id for g in GUIDES])
def test_a_guide_is_complete(guide: library.Guide) -> None:
    assert re.fullmatch(r"g\d{3}", guide.id)
    assert re.fullmatch(r"[^/\\\s]+\.pdf", guide.source)
    assert re.fullmatch(r"[^/]+/[^/]+", guide.category)
    assert len(set(guide.tags)) == len(guide.tags) >= 3
    assert all(guide.tags)
    for section in guide.sections:
        assert 2 <= len(re.findall(r"[.!?](?=\s|$)", section.text)) <= 5, section.heading
        assert re.search("[가-힣]", section.heading)


def test_every_section_says_something_of_its_own() -> None:
    assert len({section.text for _, section in SECTIONS}) == len(SECTIONS)
    assert len({section.heading for _, section in SECTIONS}) == len(SECTIONS)
    sentences = [s for _, section in SECTIONS for s in re.split(r"(?<=다\.|오\.)\s", section.text)]
    assert len(set(sentences)) == len(sentences)


def test_no_drug_is_named_and_nobody_is_diagnosed() -> None:
    for guide, section in SECTIONS:
        text = f"{section.heading} {section.text} {' '.join(guide.tags)}"
        assert not [drug for drug in DRUGS if drug in text], guide.id
        assert not re.search("당신은 .*입니다|처방합니다|복용하십시오", text), guide.id


@pytest.mark.parametrize("guide", GUIDES, ids=[g.id for g in GUIDES])
def test_a_guide_sends_the_hard_cases_to_a_person(guide: library.Guide) -> None:
    assert re.search("진료|의사|상의|상담|응급실|전문의|병원|안과|치과|비뇨의학과|검진기관|정밀검사", body(guide.id))


@pytest.mark.parametrize(("guide_id", "words"), BANDS, ids=[b[0] for b in BANDS])
def test_reference_bands_are_those_of_the_checkup(guide_id: str, words: list[str]) -> None:
    assert [w for w in words if w not in body(guide_id)] == []


def test_records_carry_text_and_metadata() -> None:
    batch = library.records(64)
    rows = to_records(batch)
    assert len({row.id for row in rows}) == len(rows) == len(SECTIONS)
    for row, (guide, section) in zip(rows, SECTIONS, strict=True):
        assert row.id == f"{guide.id}-p{section.page:02}"
        assert row.text == f"{section.heading}\n{section.text}"
        assert list(row.metadata) == ["source", "page", "category", "title", "tags"]
        assert all(row.metadata.values())
    assert rows[1].metadata["page"] == 2
    assert vectors_of(batch).shape == (len(rows), 64)


def test_export_holds_every_record_to_the_last_bit(tmp_path: Path) -> None:
    path = tmp_path / "llamacloud_export.json"
    count = library.export(path, 96)
    read = json.loads(path.read_text(encoding="utf-8"))
    assert read["index_name"] == "Dr.Welno"
    assert read["total_documents"] == len(read["documents"]) == count == len(SECTIONS)
    assert read["embedding_dimension"] == 96
    batch = library.records(96)
    vectors = np.array([d["embedding"] for d in read["documents"]], dtype=np.float32)
    assert vectors.tobytes() == vectors_of(batch).tobytes()
    assert [(d["id"], d["text"], d["metadata"]) for d in read["documents"]] == [
        (row.id, row.text, row.metadata) for row in to_records(batch)
    ]


def test_an_empty_export_is_still_an_export(tmp_path: Path) -> None:
    library.write_export(tmp_path / "none.json", library.records(4).slice(0, 0))
    read = json.loads((tmp_path / "none.json").read_text(encoding="utf-8"))
    assert (read["total_documents"], read["documents"]) == (0, [])


def test_a_sample_is_spread_over_the_library() -> None:
    ids = [record.id for record in library.sample(5)]
    assert len(set(ids)) == 5
    assert len({record_id[:4] for record_id in ids}) == 5
    assert {record.id: record.text for record in library.sample(400)} == {
        record.id: record.text for record in to_records(library.records(2))
    }


@pytest.mark.parametrize(("dimension", "least"), [(1024, 0.9), (384, 0.75)])
def test_a_question_finds_its_guide_among_five(dimension: int, least: float) -> None:
    embedder = HashEmbedder(dimension)
    scores = embedder.embed(list(QUESTIONS)) @ vectors_of(library.records(dimension)).T
    best = np.argsort(-scores, axis=1)[:, :5]
    found = [
        guide_id in {SECTIONS[position][0].id for position in row}
        for row, guide_id in zip(best, QUESTIONS.values(), strict=True)
    ]
    assert np.mean(found[:20]) >= 0.8
    assert np.mean(found) >= least
