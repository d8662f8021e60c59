"""Search, and recommendation by similarity: nothing here is drawn by chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from wherry import Hit, Refused
from wherry_apps.tutor.bank import shown
from wherry_apps.tutor.diagnosis import COMPLETED, Diagnosis
from wherry_apps.tutor.points import DOCUMENT, QUESTION, condition
from wherry_apps.tutor.renumbering import number_of
from wherry_apps.tutor.resources import Resources
from wherry_apps.tutor.tables import DiagnosisResponse, DiagnosisSession, Question

FILTERS = ("department", "subject", "difficulty", "year", "question_type")


class Searching:
    """Reads the collection in use."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._db = resources.db
        self._diagnosis = Diagnosis(resources.db)

    def search(
        self, query: str, kind: str = QUESTION, k: int = 5, threshold: float | None = None, **wanted: Any
    ) -> dict[str, Any]:
        """Return what is at least as similar as the threshold, nearest first.

        kind: `question` or `document`. wanted: department, subject, difficulty, year, question_type.
        """
        least = self._resources.switches().threshold(kind) if threshold is None else threshold
        points = self._resources.points()
        found = points.search(query, k, condition(kind, **wanted))
        hits = [hit for hit in found if hit.similarity is not None and hit.similarity >= least]
        numbers = {hit.id: number_of(hit.id, dict(hit.metadata)) for hit in hits} if kind == QUESTION else {}
        seen = self._visible([number for number in numbers.values() if number is not None])
        kept = [hit for hit in hits if kind == DOCUMENT or numbers[hit.id] in seen]
        return {
            "query": query, "kind": kind, "threshold": least, "k": k, "in": str(points.address),
            "below_threshold": len(found) - len(hits), "hits": [_hit(hit) for hit in kept],
        }  # fmt: skip

    def recommended(self, owner: str | None, session: int | None = None, k: int = 5) -> dict[str, Any]:
        """Return questions to practise next, each with its reason, in an order that never changes by itself.

        session: a completed one; the latest of the student by default. Raises NotFound, Refused.
        """
        told = self._finished(owner, session)
        answered = self._answered(told["user"])
        level = told["recommended_difficulty"]
        found = self._near(told, answered, level, k) if told["missed"] else []
        note = None
        if not found:
            found = self._practice(told, answered, level, k)
            note = "틀린 문항과 비슷한 문항이 없어 약점 영역에서 골랐습니다" if told["missed"] else None
        return {"session": told["session"], "difficulty": level, "note": note, "recommended": found}

    def _finished(self, owner: str | None, number: int | None) -> dict[str, Any]:
        if number is None:
            own = [one for one in self._diagnosis.sessions(owner) if one["status"] == COMPLETED]
            number = own[0]["session"] if own else None
        told = self._diagnosis.session(number, owner) if number is not None else None
        if told is None or told["status"] != COMPLETED:
            raise Refused("no test was finished yet", next="wherry tutor test start ID, then submit it")
        return told

    def _near(self, told: Mapping[str, Any], answered: Sequence[int], level: int, k: int) -> list[dict[str, Any]]:
        """Return the nearest neighbours of the missed questions, by the best similarity to any of them."""
        points = self._resources.points()
        missed = [str(number) for number in told["missed"]]
        vectors = points.vectors(missed)
        asked = [(number, vectors[number]) for number in missed if number in vectors]
        where = condition(
            QUESTION, department=told["department"], difficulty={"$gte": level - 1, "$lte": level + 1},
            question_id={"$nin": list(answered)},
        )  # fmt: skip
        best: dict[int, tuple[float, str]] = {}
        for (number, _), hits in zip(asked, points.nearest(asked, k, where) if asked else [], strict=True):
            for hit in hits:
                similarity, found = round(hit.similarity or 0.0, 6), number_of(hit.id, dict(hit.metadata))
                if found is not None and (found not in best or similarity > best[found][0]):
                    best[found] = (similarity, number)
        seen = self._visible(list(best))
        same = (i for i in best if i in seen and seen[i]["department"] == told["department"])
        order = sorted(same, key=lambda i: (-best[i][0], i))
        return [
            seen[i] | {
                "similarity": best[i][0],
                "reason": f"틀린 {best[i][1]}번 문항과 비슷합니다 (유사도 {best[i][0]:.2f})",
            }
            for i in order[:k]
        ]  # fmt: skip

    def _practice(self, told: Mapping[str, Any], answered: Sequence[int], level: int, k: int) -> list[dict[str, Any]]:
        weak = {area["name"] for area in told["areas"] if area["verdict"] == "weak" and area["kind"] != "difficulty"}
        query = select(Question).where(
            Question.approval_status == "approved", Question.is_active, Question.id.not_in(list(answered)),
            Question.department.is_not_distinct_from(told["department"]), Question.difficulty == level,
        )  # fmt: skip
        if weak:
            query = query.where(Question.area.in_(weak) | Question.subject.in_(weak))
        place = "약점 영역" if weak else "전 영역"
        with self._db.session() as session:
            rows = session.scalars(query.order_by(Question.id).limit(k))
            return [
                shown(q, True)
                | {"similarity": None, "reason": f"{place} {q.area or q.subject or ''}의 난이도 {level} 문항입니다"}
                for q in rows
            ]

    def _answered(self, owner: str) -> list[int]:
        query = select(DiagnosisResponse.question_id).join(DiagnosisSession).where(DiagnosisSession.user_id == owner)
        with self._db.session() as session:
            return sorted(set(session.scalars(query)))

    def _visible(self, numbers: Sequence[int]) -> dict[int, dict[str, Any]]:
        query = select(Question).where(
            Question.id.in_(list(numbers)), Question.approval_status == "approved", Question.is_active
        )
        with self._db.session() as session:
            return {question.id: shown(question, True) for question in session.scalars(query)}


def _hit(hit: Hit) -> dict[str, Any]:
    return {
        "id": hit.id, "similarity": round(hit.similarity or 0.0, 6), "text": hit.text, "payload": dict(hit.metadata),
    }  # fmt: skip
