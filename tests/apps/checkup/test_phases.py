"""The phases: in order, with a gate, resumable, back at any time."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import faiss
import pytest

import wherry
from tests.apps.checkup import kit
from wherry_apps.checkup import loading, phases
from wherry_apps.checkup.checks import check
from wherry_apps.checkup.exports import read_export
from wherry_apps.checkup.manifests import LIBRARY, read_manifest
from wherry_apps.checkup.places import places
from wherry_apps.checkup.runs import PHASES, Runs

SHAPES = {"L1": kit.l1, "L2": kit.l2, "L3": kit.l3, "L5": kit.l5, "L6": kit.l6}


ENGINES = ("chroma", "qdrant", "faiss")
# One of each now, all pairs in a campaign.
NOW = {("L1", "chroma"), ("L2", "qdrant"), ("L3", "faiss"), ("L5", "chroma"), ("L6", "faiss"), ("L5", "qdrant")}
PAIRS = [
    pytest.param(shape, engine, marks=[] if (shape, engine) in NOW else [pytest.mark.campaign])
    for shape in SHAPES
    for engine in ENGINES
]


@pytest.mark.parametrize(("shape", "engine"), PAIRS)
def test_every_shape_into_every_engine(shape: str, engine: str, database: wherry.AppDatabase, tmp_path: Path) -> None:
    runs = kit.loaded(database, tmp_path / "s", SHAPES[shape](tmp_path), engine)
    report = runs.passed("migrate")
    assert (report["read"], report["verified"]) == (len(kit.TEXTS), "verified")
    assert report["vectors"] == ("re-embedded" if shape in ("L2", "L6") else "copied")
    hits = wherry.search(kit.QUESTIONS[0], in_=runs.places.local, k=1, mode="vector")
    assert hits[0].text == kit.TEXTS[0]
    assert hits[0].metadata["text_sha256"]


def test_values_of_every_kind_survive(moved: Path) -> None:
    where = places(moved)
    store = wherry.open_source(where.local)
    found = {r.id: r for page in store.scan() for r in wherry.to_records(page.records)}
    store.close()
    for item in read_export(where.export).items:
        kept = {k: v for k, v in (found[item.id].metadata or {}).items() if k in item.metadata}
        assert kept == item.metadata
    manifest = read_manifest(where, LIBRARY) or {}
    assert (manifest["provider"], manifest["dimension"], manifest["items"]) == ("hash", kit.DIMENSION, len(kit.TEXTS))
    assert manifest["metric"] == "cosine"


def test_a_faiss_folder_answers_as_before(database: wherry.AppDatabase, tmp_path: Path) -> None:
    folder = kit.l5(tmp_path)
    runs = kit.loaded(database, tmp_path / "s", folder)
    assert runs.passed("migrate")["vectors"] == "copied"
    index = faiss.read_index(str(folder / "faiss.index"))
    model = wherry.open_embedder(kit.MODEL)
    store = wherry.open_source(runs.places.local)
    for question in kit.QUESTIONS:
        _, [[best]] = index.search(model.embed_query(question)[None, :], 1)
        [hit] = wherry.search(question, in_=store, k=1, mode="vector", embedder=model)
        assert hit.text == kit.TEXTS[best]
    store.close()


@pytest.mark.parametrize("phase", PHASES[1:])
def test_a_phase_waits_for_the_one_before_it(phase: str, database: wherry.AppDatabase, tmp_path: Path) -> None:
    runs = Runs(database, places(tmp_path / "s"))
    acts: dict[str, Any] = {
        "verify": lambda: phases.verify(runs), "init": lambda: phases.init(runs, None, None, None, None),
        "migrate": lambda: phases.migrate(runs), "compare": lambda: phases.compare(runs, "q.txt"),
        "switch": lambda: phases.switch(runs, "local"), "watch": lambda: phases.watch(runs, 1, 1, ""),
    }  # fmt: skip
    with pytest.raises(wherry.Refused, match=PHASES[PHASES.index(phase) - 1]):
        acts[phase]()
    assert not (tmp_path / "s" / "logs").exists()


def test_what_rests_on_another_export_stands_no_more(database: wherry.AppDatabase, tmp_path: Path) -> None:
    runs = kit.loaded(database, tmp_path / "s", kit.l1(tmp_path), "faiss")
    phases.extract(runs, kit.l1(tmp_path), None, kit.MODEL)
    with pytest.raises(wherry.Refused, match="before the last extract"):
        phases.compare(runs, "q.txt")


def test_an_export_that_is_wrong_is_loaded_nowhere(database: wherry.AppDatabase, tmp_path: Path) -> None:
    folder = kit.l5(tmp_path)
    found = json.loads((folder / "docstore.json").read_text(encoding="utf-8-sig"))
    found["docstore/data"]["orphan-7"] = found["docstore/data"]["faiss_db-0"]
    (folder / "docstore.json").write_text(json.dumps(found))
    runs = Runs(database, places(tmp_path / "s"))
    phases.extract(runs, folder, None, kit.MODEL)
    with pytest.raises(wherry.Integrity, match="orphan-7"):
        phases.verify(runs)
    with pytest.raises(wherry.Refused, match="verify did not pass"):
        phases.init(runs, None, None, None, None)
    logged = [json.loads(line) for line in runs.places.log.read_text().splitlines()]
    assert [(line["phase"], line["ok"]) for line in logged] == [("extract", True), ("verify", False)]


def test_the_model_of_the_questions_decides_whether_vectors_are_copied(
    database: wherry.AppDatabase, tmp_path: Path
) -> None:
    for maker, copied, why in (
        (None, False, "nobody says"), ("openai:text-embedding-3-small", False, "made the vectors"),
        ("hash:64", False, "made the vectors"), (kit.MODEL, True, "made these vectors"),
    ):  # fmt: skip
        runs = Runs(database, places(tmp_path / "s"))
        phases.extract(runs, kit.l1(tmp_path), None, maker)
        phases.verify(runs)
        phases.init(runs, None, kit.MODEL, None, None)
        export = read_export(runs.places.export)
        ready = loading.prepare(runs.places, export, check(export))
        assert (ready.copied, ready.items) == (copied, len(kit.TEXTS))
        assert why in ready.why
    # A text is embedded once, however often it is loaded.
    assert (ready.embedded, sqlite3.connect(tmp_path / "s/backup/vectors.sqlite3").execute(
        "SELECT count(*) FROM vectors").fetchone()[0]) == (0, len(kit.TEXTS))  # fmt: skip


def test_an_interrupted_load_goes_on(
    database: wherry.AppDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_AT_ONCE", 4)
    runs = Runs(database, places(tmp_path / "s"))
    phases.extract(runs, kit.l6(tmp_path), None, None)
    phases.verify(runs)
    phases.init(runs, "faiss", kit.MODEL, None, None)

    def stopped(done: int, total: int) -> None:
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        phases.migrate(runs, heard=stopped)
    last = runs.latest("migrate")
    assert last is not None
    assert not last.ok
    report = phases.migrate(runs)
    # Eight texts were paid for before; only the others are asked for.
    assert (report["embedded"], report["read"], report["verified"]) == (4, 12, "verified")
    assert phases.migrate(runs)["embedded"] == 0


def test_a_difference_behind_the_back_fails_the_phase(
    database: wherry.AppDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = kit.loaded(database, tmp_path / "s", kit.l1(tmp_path))
    real = wherry.sync

    def damaging(source: str, target: str, **options: Any) -> Any:
        done = real(source, target, **options)
        store = wherry.open_source(runs.places.local)
        [record] = [r for p in store.scan() for r in wherry.to_records(p.records) if r.id == "doc_004"]
        space = store.describe().space
        store.close()
        wherry.put([wherry.Record("doc_004", record.vector, "다른 글", record.metadata)], runs.places.local, space)
        return done

    monkeypatch.setattr(wherry, "sync", damaging)
    with pytest.raises(wherry.Different, match="doc_004"):
        phases.migrate(runs)
    assert wherry.Different.exit_code == 1


def test_what_a_comparison_reports_was_measured(database: wherry.AppDatabase, moved: Path) -> None:
    report = Runs(database, places(moved)).passed("compare")
    assert report["overlap@10"] == 1.0
    assert report["questions"] == len(kit.QUESTIONS)
    for name in ("left", "right"):
        found = report[name]
        assert found["times"]["search_ms"]["p50"]["mean"] > 0
        assert found["times"]["search_ms"]["p95"]["mean"] > 0
        assert found["times"]["measured"] == 3 * len(kit.QUESTIONS)
        assert 0 < found["similarity_mean"] <= found["similarity_best"] <= 1
        assert found["disk"] > 0
        assert found["memory"] is not None
    assert report["cost"] == {
        "said_by": "the operator, not measured", "cloud_per_query": 0.02, "cloud_per_month": 200.0,
        "queries_per_month": 10_000,
    }  # fmt: skip


class _Hit:
    def __init__(self, id: str, similarity: float) -> None:
        self.id, self.similarity = id, similarity


@pytest.mark.parametrize(("left", "right", "share"), [
    ([("a", 0.9), ("b", 0.8)], [("a", 0.9), ("b", 0.8)], 1.0),
    ([("a", 0.9), ("b", 0.8)], [("a", 0.9), ("c", 0.8)], 1.0),
    ([("a", 0.9), ("b", 0.8)], [("b", 0.8), ("c", 0.7)], 0.5),
    ([("a", 0.9), ("b", 0.8)], [("a", 0.9)], 0.5),
    ([], [("a", 0.9)], 1.0),
])  # fmt: skip
def test_ties_are_agreement(left: list[Any], right: list[Any], share: float) -> None:
    assert phases.overlap([_Hit(*h) for h in left], [_Hit(*h) for h in right], 2) == share


def test_vectors_made_anew_need_acceptance(database: wherry.AppDatabase, tmp_path: Path) -> None:
    runs = kit.loaded(database, tmp_path / "s", kit.l6(tmp_path), "faiss")
    (tmp_path / "q.txt").write_text("\n".join(kit.QUESTIONS))
    assert "overlap@10" in phases.compare(runs, str(tmp_path / "q.txt"))
    with pytest.raises(wherry.Refused, match="overlap@10"):
        phases.switch(runs, "local")
    assert phases.switch(runs, "local", accept=True)["accepted"] is True


def test_the_gate_wants_the_export_that_was_verified(database: wherry.AppDatabase, tmp_path: Path) -> None:
    runs = kit.loaded(database, tmp_path / "s", kit.l1(tmp_path), "faiss")
    (tmp_path / "q.txt").write_text("\n".join(kit.QUESTIONS))
    phases.compare(runs, str(tmp_path / "q.txt"))
    with runs.places.export.open("a") as file:
        file.write(" ")
    with pytest.raises(wherry.Refused, match="not the one that was verified"):
        phases.switch(runs, "local")


def _watched_while_reading(runs: Runs) -> dict[str, Any]:
    """Watch while somebody asks, until what was read is seen."""
    with wherry.route(runs.places.route) as reader:

        def asked(look: Any) -> None:
            assert reader.search("공복혈당", k=1, mode="vector").address.startswith("chroma:")

        for _ in range(20):
            seen = phases.watch(runs, 1.0, 0.4, "", asked)
            if seen["verdict"] != "unseen":
                break
        return seen


def test_there_and_back(database: wherry.AppDatabase, tmp_path: Path) -> None:
    runs = kit.switched(database, tmp_path / "s", kit.l1(tmp_path), tmp_path / "q.txt")
    where = runs.places
    assert "USE_LOCAL_VECTOR_DB=true" in (where.root / "config.env").read_text()
    assert phases.watch(runs, 0.05, 0.05, "")["exit_code"] == 1
    seen = _watched_while_reading(runs)
    assert (seen["verdict"], seen["warning"]) == ("good", "")
    assert {"p50", "p95", "error_rate", "disk", "memory"} <= set(seen["last"])
    back = phases.rollback(runs)
    assert back["leads_to"].endswith("prepared.parquet")
    assert "USE_LOCAL_VECTOR_DB=false" in (where.root / "config.env").read_text()
    assert "USE_LOCAL_VECTOR_DB=true" in (where.root / "config.env.backup").read_text()
    assert where.export.is_file()
    assert where.folder.is_dir()


def test_a_disk_above_80_percent_warns(
    database: wherry.AppDatabase, moved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(moved)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type(usage)(1000, 810, 190))
    found = phases.disk(places(moved))
    assert found["disk_share"] == 0.81
    assert "81% full" in found["warning"]
    seen = phases.watch(Runs(database, places(moved)), 0.05, 0.05, "")
    assert any("81% full" in words for words in seen["warnings"])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type(usage)(1000, 790, 210))
    assert phases.disk(places(moved))["warning"] == ""


def test_a_full_disk_leaves_the_old_collection_in_service(
    database: wherry.AppDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = kit.switched(database, tmp_path / "s", kit.l1(tmp_path), tmp_path / "q.txt")
    more = {**kit.documents()[0], "id": "new", "text": "새 글"}
    larger = kit.l1(tmp_path, documents=[*kit.documents(), more], total_documents=len(kit.TEXTS) + 1)
    phases.extract(runs, larger, None, kit.MODEL)
    phases.verify(runs)
    phases.init(runs, None, kit.MODEL, None, None)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type(usage)(usage.total, usage.total - 1, 1))
    with pytest.raises(wherry.Refused, match=r"disk|room|space"):
        phases.migrate(runs)
    with wherry.route(runs.places.route) as reader:
        assert reader.search("공복혈당이 높으면?", k=1, mode="vector")[0].text == kit.TEXTS[0]


def test_a_distance_is_nowhere_called_confidence() -> None:
    source = "".join(p.read_text() for p in Path(phases.__file__).parent.rglob("*.py"))
    assert "confidence" not in source.lower()


def test_no_command_deletes_anything_in_the_cloud() -> None:
    from wherry_apps.checkup.cli import commands

    names = {command.name or command.callback.__name__ for command in commands.registered_commands}
    assert not [name for name in names if any(word in name for word in ("delete", "drop", "remove", "purge"))]
    source = "".join(p.read_text() for p in Path(phases.__file__).parent.glob("*.py"))
    assert "open_target(places.cloud" not in source
    assert "open_target(self.cloud" not in source
