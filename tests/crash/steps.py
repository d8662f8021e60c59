"""The steps of every act, what a crash right after each leaves, and who repairs it: docs/crashes.md.

Each step is also a test: `test_steps.py` kills a process right there, looks at what was left, and
lets the next run repair it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.crash.scene import BATCH, ROWS, Scene, contents, first_copy, update
from tests.crash.test_archive_kills import Filing, filing
from wherry.stores.registry import open_source
from wherry.testing.faults import Calls, Fault, Moment

BEFORE, MIDDLE, AFTER = (Fault(moment) for moment in Moment)


@dataclass(frozen=True)
class Step:
    """One step. kill: counts and strikes the call that marks its end. left: asserts what is there then.

    act: which of the scene's acts is killed. make: the scene. first: an earlier crash, where the step
    repairs one. commit: whether from here on the step counts as done. again: what the user runs before
    the next sync.
    """

    verb: str
    does: str
    leaves: str
    repaired: str
    kill: Callable[[], Calls]
    left: Callable[[Scene], None]
    act: str = "sync"
    make: Callable[[Path], Scene] = update
    first: Callable[[], Calls] | None = None
    commit: bool = False
    again: str = ""

    @property
    def name(self) -> str:
        """The step as a test name."""
        words = "".join(c if c.isalnum() else " " for c in f"{self.verb} {self.does}").split()
        return "-".join(words[:9])


def at(name: str, number: int = 1, fault: Fault = BEFORE) -> Callable[[], Calls]:
    """Strike at the `number`th call of a name."""
    return lambda: Calls(number, fault, (name,))


def ask(scene: Scene, question: str) -> list[tuple]:
    """Ask the journal of the scene's target."""
    (path,) = (scene.folder / "state" / "journal").glob("*.sqlite3")
    db = sqlite3.connect(path)
    try:
        return db.execute(question).fetchall()
    finally:
        db.close()


def held(scene: Scene) -> dict[str, bytes]:
    """Return what the target holds."""
    with scene.target() as target:
        return contents(target)


def run_is_noted(scene: Scene) -> None:
    assert ask(scene, "SELECT count(*) FROM run WHERE status = 'running'") == [(1,)]
    assert len(held(scene)) == ROWS


def nothing_but_a_collection(scene: Scene) -> None:
    assert held(scene) == {}


def doubt_is_noted(scene: Scene) -> None:
    assert ask(scene, "SELECT count(*) FROM batch WHERE state < 2") == [(0,)]
    assert ask(scene, "SELECT count(*) FROM entry WHERE digest IS NULL")[0][0] >= BATCH


def standing_is_gone(scene: Scene) -> None:
    assert ask(scene, "SELECT value FROM meta WHERE key = 'standing'") == [("",)]


def ledger_knows_what_is_there(scene: Scene) -> None:
    assert {row[0] for row in ask(scene, "SELECT id FROM entry")} == held(scene).keys()


def batch_is_put_down(scene: Scene) -> None:
    # The next batch is put down while one is being written.
    assert ask(scene, "SELECT count(*) FROM batch WHERE state = 0")[0][0] in (1, 2)
    assert len(held(scene)) == ROWS


def part_of_a_batch_is_there(scene: Scene) -> None:
    with scene.target() as target:
        assert 0 < sum(target.writes().values()) < BATCH


def batch_is_there_unmarked(scene: Scene) -> None:
    with scene.target() as target:
        assert sum(target.writes().values()) == BATCH
    assert ask(scene, "SELECT min(state) FROM batch") == [(0,)]


def batch_is_written_and_unread(scene: Scene) -> None:
    assert ask(scene, "SELECT count(*) FROM batch WHERE state = 1")[0][0] >= 1


def batch_is_finished(scene: Scene) -> None:
    assert (
        ask(
            scene,
            "SELECT count(*) FROM batch WHERE state = 2 AND run = (SELECT id FROM run ORDER BY rowid DESC LIMIT 1)",
        )[0][0]
        >= 1
    )


def doomed_are_forgotten(scene: Scene) -> None:
    assert len(held(scene).keys() - {row[0] for row in ask(scene, "SELECT id FROM entry")}) == 8


def doomed_are_gone(scene: Scene) -> None:
    assert scene.wrong() == []
    standing_is_gone(scene)


def only_the_end_is_missing(scene: Scene) -> None:
    assert scene.wrong() == []
    assert ask(scene, "SELECT count(*) FROM run WHERE status = 'running'") == [(1,)]
    assert ask(scene, "SELECT count(*) FROM meta WHERE key = 'standing' AND value <> ''") == [(1,)]


def nothing_is_written(scene: Scene) -> None:
    assert len(held(scene)) == ROWS
    assert ask(scene, "SELECT count(*) FROM entry WHERE digest IS NULL") == [(0,)]


def old_archive(scene: Scene) -> None:
    assert isinstance(scene, Filing)
    assert_file(scene, ROWS)


def new_archive(scene: Scene) -> None:
    assert isinstance(scene, Filing)
    assert_file(scene, ROWS - 1)


def assert_file(scene: Filing, count: int) -> None:
    """Assert that the archive is readable as it is, by somebody who knows nothing of a crash."""
    source = open_source(str(scene.archive))
    assert len(contents(source)) == count
    source.close()


