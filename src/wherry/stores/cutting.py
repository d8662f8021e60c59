"""Cutting a file into ranges of row groups of about equal size.

A bound is the number of a row group with a stamp of the file, `17/8123456`: a file that took the place of the one
that was cut is noticed.
"""

from __future__ import annotations

from itertools import accumulate, pairwise

from wherry.errors import SourceChanged
from wherry.stores.base import Range


def ranges(groups: list[int], parts: int, stamp: str) -> list[Range]:
    """Cut row groups, given by their numbers of records, into at most `parts` ranges. stamp: holds no slash."""
    total, ends = sum(groups), list(accumulate(groups))
    if not total:
        return []
    wanted = [total * number / parts for number in range(1, parts)]
    # A range ends behind the group whose end is nearest to where it should.
    cuts = {min(range(len(ends)), key=lambda group: abs(ends[group] - at)) + 1 for at in wanted}
    bounds = [0, *sorted(cut for cut in cuts if cut < len(groups)), len(groups)]
    return [Range(f"{first}/{stamp}", f"{end}/{stamp}", sum(groups[first:end])) for first, end in pairwise(bounds)]


def span(part: Range, groups: int, stamp: str, where: str) -> range:
    """Return the numbers of the row groups of a range. Raises SourceChanged when it was cut from another file."""
    first, end = ((bound or "").split("/") for bound in (part.first, part.end))
    if first[1:] != [stamp] or end[1:] != [stamp] or int(end[0]) > groups:
        raise SourceChanged("the file is another one than the one that was cut", where=where)
    return range(int(first[0]), int(end[0]))
