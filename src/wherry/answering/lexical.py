"""Keeping the words of a collection in step with it, wherever they are kept.

A store that can keep words does so itself, where that was asked for; otherwise they lie in files of the state
folder. Before a search, what changed is found in the cheapest way that is a proof:

    a store with marks         what was written since the mark is read, deletions show in the count
    a small collection         everything is read and compared by digest
    any other                  the ids are listed; `wherry lexicon build` reads everything
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from wherry.answering.lexical_shared import Shared
from wherry.answering.lexical_sidecar import Sidecar
from wherry.answering.tokens import Tokenizer, digest
from wherry.errors import Unsupported
from wherry.moving.census import Census, census
from wherry.moving.standing import mark_of
from wherry.record import Page
from wherry.state import file_name, home, locked
from wherry.stores.base import Readable, Versioned, glance
from wherry.stores.lexical import KeepsWords, Lexical, Lexicon

# A collection of so many records is read whole in a few milliseconds.
SMALL = 2_000
_ROWS = 2_048


@dataclass
class Step:
    """What a refresh did. read: records looked at; written: whose words were made; forgotten: removed."""

    read: int = 0
    written: int = 0
    forgotten: int = 0
    whole: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the step as a JSON object."""
        return {"read": self.read, "written": self.written, "forgotten": self.forgotten, "whole": self.whole}


def lexical_of(store: Readable, *, inside: bool | None = None) -> Lexical:
    """Return where the words of a collection are kept.

    inside: True makes room for them in the store, None uses that where it is, False never does. Raises Unsupported
    for a store without such room.
    """
    folder = home() / "lexicon" / file_name(store.identity)
    shelf = store.word_shelf(make=bool(inside)) if inside is not False and isinstance(store, KeepsWords) else None
    if shelf is not None:
        return Shared(folder.with_name(f"{folder.name}-shared"), shelf)
    if inside:
        raise Unsupported(
            "this store has no room for words", where=store.address, next="leave out --inside: they are kept beside it"
        )
    return Sidecar(folder)


def refresh(store: Readable, lexical: Lexical, tokenizer: Tokenizer, *, full: bool = False) -> Step:
    """Bring the words of a collection in line with it; what did not change costs no tokenizing.

    full: everything is read, whatever marks say. Where nobody made them yet and another one is making them, it waits;
    where there are some, it raises Busy, because they can be searched as they are.
    """
    state = lexical.state()
    if state is not None and not full and _in_step(store, lexical, state, tokenizer):
        return Step()
    with writing(store, wait=state is None):
        # What another process wrote since these words were opened is not written again.
        lexical.abandon()
        state = lexical.state()
        if state is not None and not full and _in_step(store, lexical, state, tokenizer):
            return Step()
        try:
            return _refreshed(store, lexical, tokenizer, full)
        except BaseException:
            lexical.abandon()
            raise


def writing(store: Readable, wait: bool = False) -> AbstractContextManager[None]:
    """Hold the words of a collection against other writers of this state folder, or raise Busy."""
    return locked(f"lexicon {store.identity}", f"the words of {store.address}", wait)


def _in_step(store: Readable, lexical: Lexical, state: Lexicon, tokenizer: Tokenizer) -> bool:
    """Tell whether nothing has to be written, by what can be asked without reading records."""
    if state.tokenizer != tokenizer.identity:
        return False
    if isinstance(store, Versioned) and state.mark is not None:
        since = store.touched(state.mark)
        return since is not None and not len(since.ids) and since.count == lexical.statistics().count
    count = glance(store).count
    if count > SMALL:
        return _census(census(store.ids())) == state.census
    return count == lexical.statistics().count and not _differs(store, lexical)


def _differs(store: Readable, lexical: Lexical) -> bool:
    """Tell whether any record of a small collection is new or changed."""
    held = _held(lexical)
    return any(_changed(*_columns(page), held) for page in store.scan(_ROWS))


def _refreshed(store: Readable, lexical: Lexical, tokenizer: Tokenizer, full: bool) -> Step:
    state, mark = lexical.state(), mark_of(store)
    notes = dict(state.notes) if state else {}
    if state is None or state.tokenizer != tokenizer.identity:
        lexical.clear()
        state, notes = None, {}
    step = Step()
    touched = None if full or state is None else _touched(store, state)
    if touched is None:
        seen = _everything(store, lexical, tokenizer, step)
    else:
        _write(lexical, tokenizer, store.fetch(touched.ids), step)
        seen = None
        if touched.count != lexical.statistics().count:
            seen = _listed(store, lexical, step)
    if seen is None:
        seen = Census() if state is None else Census(*state.census)
    lexical.keep(Lexicon(tokenizer.identity, mark, _census(seen), notes))
    return step


def _touched(store: Readable, state: Lexicon) -> Any:
    return store.touched(state.mark) if isinstance(store, Versioned) and state.mark is not None else None


def _everything(store: Readable, lexical: Lexical, tokenizer: Tokenizer, step: Step) -> Census:
    """Read the whole collection, write what differs, forget what is gone; return a census of its ids."""
    step.whole = True
    held = _held(lexical)
    seen, found = Census(), set[str]()
    for page in store.scan(_ROWS):
        ids = page.records.column("id")
        seen = seen.with_ids(ids.to_pylist())
        found.update(ids.to_pylist())
        _write(lexical, tokenizer, page, step, held)
    gone = [name for name in held if name not in found]
    lexical.forget(gone)
    step.forgotten += len(gone)
    return seen


def _listed(store: Readable, lexical: Lexical, step: Step) -> Census:
    """Forget what a listing of the ids no longer has; return a census of them."""
    there = set[str]()
    for ids in store.ids():
        there.update(ids.to_pylist())
    gone = [name for names, _ in lexical.known() for name in names if name not in there]
    lexical.forget(gone)
    step.forgotten += len(gone)
    return census([pa.array(sorted(there), type=pa.string())])


def _write(lexical: Lexical, tokenizer: Tokenizer, page: Page, step: Step, held: dict[str, int] | None = None) -> None:
    """Make the words of those records of a page that are new or differ."""
    ids, texts, metadata = _columns(page)
    step.read += len(ids)
    if held:
        keep = _changed(ids, texts, metadata, held)
        ids, texts, metadata = [ids[at] for at in keep], [texts[at] for at in keep], [metadata[at] for at in keep]
    if ids:
        lexical.update(tokenizer.bags(ids, texts, metadata))
        step.written += len(ids)


def _columns(page: Page) -> tuple[list[str], list[str | None], list[str | None]]:
    batch = page.records
    return tuple(batch.column(name).to_pylist() for name in ("id", "text", "metadata"))  # type: ignore[return-value]


def _changed(ids: list[str], texts: list[str | None], metadata: list[str | None], held: dict[str, int]) -> list[int]:
    rows = zip(ids, texts, metadata, strict=True)
    return [at for at, (name, text, data) in enumerate(rows) if held.get(name) != digest(text, data)]


def _held(lexical: Lexical) -> dict[str, int]:
    """Return the digest of every record whose words are held, by id."""
    return {name: mark for names, marks in lexical.known() for name, mark in zip(names, marks.tolist(), strict=True)}


def _census(found: Census) -> tuple[int, int]:
    return (found.count, found.total)
