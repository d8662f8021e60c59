"""A whole migration: phase by phase, interrupted after each of them, refused where it must be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

import wherry
from tests.routing.kit import made, put
from wherry.cli import main
from wherry.errors import Different, LossNotAccepted, Refused, Usage, WherryError
from wherry.routing import migration
from wherry.routing.book import Book
from wherry.routing.migration import PHASES, Wanted, migrate, read_plan
from wherry.testing.crash import Runner

# Killed in the others by the campaign alone; all of them fail once in every run of the tests.
_DAILY = ("copy", "compare", "switch")
KILLED = [pytest.param(name, marks=[] if name in _DAILY else [pytest.mark.campaign]) for name in PHASES]


@pytest.fixture
def wanted(old: str, new: str, tmp_path: Path) -> Wanted:
    return Wanted(
        name="welno", source=old, target=new, backup=str(tmp_path / "guides.parquet"), route="welno", accept_losses=True
    )


def test_all_six_phases(wanted: Wanted) -> None:
    done = migrate(wanted)
    assert done.done
    assert [phase.name for phase in done.phases] == list(PHASES)
    assert done.phases[1].result["verdict"] == "verified"
    assert done.phases[5].way_back == "wherry rollback welno"
    with wherry.route("welno") as reader:
        assert reader.address == wanted.target
    assert wherry.rollback("welno").leads_to == wanted.source


@pytest.mark.parametrize("phase", PHASES)
def test_it_goes_on_from_every_phase(wanted: Wanted, phase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The phase fails once, as an interruption leaves it; the next call does it and no phase before it."""

    def broken(wanted: Wanted, progress: object) -> dict[str, object]:
        raise WherryError("the machine went down")

    acts = dict(migration._ACTS)
    monkeypatch.setitem(migration._ACTS, phase, broken)
    with pytest.raises(WherryError, match="went down"):
        migrate(wanted)
    monkeypatch.setitem(migration._ACTS, phase, acts[phase])
    begun: list[str] = []
    done = migrate(wanted, heard=lambda p: begun.append(p.name) if p.state == "waiting" else None)
    assert done.done
    assert begun == list(PHASES[PHASES.index(phase) :])


@pytest.fixture
def asked(wanted: Wanted, tmp_path: Path) -> Wanted:
    """The same with questions, so that the compare phase has something to do, and a page."""
    queries = tmp_path / "questions.txt"
    queries.write_text("혈당이 높으면?\n언제 금식하나요?\n결과표는 누구와 보나요?\n", encoding="utf-8")
    more = {"queries": str(queries), "report": str(tmp_path / "compare.html"), "k": 2}
    return wanted.model_copy(update=more)


@pytest.fixture(scope="module")
def runner(shared_home: Path) -> Iterator[Runner]:
    """A runner that has both engines imported and nothing opened."""
    imports = ["tests.routing.moving_on", "wherry.comparing", "wherry.stores.chroma", "wherry.stores.pgvector"]
    with Runner({"WHERRY_HOME": str(shared_home)}, imports) as running:
        yield running


@pytest.mark.parametrize("phase", KILLED)
def test_killed_in_a_phase_it_goes_on_from_there(asked: Wanted, phase: str, runner: Runner, tmp_path: Path) -> None:
    log = tmp_path / "begun"
    ending = runner.call("tests.routing.moving_on:begun", asked.model_dump(), phase, str(log))
    assert ending.killed
    assert log.read_text().splitlines() == list(PHASES[: PHASES.index(phase) + 1])
    ending = runner.call("tests.routing.moving_on:begun", asked.model_dump(), "", str(log))
    assert ending.error == ""
    assert ending.value == list(PHASES[PHASES.index(phase) :])
    assert wherry.verify(asked.source, asked.target).equal
    with wherry.route("welno") as reader:
        assert reader.address == asked.target
    assert Path(str(asked.report)).read_text(encoding="utf-8").startswith("<!doctype html>")


def test_answers_below_the_bar_end_it_before_the_switch(asked: Wanted) -> None:
    migrate(asked, until="copy")
    store = wherry.open_target(asked.target)
    card = store.describe()
    store.delete(pa.array(["g-0"]))
    store.finish(card.space, card.index)
    store.close()
    kept = migration._stands
    # As if the copy had been found to stand: what is compared is what readers would get.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migration, "_stands", lambda name, plan: name == "copy" or kept(name, plan))
        with pytest.raises(Different, match="worse than the plan allows"):
            migrate(asked)
    with Book() as book:
        assert book.find("welno") is None


def test_done_means_nothing_to_do(wanted: Wanted) -> None:
    migrate(wanted)
    begun: list[str] = []
    migrate(wanted, heard=lambda phase: begun.append(phase.name))
    assert begun == []


def test_a_source_that_changed_is_copied_again(wanted: Wanted) -> None:
    migrate(wanted, until="compare")
    put(wanted.source, ["혈압은 아침에 잽니다"], first=3)
    done = migrate(wanted)
    assert done.done
    assert wherry.verify(wanted.source, wanted.target).equal


def test_a_loss_nobody_accepted_ends_it(wanted: Wanted, monkeypatch: pytest.MonkeyPatch) -> None:
    lossy = wherry.plan(wanted.source, wanted.target)
    loss = wherry.Loss("null-text", "lossy", "texts are left out")
    monkeypatch.setattr(migration, "plan", lambda *a, **k: type(lossy)(**{**lossy.__dict__, "losses": (loss,)}))
    with pytest.raises((Refused, LossNotAccepted), match="would lose"):
        migrate(wanted.model_copy(update={"accept_losses": False}))
    assert not wherry.open_target(wanted.target).describe().exists


def test_a_route_that_readers_use_already_is_led_over(wanted: Wanted) -> None:
    made("welno", wanted.source)
    migrate(wanted)
    with Book() as book:
        assert [event.act for event in book.history("welno")] == ["switch", "set"]


def test_the_command(wanted: Wanted, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "welno.toml"
    lines = [f"{key} = {json.dumps(value)}" for key, value in wanted.model_dump(exclude_none=True).items()]
    plan.write_text("[migration]\n" + "\n".join(lines), encoding="utf-8")
    assert main(["migrate", str(plan), "--until", "check", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert [phase["state"] for phase in first["phases"]] == ["done"] * 2 + ["waiting"] * 4
    assert main(["migrate", str(plan), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["done"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[migration", "no TOML"),
        ("", "name: Field required"),
        ("[migration]\nname = 'x'\nsource = 'a'\ntarget = 'b'\nbackup = 'c'\nqueriez = 'd'", "queriez"),
        ("[migration]\nname = 'x'\nsource = 'a'\ntarget = 'b'\nbackup = 'c'\nmin_recall = 2", "min_recall"),
    ],
)
def test_a_plan_that_cannot_be_read(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Usage, match=told):
        read_plan(path)


def test_a_plan_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Usage, match="cannot be read"):
        migrate(tmp_path / "none.toml")
