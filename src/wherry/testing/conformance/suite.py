"""How the tests are run: under pytest with strict gaps, or one by one as plain calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import pytest

from wherry.testing.conformance.fixtures import Fixtures, Gap
from wherry.testing.conformance.place import Place


class Suite:
    """The part every group of tests shares. A subclass names its fixtures class in `fixtures`."""

    fixtures: ClassVar[type[Fixtures]]

    engine: ClassVar[Fixtures]
    _folder: ClassVar[TemporaryDirectory[str]]

    @classmethod
    def setup_class(cls) -> None:
        """Make one instance of the fixtures class, with a folder of its own, for all tests."""
        cls._folder = TemporaryDirectory(prefix="wherry-")
        cls.engine = cls.fixtures(Path(cls._folder.name))

    @classmethod
    def teardown_class(cls) -> None:
        """Close the fixtures and remove their folder."""
        cls.engine.close()
        cls._folder.cleanup()

    @pytest.fixture
    def place(self, request: pytest.FixtureRequest) -> Iterator[Place]:
        """The engine as one test sees it. A declared gap must fail: one that closed is an error."""
        gap = gap_for(request.node.name, self.engine.gaps)
        if gap is not None:
            request.node.add_marker(pytest.mark.xfail(reason=str(gap), strict=True))
        place = Place(self.engine)
        yield place
        place.close()

    def test_gaps_name_tests_of_this_suite(self) -> None:
        """A gap for a test that is not there would excuse nothing, or the wrong thing."""
        names = {name for name, _ in cases(type(self))}
        known = names | {name.partition("[")[0] for name in names}
        assert set(self.fixtures.gaps) - known == set()


def gap_for(test: str, gaps: Mapping[str, Gap]) -> Gap | None:
    """Return the gap declared for one test, or for all cases of it."""
    return gaps.get(test) or gaps.get(test.partition("[")[0])


def cases(suite: type[Suite]) -> Iterator[tuple[str, Callable[[Place], None]]]:
    """Yield every test of a suite as (name, function of a place), one per parametrized case."""
    for name in sorted(n for n in dir(suite) if n.startswith("test_") and n != _SELF_TEST):
        test = getattr(suite(), name)
        marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
        if not marks:
            yield name, test
        for mark in marks:
            argument, values = mark.args
            for value, label in zip(values, mark.kwargs["ids"], strict=True):
                yield f"{name}[{label}]", _bound(test, argument, value)


def verdicts(suite: type[Suite], engine: Fixtures, only: str = "") -> dict[str, str]:
    """Run the tests whose name starts with `only` without pytest, as plain calls.

    Returns name -> `passed`, `skipped` or the error's first line. Gaps do not count here: this is
    for showing that the suite catches a store that is wrong on purpose.
    """
    return {name: _verdict(test, engine) for name, test in cases(suite) if name.startswith(only)}


def _verdict(test: Callable[[Place], None], engine: Fixtures) -> str:
    place = Place(engine)
    try:
        test(place)
    except pytest.skip.Exception:
        return "skipped"
    except (Exception, pytest.fail.Exception) as error:
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    finally:
        place.close()
    return "passed"


def _bound(test: Callable[..., None], argument: str, value: Any) -> Callable[[Place], None]:
    return lambda place: test(place, **{argument: value})


_SELF_TEST = Suite.test_gaps_name_tests_of_this_suite.__name__
