"""Cutting a file into ranges of row groups of about equal size.

A bound is the number of a row group with the size of the file in bytes, `17/8123456`: a file that took the place of
the one that was cut is noticed.
"""

from __future__ import annotations

from itertools import accumulate, pairwise

from wherry.stores.base import Range


def ranges(groups: list[int], parts: int, size: int) -> list[Range]:
    """Cut row groups, given by their numbers of records, into at most `parts` ranges."""
    total, ends = sum(groups), list(accumulate(groups))
    if not total:
        return []
    wanted = [total * number / parts for number in range(1, parts)]
    # A range ends behind the group whose end is nearest to where it should.
    cuts = {min(range(len(ends)), key=lambda group: abs(ends[group] - at)) + 1 for at in wanted}
    bounds = [0, *sorted(cut for cut in cuts if cut < len(groups)), len(groups)]
    return [Range(f"{first}/{size}", f"{end}/{size}", sum(groups[first:end])) for first, end in pairwise(bounds)]


def span(part: Range, groups: list[int], size: int) -> range | None:
    """Return the numbers of the row groups of a range; None when it was cut from another file."""
    first, end = (bound.split("/") for bound in (part.first or "", part.end or ""))
    if first[1:] != [str(size)] or end[1:] != [str(size)] or int(end[0]) > len(groups):
        return None
    return range(int(first[0]), int(end[0]))
