"""`wherry ask`: asking, and showing the answer as it comes."""

from __future__ import annotations

import os
import sys

from wherry import out
from wherry.answering.ask import answered
from wherry.answering.ask_results import Answer, source_of
from wherry.answering.ask_settings import Settings
from wherry.cli.bars import listening
from wherry.cli.words import duration, safe


def ask(question: str, address: str, settings: Settings, json: bool) -> int:
    """Ask and print the answer: piece by piece on a terminal, as a whole elsewhere."""
    live = not json and sys.stdout.isatty()
    answer: Answer | None = None
    with listening(json, address):
        for piece in answered(question, address, settings, streaming=live):
            if isinstance(piece, Answer):
                answer = piece
            elif live:
                _put_piece(piece)
    if answer is None:
        raise TypeError("the answer has no end")
    if json:
        out.put_json(answer.to_dict())
    else:
        out.put(("\n" if live else f"{_shown(answer.text)}\n") + "\n".join(below(answer)))
    return 0


def below(answer: Answer) -> list[str]:
    """Return what stands under an answer: its sources, how it was made, and its notes."""
    lines = [f"[{one.number}] {safe(source_of(one))}" for one in answer.citations]
    made = f"by {answer.model}" if not answer.extractive else "quoted from the records"
    talk = f", conversation {answer.conversation}" if answer.conversation else ""
    lines.append(f"{made}, from {safe(answer.address)}, {duration(answer.seconds)}{talk}")
    return ["", *lines, *(f"note: {safe(note)}" for note in answer.notes)]


def _put_piece(piece: str) -> None:
    """Write a part of a line to stdout at once."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(_shown(piece).encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has left, which is no failure of the act.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _shown(text: str) -> str:
    """Return text that cannot steer the terminal; line breaks and tabs stay."""
    return "\n".join("\t".join(map(safe, line.split("\t"))) for line in text.split("\n"))
