"""What Interview does, for commands and endpoints alike. Every function takes the opened service first.

opened.py      the opened service: database, embedder, chat model
rows.py        rows as JSON, and whose they are
records.py     create, read, update, delete of the six kinds of records
people.py      lists of applicants, with what blind companies hide
intake.py      a file, read: PDF or text
embedding.py   vectors of chunks, five at a time
jobs.py        a job post comes in; reembed
bulk.py        many posts at once
analysis.py    what a post asks for, by rule or by a model
searching.py   chunks by meaning, by all three operators
questions.py   questions made, and read from a file
sessions.py    an interview: start, answer, follow-up, end
asking.py      a question as scoring needs it, scores as a row holds them
scoring.py     one answer, scored by a model or by rule
results.py     evaluation, results of a session, comparison of applicants
transcripts.py transcripts of three shapes (transcript_forms.py)
setup.py       init
prompts.py     what models are told

`owner` is whose rows are meant: the tenant of a key; None, for the command line and operators, means everybody's.
"""

from __future__ import annotations

from wherry_apps.interview.service.opened import Interview, open_service

__all__ = ["Interview", "open_service"]
