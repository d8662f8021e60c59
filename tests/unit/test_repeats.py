"""Finding ids that a store shows more than once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from wherry.moving.repeats import repeated_ids


class Listing:
    """Ids in pages, and how often they were read."""

    def __init__(self, pages: list[list[str]]) -> None:
        self.pages, self.read = pages, 0

    def __call__(self) -> Iterator[pa.Array]:
        self.read += 1
        for page in self.pages:
            yield pa.array(page, type=pa.string())


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=4), max_size=6))
def test_exactly_the_repeated_ids_are_found(pages: list[list[str]]) -> None:
    counted = Counter(i for page in pages for i in page)
    assert repeated_ids(Listing(pages)) == {i: n for i, n in counted.items() if n > 1}


def test_a_listing_without_repetitions_is_read_once() -> None:
    listing = Listing([["a", "A", "a "], ["á", "a\u0301"]])
    assert repeated_ids(listing) == {}
    assert listing.read == 1
