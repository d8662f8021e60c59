"""The fingerprints: one encoding per list of fields, and each change changes what depends on it."""

from __future__ import annotations

import hashlib
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from wherry.indexing import fingerprints as fp
from wherry.indexing.base import Stamp
from wherry.indexing.diff import compare, split
from wherry.indexing.preparing import Piece, Prepared
from wherry.space import Metric, Space

FIELDS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.binary(max_size=8) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


def told(field: object) -> object:
    """Return a field in a form in which True is not 1 and lists are not tuples."""
    if isinstance(field, list):
        return ["list", *map(told, field)]
    return [type(field).__name__, field]


@given(FIELDS, FIELDS)
def test_two_different_fields_never_have_one_encoding(one: object, other: object) -> None:
    assert (fp.encode(one) == fp.encode(other)) is (told(one) == told(other))  # type: ignore[arg-type]


@given(st.lists(st.text(max_size=6), max_size=4), st.lists(st.text(max_size=6), max_size=4))
def test_fields_are_not_joined(one: list[str], other: list[str]) -> None:
    assert (fp.fingerprint("x", *one) == fp.fingerprint("x", *other)) is (one == other)
    assert fp.fingerprint("x", "ab", "c") != fp.fingerprint("x", "a", "bc") != fp.fingerprint("xa", "bc")


def test_a_fingerprint_is_the_same_on_every_machine_and_for_ever() -> None:
    assert fp.fingerprint("chunk", "혈압").hex() == fp.chunk_fp("혈압").hex()
    assert fp.chunk_fp("혈압").hex() == "5cda2fca9ca436b02217cb126e20e5db55342ed8cacd6c35c823076fcf9dfe3d"
    assert fp.chunk_id("folder", "글.md", fp.chunk_fp("혈압"), 0) == "54e48ff0-68de-5ded-9dc9-d2320ea61d03"
    code = "from wherry.indexing import fingerprints as fp; print(fp.chunk_fp('혈압').hex())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                           env={"PYTHONHASHSEED": "7"})  # fmt: skip
    assert other.stdout.strip() == fp.chunk_fp("혈압").hex()


def test_what_makes_another_vector_makes_another_key_and_nothing_else_does() -> None:
    space = Space(16, Metric.COSINE, "p", "m", "d", True, "query: ", "passage: ")
    changes = {"dimension": 8, "provider": "q", "model": "n", "model_digest": "e", "normalised": False,
               "document_prompt": "doc: "}  # fmt: skip
    keys = {fp.settings_fp(Space(**{**vars(space), name: value})) for name, value in changes.items()}
    assert len(keys | {fp.settings_fp(space)}) == len(changes) + 1
    same = {"query_prompt": "other", "metric": Metric.L2}
    assert {fp.settings_fp(Space(**{**vars(space), name: value})) for name, value in same.items()} == {
        fp.settings_fp(space)
    }


def test_metadata_counts_without_its_order_and_its_volatile_keys() -> None:
    assert fp.meta_fp({"a": 1, "b": [2]}) == fp.meta_fp({"b": [2], "a": 1, "mtime": 7, "fetched_at": "now"})
    assert fp.meta_fp({"a": 1}) != fp.meta_fp({"a": 1.0}) != fp.meta_fp({"a": "1"})


@given(st.dictionaries(st.text(max_size=5), st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 2**64 - 1))))
def test_a_listing_counts_every_part_of_every_stamp(listing: dict[str, tuple[int, int, int]]) -> None:
    stamps = [(name, Stamp(*parts)) for name, parts in sorted(listing.items())]
    base = fp.scan_fp(stamps)
    for position, (name, stamp) in enumerate(stamps):
        for other in (Stamp(stamp.size + 1, stamp.mtime_ns, stamp.inode), Stamp(stamp.size, stamp.mtime_ns + 1,
                      stamp.inode), Stamp(stamp.size, stamp.mtime_ns, stamp.inode ^ 1), None):  # fmt: skip
            changed = [*stamps[:position], (name, other), *stamps[position + 1 :]]
            assert fp.scan_fp(changed) != base
    assert fp.scan_fp([*stamps, ("zzzzzz", None)]) != base


@given(st.lists(st.sampled_from("가나다라마"), max_size=12))
def test_every_chunk_of_a_document_has_an_id_of_its_own_which_its_text_keeps(texts: list[str]) -> None:
    ids = fp.chunk_ids("s", "d", [fp.chunk_fp(text) for text in texts])
    assert len(set(ids)) == len(ids)
    moved = fp.chunk_ids("s", "d", [fp.chunk_fp(text) for text in ["맨 앞", *texts]])
    assert moved[1:] == ids
    assert not set(ids) & set(fp.chunk_ids("s", "other", [fp.chunk_fp(text) for text in texts]))


def prepared(texts: list[str]) -> Prepared:
    """A document of some paragraphs."""
    keys = [fp.chunk_fp(text) for text in texts]
    ids = fp.chunk_ids("s", "d", keys)
    pieces = [Piece(i, t, "{}", k, fp.meta_fp({"chunk": n})) for n, (i, t, k) in enumerate(zip(ids, texts, keys))]  # noqa: B905
    return Prepared("d", "s", None, b"", b"", b"", tuple(pieces))


@given(st.lists(st.sampled_from("가나다라"), max_size=8), st.lists(st.sampled_from("가나다라"), max_size=8))
def test_a_change_turns_the_old_rows_into_the_new_ones(before: list[str], after: list[str]) -> None:
    from wherry.indexing.diff import Known

    old, new = prepared(before), prepared(after)
    known = Known("d", b"x", b"", b"", tuple(p.fp for p in old.pieces), tuple(p.meta_fp for p in old.pieces))
    change = compare(new, known)
    rows = {piece.id: (piece.text, piece.meta_fp) for piece in old.pieces}
    for position in change.drop:
        del rows[change.old_ids[position]]
    for was, now in change.move:
        text, _ = rows.pop(change.old_ids[was])
        rows[new.pieces[now].id] = (text, new.pieces[now].meta_fp)
    for position in change.put:
        assert new.pieces[position].id not in rows
        rows[new.pieces[position].id] = (new.pieces[position].text, new.pieces[position].meta_fp)
    assert rows == {piece.id: (piece.text, piece.meta_fp) for piece in new.pieces}
    kept = sum(min(before.count(text), after.count(text)) for text in set(before))
    assert len(change.put) == len(after) - kept, "a paragraph that stayed was embedded again"


def test_packed_fingerprints_come_apart_again() -> None:
    parts = tuple(hashlib.sha256(bytes([n])).digest() for n in range(5))
    assert split(b"".join(parts)) == parts
    assert split(b"") == ()
