"""The whole story on a small library that comes along: no key, no network, everything real.

A service leaves its cloud index: exported, checked, loaded, compared, switched, watched; then it answers, lays
evidence under results, takes up a hospital's document and an edited guide; at the end it goes back.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import wherry
from wherry_apps.checkup import backups, phases
from wherry_apps.checkup.places import Places, places
from wherry_apps.checkup.runs import Runs
from wherry_apps.checkup.service import Checkup
from wherry_apps.checkup.tables import database

MODEL = "hash:256"
QUESTIONS = ("혈당 108이면?", "혈압은 어떻게 재나요?", "LDL 기준은?", "금식은 언제부터?", "감마지티피는 왜 오르나요?")
RESULTS = [{"fasting_glucose": 108, "ldl_cholesterol": 165, "hdl_cholesterol": 0, "exam_date": "2026-01-12"}]
STANDARD = "본원 기준: 공복혈당이 105를 넘으면 검진 당일에 영양 상담을 권합니다."
HOSPITAL, OWNER = "demo-hospital", "demo-partner"
Say = Callable[[str], None]


@dataclass
class _Stage:
    """Where the story plays. measured: what was seen on the way."""

    folder: Path
    say: Say
    runs: Runs
    measured: dict[str, Any] = field(default_factory=dict)

    @property
    def where(self) -> Places:
        """The places as the last phase left them."""
        return self.runs.places

    def title(self, text: str) -> None:
        """Say what comes next."""
        self.say(f"\n{text}")

    def line(self, text: str) -> None:
        """Say one thing that was done."""
        self.say(f"   {text}")


def play(folder: Path, say: Say = print) -> dict[str, Any]:
    """Play the story in `folder`, which is made anew, and return what was measured.

    Raises Integrity when a step does not end as the story promises.
    """
    started = time.perf_counter()
    _clear(folder)
    opened = database()
    try:
        stage = _Stage(folder, say, Runs(opened, places(folder / "welno")))
        for act in (_export, _load, _lead, _answer, _evidence, _hospital, _update, _archive, _back):
            act(stage)
    finally:
        opened.close()
    seconds = round(time.perf_counter() - started, 1)
    say(f"\nDone in {seconds} s. Everything is still there to look at: wherry checkup status --root {folder / 'welno'}")
    return {"seconds": seconds, "folder": str(folder), **stage.measured}


def _clear(folder: Path) -> None:
    """Remove what an earlier demo left, and nothing that is not a demo's."""
    mark = folder / ".checkup-demo"
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        raise wherry.Refused("the folder holds other things", where=str(folder), next="name another --folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mark.touch()


def _export(stage: _Stage) -> None:
    stage.title("1  The export of the cloud index, and what is checked before anything rests on it")
    items = json.loads(Path(__file__).with_name("demo_guides.json").read_text(encoding="utf-8"))
    vectors = wherry.open_embedder(MODEL).embed([item["text"] for item in items])
    documents = [{**item, "embedding": vector.tolist()} for item, vector in zip(items, vectors, strict=True)]
    whole = {"index_name": "Dr.Welno", "index_id": "demo", "total_documents": len(items), "embedding_dimension": 256,
             "documents": documents}  # fmt: skip
    source = stage.folder / "llamacloud.json"
    spoilt = {**whole, "documents": [{**documents[0], "embedding": [0.0] * 256}, *documents[1:]]}
    source.write_text(json.dumps(spoilt, ensure_ascii=False), encoding="utf-8")
    phases.extract(stage.runs, source, None, MODEL)
    try:
        phases.verify(stage.runs)
    except wherry.Integrity as error:
        stage.line(f"verify  a damaged export is refused: {error.what}")
    else:
        raise _broken("a damaged export was let through")
    source.write_text(json.dumps(whole, ensure_ascii=False), encoding="utf-8")
    report = phases.extract(stage.runs, source, None, MODEL)
    stage.line(f"extract {report['documents']} documents, sha256 {report['sha256'][:12]}…")
    checked = phases.verify(stage.runs)
    stage.line(f"verify  {checked['distinct']} ids of {checked['dimension']} dimensions, nothing wrong")


def _load(stage: _Stage) -> None:
    stage.title("2  Onto local disk")
    report = phases.init(stage.runs, "chroma", MODEL, None, None)
    stage.line(f"init    {report['local']}, disk {report['disk_share']:.0%} full")
    done = phases.migrate(stage.runs)
    stage.line(
        f"migrate {done['read']} items {done['vectors']}, {done['verified']} value by value, {done['seconds']} s"
    )
    stage.measured["migrate"] = done


def _lead(stage: _Stage) -> None:
    stage.title("3  The same questions to both sides; then readers are led over")
    queries = stage.folder / "q.txt"
    queries.write_text("\n".join(QUESTIONS), encoding="utf-8")
    found = phases.compare(stage.runs, str(queries))
    for side in ("left", "right"):
        ms = found[side]["times"]["search_ms"]
        stage.line(f"compare {found[side]['side']:<6} p50 {ms['p50']['mean']:.1f} ms, p95 {ms['p95']['mean']:.1f} ms")
    stage.line(f"compare overlap@10 {found['overlap@10']:.3f} over {found['questions']} questions")
    _require(found["ok"], "both sides answer alike")
    done = phases.switch(stage.runs, "local")
    stage.line(f"switch  {stage.where.route} leads to the local side")
    with Checkup(stage.where) as service:
        for _ in range(10):
            # What readers saw is written behind them; on a busy machine that takes a moment.
            seen = phases.watch(stage.runs, 1.0, 0.3, "", lambda look: service.search(QUESTIONS[0]))
            if seen["verdict"] != "unseen":
                break
    stage.line(f"watch   {seen['verdict']}: {seen['last']['reads']} questions, errors {seen['last']['error_rate']:.0%}")
    _require(seen["verdict"] == "good", "readers see no errors")
    stage.measured |= {"compare": found, "switch": done}


def _answer(stage: _Stage) -> None:
    stage.title("4  A question with results, answered without a model")
    with Checkup(stage.where, chat="offline") as service:
        *pieces, last = service.message(
            {"uuid": "demo", "message": "혈당이 높은가요?", "checkup_results": RESULTS}
        )  # fmt: skip
    text = "".join(piece["answer"] for piece in pieces)
    for line in text.splitlines():
        stage.line(line)
    stage.line(f"backend {last['backend']}, offline {last['offline']}, suggestions {last['suggestions']}")
    _require("108" in text and "측정되지 않은 항목: HDL" in text, "the answer tells what was measured and what was not")
    _require(last["backend"] == "local" and last["offline"], "nothing left the machine")
    stage.measured["answer"] = text


def _evidence(stage: _Stage) -> None:
    stage.title("5  Evidence under abnormal results")
    with Checkup(stage.where) as service:
        found = service.evidence(
            {"checkup_results": RESULTS, "family_history": ["어머니 당뇨병"], "concerns": ["체중"]}
        )
    for one in found["structured_evidences"][:4]:
        stage.line(f"{one['similarity']:.3f}  {one['source_document']} {one['page']}쪽  {one['citation'][:40]}")
    _require(all(e["organization"] is None for e in found["structured_evidences"]), "no publisher is invented")
    stage.measured["evidence"] = len(found["structured_evidences"])


def _hospital(stage: _Stage) -> None:
    stage.title("6  A partner hospital adds its own standard")
    with Checkup(stage.where) as service:
        service.documents.add(HOSPITAL, OWNER, "기준.md", STANDARD.encode())
        first = service.search(QUESTIONS[0], hospital=HOSPITAL, owner=OWNER)["passages"][0]
        other = service.search(QUESTIONS[0], hospital=HOSPITAL, owner="somebody else")["passages"][0]
    stage.line(f"for its patients first: {first['text']}")
    _require(first["text"] == STANDARD and other["text"] != STANDARD, "its standard is first, and its own")


def _update(stage: _Stage) -> None:
    stage.title("7  A guide is edited: only that file is embedded again")
    guides = stage.folder / "guides"
    guides.mkdir()
    for number, text in enumerate(("골밀도는 예순다섯 살부터 잽니다.", "위내시경은 두 해에 한 번 받습니다.")):
        (guides / f"새지침{number}.md").write_text(text, encoding="utf-8")
    with Checkup(stage.where) as service:
        service.documents.update(guides)
        (guides / "새지침0.md").write_text("골밀도는 쉰다섯 살부터 잽니다.", encoding="utf-8")
        report = service.documents.update(guides)
        best = service.search("골밀도는 언제 재나요?")["passages"][0]
    stage.line(
        f"update  {report['modified']} changed, {report['unchanged']} skipped; {report['chunks_embedded']} embedded"
    )
    # What a demo before this one embedded is not embedded again.
    counts = report["modified"], report["unchanged"], report["chunks_embedded"] <= 1
    _require(counts == (1, 1, True) and "쉰다섯" in best["text"], "the edit is found, and nothing else embedded")
    stage.measured["update"] = report


def _archive(stage: _Stage) -> None:
    stage.title("8  A backup with checksums")
    made = backups.backup(stage.where, stage.runs.database, [])
    for part in made["parts"]:
        stage.line(f"backup  {part['file']}: {part['records']} records, sha256 {part['sha256'][:12]}…")


def _back(stage: _Stage) -> None:
    stage.title("9  And back, at once: nothing was deleted on either side")
    report = phases.rollback(stage.runs)
    with Checkup(stage.where) as service:
        found = service.search(QUESTIONS[0])
    stage.line(f"rollback to {Path(report['leads_to']).name}; answers now come from the {found['backend']} side")
    _require(found["backend"] == "cloud", "readers are led back")


def _require(fact: bool, promise: str) -> None:
    if not fact:
        raise _broken(f"it was promised that {promise}")


def _broken(what: str) -> wherry.Integrity:
    return wherry.Integrity(f"the demo did not go as promised: {what}", next="please report this")
