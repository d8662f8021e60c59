"""Hypothesis strategies for conditions and the metadata they meet: few keys and values, so that they do meet."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from wherry.where import All, AnyOf, Compare, Not, Scalar, Where

KEYS = (
    *("page", "source", "a", "b", "a.b", "a.b.c", "태그", "", "$ref"),
    *("x'); DROP TABLE canary; --", 'q"%s$1', "z.\\"),
)
NUMBERS = (
    *(0, 1, -1, 3, 2**53 + 1, 2**60, 2**63, -(2**63), 10**22, 10**30),
    *(1.0, -0.0, 0.1, 2.5, 1e22, 1e23, 2.0**60, 5e-324),
)
TEXTS = (
    *("", "a", "b", "A", "가", "각", "혈당.pdf", "3", "true", "😀", "a b", "\n"),
    *("a\x00b", "\x00", "'; --", "%", '"', "\\"),
)


def scalars() -> st.SearchStrategy[Any]:
    """Draw scalars, mostly of a small stock in which equal ones come often."""
    few = st.sampled_from((*NUMBERS, *TEXTS, True, False, None))
    return few | st.text(max_size=4) | st.integers() | st.floats(allow_nan=False, allow_infinity=False)


def metadata(nul: bool = True) -> st.SearchStrategy[dict[str, Any] | None]:
    """Draw metadata objects, nested and with lists. nul: whether texts may hold U+0000."""
    values = scalars() if nul else scalars().map(_without_nul)
    some = values | st.lists(values, max_size=3)
    deep = st.recursive(
        some, lambda inner: st.dictionaries(_keys(nul), inner, max_size=3) | st.lists(inner, max_size=2)
    )
    return st.none() | st.dictionaries(_keys(nul), deep, max_size=5)


def conditions(max_leaves: int = 6) -> st.SearchStrategy[Where]:
    """Draw conditions of up to `max_leaves` comparisons."""
    keys = st.sampled_from(KEYS) | st.text(max_size=3)
    one = st.builds(Compare, keys, st.sampled_from(("eq", "ne")), scalars())
    many = st.builds(Compare, keys, st.sampled_from(("in", "nin")), st.lists(scalars(), max_size=3).map(tuple))
    being = st.builds(Compare, keys, st.just("exists"), st.booleans())
    order = st.builds(Compare, keys, st.sampled_from(("gt", "gte", "lt", "lte")), scalars().filter(_has_order))
    return st.recursive(one | many | being | order, _joined, max_leaves=max_leaves)


def _joined(inner: st.SearchStrategy[Where]) -> st.SearchStrategy[Where]:
    several = st.lists(inner, max_size=3).map(tuple)
    return st.builds(All, several) | st.builds(AnyOf, several) | st.builds(Not, inner)


def _keys(nul: bool) -> st.SearchStrategy[str]:
    keys = st.sampled_from((*KEYS, "c", "b.c"))
    return keys if nul else keys.filter(lambda key: "\x00" not in key)


def _has_order(value: Scalar) -> bool:
    return value is not None and not isinstance(value, bool)


def _without_nul(value: Any) -> Any:
    return value.replace("\x00", "") if isinstance(value, str) else value
