"""The suite every store must pass: write one class, run pytest, done when green.

1. Write a fixtures class. It says where a collection of your engine is made; everything else is
   optional and only adds tests:

        from urllib.parse import quote
        from wherry.testing.conformance import NEVER, Fixtures, Gap, StoreConformance

        class Mine(Fixtures):
            gaps = {"test_index_parameters_are_kept": Gap(NEVER, "the engine chooses them itself")}

            def address(self, name):              # self.folder is an empty folder
                return f"mine:{self.folder}#{quote(name, safe='')}"

   `listing()` names what is there now (proves that opening a source creates nothing), `drop(name)`
   removes a collection (proves that change tokens do not outlive it), `spoil(name)` puts in records
   that no batch can hold (proves that they are reported); without them those tests are skipped, and
   `pytest -rs` says so. `secrets` is what the addresses hold and must never show. Where no entry point
   leads to your engine yet, override `open_target(name)` and `open_source(name)`.

2. Subclass the suite:

        class TestMine(StoreConformance):
            fixtures = Mine

   A store that cannot write takes `SourceConformance`; its fixtures class fills collections in
   `fill(name, batch, space)` by whatever means the engine has, and says in `capabilities()` what it
   claims.

3. Run pytest. Each failure names the promise that does not hold; the docstring of the test says it
   in words. What you claim in `Capabilities` is measured too: a claim that is too high and a denial
   of what works both fail.

4. What you cannot or will not close yet goes into `gaps`, and nowhere else: the test's name, one of
   three words (`not yet by us`, `not yet upstream`, `never`) and a reason. A declared gap must fail;
   when it closes, the suite fails until the line is removed.

You are done when it is green and every gap that is left is one you can defend.

`verdicts(suite, fixtures)` runs the same tests as plain calls: for showing that a wrong store is caught.
"""

from __future__ import annotations

from wherry.testing.conformance.changes import Changes
from wherry.testing.conformance.claims import Claims
from wherry.testing.conformance.collections import Carding, Holding, Moving, Preparing
from wherry.testing.conformance.fixtures import NEVER, NOT_YET_BY_US, NOT_YET_UPSTREAM, Fixtures, Gap
from wherry.testing.conformance.hostile import Hostile
from wherry.testing.conformance.place import Place
from wherry.testing.conformance.reading import Opening, Reading
from wherry.testing.conformance.searching import Searching
from wherry.testing.conformance.sharing import Sharing
from wherry.testing.conformance.suite import cases, verdicts
from wherry.testing.conformance.twin import Twin
from wherry.testing.conformance.writing import Deleting, Lasting, Replacing, Upserting


class SourceConformance(Reading, Opening):
    """What a store must do that can only be read."""


class StoreConformance(
    SourceConformance,
    Searching,
    Upserting,
    Replacing,
    Deleting,
    Lasting,
    Preparing,
    Carding,
    Holding,
    Moving,
    Claims,
    Changes,
    Sharing,
    Hostile,
    Twin,
):
    """What a store must do that can be read and written."""


__all__ = [
    "NEVER",
    "NOT_YET_BY_US",
    "NOT_YET_UPSTREAM",
    "Fixtures",
    "Gap",
    "Place",
    "SourceConformance",
    "StoreConformance",
    "cases",
    "verdicts",
]
