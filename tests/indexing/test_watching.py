"""The worker in the background: it starts at once, follows the documents, and gets over what goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.indexing.conftest import Indexed
from tests.indexing.kit import Counting, Folder, Paragraphs, impatient
from wherry.indexing.base import Listed
from wherry.indexing.lease import held
from wherry.indexing.watching import Worker, WorkerState, warm

Rows = Callable[[], dict[str, str]]
PATIENCE_S = 60.0


class Told:
    """Hears the states of a worker, and waits for one."""

    def __init__(self) -> None:
        self.states: list[WorkerState] = []
        self._more = threading.Condition()

    def __call__(self, state: WorkerState) -> None:
        with self._more:
            self.states.append(state)
            self._more.notify_all()

    def wait(self, wanted: Callable[[WorkerState], bool]) -> WorkerState:
        """Return the first state, from now on or before, that is as wanted."""
        with self._more:
            assert self._more.wait_for(lambda: any(map(wanted, self.states)), PATIENCE_S), self.states[-3:]
            return next(filter(wanted, self.states))


@pytest.fixture
def told() -> Told:
    """Something that hears the states of a worker."""
    return Told()


@pytest.fixture
def work(address: str, model: Counting, told: Told) -> Callable[..., Worker]:
    """Return a worker that looks often."""

    def make(documents: object, **more: object) -> Worker:
        wants = {"embedder": model, "chunker": Paragraphs(), "every_s": 0.05, "settle_s": 0.02, "told": told, **more}
        return Worker(documents, address, **wants)  # type: ignore[arg-type]

    return make


def test_it_starts_at_once_and_follows_the_folder(
    work: Callable[..., Worker],
    told: Told,
    papers: Path,
    rows: Rows,
) -> None:
    with work(Folder(papers)) as worker:
        assert worker.caught_up(PATIENCE_S)
        assert "혈당 7" in rows().values()
        (papers / "neu.md").write_text("나중에 온 글")
        told.wait(lambda s: s.last is not None and s.last.new == 1)
        assert "나중에 온 글" in rows().values()
        (papers / "neu.md").unlink()
        told.wait(lambda s: s.last is not None and s.last.deleted == 1)
        assert "나중에 온 글" not in rows().values()
        assert worker.state.ready
    assert worker.state.state == "stopped"


def test_the_start_waits_for_no_model(work: Callable[..., Worker], told: Told, papers: Path) -> None:
    hold, entered = threading.Event(), threading.Event()

    class Hanging(Counting):
        def embed(self, texts):  # type: ignore[no-untyped-def]
            entered.set()
            assert hold.wait(PATIENCE_S)
            return super().embed(texts)

    worker = work(Folder(papers), embedder=Hanging())
    worker.start()
    assert entered.wait(PATIENCE_S)
    assert not worker.caught_up(0)
    hold.set()
    assert worker.caught_up(PATIENCE_S)
    assert worker.stop()


def test_a_model_that_is_down_is_told_and_tried_again(
    work: Callable[..., Worker],
    told: Told,
    papers: Path,
    model: Counting,
) -> None:
    model.down = "혈당"
    with work(Folder(papers), embedder=impatient(model)) as worker:
        state = told.wait(lambda s: s.state == "failing")
        assert state.error == "the model is down"
        model.down = ""
        assert worker.caught_up(PATIENCE_S)
        assert worker.state.error is None


def test_another_run_is_waited_for(
    work: Callable[..., Worker],
    told: Told,
    papers: Path,
    run: Indexed,
    pg,
    name: str,
) -> None:  # type: ignore[no-untyped-def]
    from tests.indexing.test_lease import database

    run(Folder(papers))
    number = pg.execute("SELECT id FROM wherry.indexes WHERE target = %s", [f"table:public.{name}"]).fetchone()[0]
    (papers / "neu.md").write_text("나중에 온 글")
    with held(database(), number, "r1", "rebuild", "pgvector:#x"):
        worker = work(Folder(papers)).start()
        state = told.wait(lambda s: s.state == "waiting" and s.error is not None)
        assert "rebuild" in (state.error or "")
    assert worker.caught_up(PATIENCE_S)
    assert worker.stop()


def test_nothing_new_asks_no_database(
    work: Callable[..., Worker],
    told: Told,
    papers: Path,
) -> None:
    with work(Folder(papers)) as worker:
        assert worker.caught_up(PATIENCE_S)
        rounds = worker.state.runs
        threading.Event().wait(0.5)
        assert worker.state.runs == rounds
        worker.poke()
        told.wait(lambda s: s.runs == rounds + 1)


def test_warming_up_says_what_it_warmed(run: Indexed, papers: Path, address: str, model: Counting) -> None:
    assert warm(address, model) == []
    run(Folder(papers))
    assert "model" in warm(address, model)


class Restless(Folder):
    """A folder in which one file is written all the time."""

    def documents(self) -> Iterator[Listed]:
        """Yield the files, after one of them has changed once more."""
        with (self.path / "log.md").open("a", encoding="utf-8") as log:
            log.write("한 줄 더\n\n")
        yield from super().documents()


def test_a_file_that_never_rests_keeps_no_other_waiting(
    work: Callable[..., Worker],
    papers: Path,
    rows: Rows,
) -> None:
    with work(Restless(papers), patience_s=0.1) as worker:
        assert worker.caught_up(PATIENCE_S)
        assert "혈당 7" in rows().values()