def damaged(folder: Path) -> Scene:
    """Return a scene whose target lost a record and holds another, behind wherry's back."""
    scene = update(folder)
    with scene.target() as target:
        target.drop("r011")
        target.db.execute("UPDATE record SET id = 'stranger' WHERE id = 'r013'")
    return scene


def differing(folder: Path) -> Scene:
    """Return a scene whose target holds a wrong value."""
    scene = first_copy(folder)
    scene.sync()
    with scene.target() as target:
        target.db.execute("UPDATE record SET text = 'wrong' WHERE id = 'r013'")
    return scene


def publishing(folder: Path) -> Scene:
    """Return a scene with an archive that is about to change."""
    return filing(folder, "jsonl")


STEPS = (
    Step("sync", "The run is noted in the journal.",
         "A run that says \"running\"; the target is untouched.",
         "The next run marks it \"died\".", at("target prepare"), run_is_noted),
    Step("sync", "The target is prepared.",
         "An empty collection.",
         "Prepared again, with the same result.", at("target prepare", fault=AFTER), nothing_but_a_collection,
         make=first_copy),
    Step("sync", "Batches that an earlier run left unfinished are settled: their entries are \"unknown\".",
         "Entries of unknown content.",
         "This or the next run reads those records at the target.",
         at("target ids"), doubt_is_noted, first=at("target upsert", 2, MIDDLE)),
    Step("sync", "What stood when the last good run ended is forgotten.",
         "No memory of a good end.",
         "The next run lists every id of the target and reads all of the source.", at("target ids"), standing_is_gone),
    Step("sync", "The ledger is brought in line with the ids that the target lists.",
         "A ledger that knows what is there, though not always what it is.",
         "Listed again; what is unknown is read.", at("source ids"), ledger_knows_what_is_there, make=damaged),
    Step("sync", "A batch is put down in the ledger as WRITING.",
         "Entries that promise more than the target holds, and the mark that says so.",
         "Settled to \"unknown\" by the next run, which looks.", at("target upsert"), batch_is_put_down),
    Step("sync", "Half of a batch is written.",
         "Some new records, some old ones.",
         "The same: what is there already is not written again.",
         at("target upsert", fault=MIDDLE), part_of_a_batch_is_there),
    Step("sync", "The batch is written.",
         "Records ahead of their mark.",
         "The same: read, found equal, not written again.",
         at("target upsert", fault=AFTER), batch_is_there_unmarked),
    Step("sync", "The batch is marked WRITTEN.",
         "A batch that nobody has read back.",
         "The next run reads it.", at("target fetch"), batch_is_written_and_unread, commit=True),
    Step("sync", "The batch is read back and found equal.",
         "The same as before: the mark is still to come.",
         "Read again.", at("target fetch", fault=AFTER), batch_is_written_and_unread),
    Step("sync", "The batch is marked READ_BACK.",
         "A finished batch.",
         "Nothing to repair.", at("target fetch", 4), batch_is_finished),
    Step("sync", "Entries of records that the source no longer has are forgotten.",
         "Records that the ledger does not know.",
         "Listed as unknown, not in the source, deleted.", at("target delete"), doomed_are_forgotten),
    Step("sync", "The records are deleted.",
         "A target that is right, and a run that does not know it.",
         "The next run finds nothing to do.", at("target delete", fault=AFTER), doomed_are_gone),
    Step("sync", "The target is finished: index built, file published.",
         "The same.",
         "Finished again, with the same result.", at("target finish", fault=AFTER), doomed_are_gone),
    Step("sync", "The counts of both sides are compared, and what stands is remembered.",
         "A target that is right, a run that says \"running\".",
         "The next run marks it \"died\" and finds nothing to do.",
         at("UPDATE run SET", 2), only_the_end_is_missing, commit=True),
    Step("verify", "Both sides are read.",
         "Nothing: neither side is ever written to.",
         "Verified again from the start.", at("source scan", 6), nothing_is_written, act="verify"),
    Step("verify", "Damage is found, and is about to be noted in the journal.",
         "A journal that does not know of the damage.",
         "Verified again: the exit code of this run said nothing.",
         at("UPDATE entry SET"), nothing_is_written, act="verify", make=differing, again="verify"),
    Step("archive", "The next archive is written beside the old one.",
         "The old archive, the staging, a file under a temporary name.",
         "Swept when the archive is next opened for writing.",
         at("file fsync", 2), old_archive, act="watched", make=publishing),
    Step("archive", "It is fsynced, read back and compared.",
         "The same.", "The same.", at("staging INSERT OR REPLACE", 5), old_archive, act="watched", make=publishing),
    Step("archive", "Its stamp is noted in the staging.",
         "The same, and a staging that would know its archive.",
         "Published again.", at("file os.rename"), old_archive, act="watched", make=publishing),
    Step("archive", "It is renamed over the old one.",
         "The new archive, and a staging that is spent.",
         "The staging is recognised by the stamp and removed.",
         at("file fsync", 3), new_archive, act="watched", make=publishing, commit=True),
    Step("archive", "The folder is fsynced.",
         "The same.", "The same.", at("file os.remove", 6), new_archive, act="watched", make=publishing),
)  # fmt: skip

INTRODUCTION = {
    "sync": (
        "Making a target equal to a source. A batch counts from the moment it is marked WRITTEN; a crash "
        "leaves at most one batch to do again."
    ),
    "verify": "Comparing two collections. Nothing but the journal's doubt is ever written.",
    "archive": "Publishing an archive file, which is the `finish` of a sync into one.",
}
