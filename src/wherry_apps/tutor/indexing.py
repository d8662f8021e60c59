"""Keeping the collection true to the bank: approved and active questions are in it, and nothing else of the bank."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from wherry import WherryError
from wherry_apps.tutor.points import Point, Points, point_of
from wherry_apps.tutor.resources import Resources
from wherry_apps.tutor.switches import Switches, named
from wherry_apps.tutor.tables import Question, QuestionVector

_ROWS = 512


@dataclass(frozen=True)
class Indexed:
    """What a run of the index did. failed: id -> why; removed: points of questions that are no longer approved."""

    address: str
    embedded: int
    unchanged: int
    removed: int
    failed: dict[str, str]

    @property
    def exit_code(self) -> int:
        """0 done, 5 some texts could not be embedded."""
        return 5 if self.failed else 0

    def to_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return dict(self.__dict__)


class Indexing:
    """Puts points into the collection in use and takes them out."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._db = resources.db

    def run(self, passages: Sequence[Point] = ()) -> Indexed:
        """Bring the whole collection in line: embed what is missing or changed, remove what does not belong.

        passages: the points of all study documents. Raises SpaceMismatch, Unreachable and the like.
        """
        now, points = self._resources.switches(), self._resources.points()
        points.check()
        # What the store really holds counts, not what was noted: it may have been moved, mended or rolled back.
        held, wanted = points.held(), self._approved()
        stale, lost = ([p for p in some if held.get(p.id) != (p.text, p.payload)] for some in (wanted, passages))
        failed = self._put(points, now, stale) | _words(points.put(lost))
        known, fresh = self._known(now), {p.id for p in stale}
        self._note(now, [(p, None) for p in wanted if p.id not in fresh | known.keys()], points)
        wrong = sorted(held.keys() - {p.id for p in wanted} - {p.id for p in passages})
        points.remove(wrong)
        self._forget(int(i) for i in wrong if i.isdigit())
        done = len(stale) + len(lost)
        unchanged = len(wanted) + len(passages) - done
        return Indexed(str(points.address), done - len(failed), unchanged, len(wrong), failed)

    def some(self, numbers: Sequence[int]) -> dict[int, str | None]:
        """Index some questions anew; return for each None, or why it has no stored vector.

        A model or store that is not there, or does not fit, is such a reason: the approval stands, and it is told.
        """
        now = self._resources.switches()
        try:
            points = self._resources.points()
            points.check()
            wanted = self._approved(numbers)
            points.remove([str(n) for n in set(numbers) - {int(p.id) for p in wanted}])
            failed = self._put(points, now, wanted)
        except WherryError as error:
            self._note(now, [(point, error.what) for point in self._approved(numbers)])
            return dict.fromkeys(numbers, error.what)
        return {number: failed.get(str(number)) for number in numbers}

    def remove(self, ids: Iterable[str]) -> None:
        """Remove points; raises what the store raises."""
        self._resources.points().remove(list(ids))

    def _put(self, points: Points, now: Switches, wanted: Sequence[Point]) -> dict[str, str]:
        failed: dict[str, str] = {}
        for start in range(0, len(wanted), _ROWS):
            part = wanted[start : start + _ROWS]
            found = _words(points.put(part))
            self._note(now, [(point, found.get(point.id)) for point in part], points)
            failed |= found
        return failed

    def _note(self, now: Switches, parts: Sequence[tuple[Point, str | None]], points: Points | None = None) -> None:
        space = points.space if points is not None else None
        card = {
            "spec": now.embedder, "provider": space.provider if space else None,
            "model": space.model if space else None,
            "dim": space.dimension if space else None, "normalised": space.normalised if space else None,
        }  # fmt: skip
        rows = [
            {
                "question_id": int(point.id), "store": named(now.store), "collection": now.collection, "embedder": card,
                "text_sha256": point.text_sha256, "indexed_at": None if error else datetime.now(UTC), "error": error,
            }
            for point, error in parts
        ]  # fmt: skip
        if not rows:
            return
        adding = insert(QuestionVector).values(rows)
        replaced = {name: adding.excluded[name] for name in rows[0] if name != "question_id"}
        with self._db.session() as session:
            session.execute(adding.on_conflict_do_update(index_elements=["question_id"], set_=replaced))

    def _approved(self, numbers: Sequence[int] | None = None) -> list[Point]:
        query = select(Question).where(Question.approval_status == "approved", Question.is_active).order_by(Question.id)
        if numbers is not None:
            query = query.where(Question.id.in_(list(numbers)))
        with self._db.session() as session:
            return [point_of(question) for question in session.scalars(query)]

    def _known(self, now: Switches) -> dict[str, str]:
        """Return the hash of the text of each vector that is noted for the store and the embedder in use."""
        with self._db.session() as session:
            rows = session.scalars(select(QuestionVector).where(QuestionVector.error.is_(None)))
            return {
                str(row.question_id): row.text_sha256
                for row in rows
                if (row.store, row.collection, row.embedder.get("spec"))
                == (named(now.store), now.collection, now.embedder)
            }

    def _forget(self, numbers: Iterable[int]) -> None:
        with self._db.session() as session:
            for number in numbers:
                if (row := session.get(QuestionVector, number)) is not None:
                    session.delete(row)


def _words(failed: dict[str, WherryError]) -> dict[str, str]:
    return {point: error.what for point, error in failed.items()}
