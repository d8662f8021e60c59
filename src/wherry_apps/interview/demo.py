"""The story of `wherry interview demo`: posts come in, chunks are found, interviews are held, applicants compared.

It plays in a schema of its own, which is dropped and made anew each time; no key and no network are needed. One
interview loses its connection on the way and goes on where it stopped.
"""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa

import wherry
from wherry_apps.interview import printing, story
from wherry_apps.interview.forms import SessionForm
from wherry_apps.interview.service import jobs, records, results, searching, sessions, transcripts
from wherry_apps.interview.service.opened import Interview
from wherry_apps.interview.service.setup import initialise

SCHEMA = "interview_demo"
JOB = "백엔드 엔지니어"
THIRD = "박강산"


def play(json: bool) -> int:
    """Play the story and print it, or print what happened as one JSON object."""
    began = time.monotonic()
    on = Interview(embedder="hash:1024", chat="offline", schema=SCHEMA)
    try:
        told = _Told()
        found = _story(on, told)
    finally:
        on.close()
    found["seconds"] = round(time.monotonic() - began, 1)
    return wherry.put_result(found, [*told.lines, "", f"all of it took {found['seconds']} s, offline"], json)


class _Told:
    """What is told of the story."""

    def __init__(self) -> None:
        self.lines: list[Any] = []

    def chapter(self, title: str, lines: list[Any]) -> None:
        """Tell a chapter."""
        self.lines += ["", f"── {title}", *lines]


def _story(on: Interview, told: _Told) -> dict[str, Any]:
    with on.database.begin() as connection:
        connection.execute(sa.text(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"))
    setup = initialise(on)
    told.chapter(
        "init: the extension, the tables, the index",
        [f"vector {setup['pgvector']}, {len(setup['tables'])} tables, idx_job_chunks_embedding_hnsw"],
    )
    company = records.create(on, None, "companies", {"name": "나루 물류"})["id"]
    uploaded = {
        title: jobs.upload(on, None, company, title, text.encode(), f"{title}.txt")
        for title, text in story.posts().items()
    }
    told.chapter("three job posts come in", [line for one in uploaded.values() for line in printing.uploaded(one)])
    job = uploaded[JOB].job_id
    hits = [one.to_dict() for one in searching.search(on, None, "분산 캐시 설계 경험", 3)]
    told.chapter("which post is about 분산 캐시 설계 경험?", printing.hits(hits))
    held = {name: _interview(on, told, name, given, job) for name, given in story.answers().items()}
    held[THIRD] = _imported(on, told, job)
    compared = results.compare(on, None, job)
    told.chapter(f"everybody who was interviewed as {JOB}", printing.comparison(compared))
    return {
        "company_id": company,
        "jobs": {title: one.to_dict() for title, one in uploaded.items()},
        "hits": hits,
        "interviews": {name: one["summary"] for name, one in held.items()},
        "comparison": compared,
    }


def _interview(on: Interview, told: _Told, name: str, given: list[str], job: int) -> dict[str, Any]:
    person = records.create(on, None, "applicants", {"name": name})["id"]
    here = sessions.start(on, None, SessionForm(applicant_id=person, job_id=job))
    lines = [f"interview {here['id']}: {here['question']['of']} questions made by rule from the post"]
    lost = False
    while here["question"] is not None:
        index, follow_up = here["question"]["index"], here["question"]["follow_up"]
        # Nobody has more to say when asked once more.
        text = "더 말씀드릴 것은 없습니다." if follow_up else given[index]
        here = sessions.answer(on, None, here["id"], text, here["turn"])
        if index == 2 and not lost:
            lost = True
            here = _gone(on, here, text)
            lines.append(f"the connection was lost after question {index + 1}; it went on at turn {here['turn']}")
    found = results.evaluate(on, None, here["id"])
    told.chapter(f"{name} is interviewed", [*lines, *printing.results(found)])
    return found


def _gone(on: Interview, here: dict[str, Any], text: str) -> dict[str, Any]:
    """Lose the reply to an answer: it is sent again, and counts once."""
    again = sessions.answer(on, None, here["id"], text, here["turn"] - 1)
    if not again["again"]:
        raise wherry.Integrity("an answer that was sent twice was stored twice", where=f"interview {here['id']}")
    return sessions.resume(on, None, here["id"])


def _imported(on: Interview, told: _Told, job: int) -> dict[str, Any]:
    person = records.create(on, None, "applicants", {"name": THIRD})["id"]
    found = transcripts.import_transcript(on, None, story.transcript(), person, job)
    lines: list[Any] = [f"shape {found['shape']}, {len(found['not_scored'])} answer not recognised, and so not scored"]
    told.chapter(f"the voice interview of {THIRD} comes in as a transcript", [*lines, *printing.results(found)])
    return found
