"""One app: what a package hands to Wherry so that `wherry NAME` and `wherry serve` have it.

    app = App(
        name="notes",
        about="Notes that can be asked.",
        commands="my_notes.cli:commands",
        router="my_notes.api:router",
        service="my_notes.service:open_service",
    )

The package names it in its entry points: `[project.entry-points."wherry.apps"]`, `notes = "my_notes:app"`.
Everything but the name is imported when it is first used. An app in one file may hand over the things themselves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

from wherry.errors import MissingExtra, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,30}")


@dataclass(frozen=True)
class App:
    """An app. Each part is a place, written `module:name`, or the thing itself; empty where the app has none.

    about: one line for `--help`. commands: a `typer.Typer`. router: a `fastapi.APIRouter`, mounted under /api/NAME.
    service: called without arguments once per process; what it returns is shared by all endpoints, may be used by
    several threads, and has `close()`. background: called with that service after the start of `wherry serve`;
    returns what has `start()` and `stop()`. body_limit_bytes: the largest request under /api/NAME.
    """

    name: str
    about: str
    commands: Any = ""
    router: Any = ""
    service: Any = ""
    background: Any = ""
    body_limit_bytes: int = 1_000_000

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise Usage(f"{self.name!r} cannot be the name of an app", next="use a-z, 0-9, '-' and '_', at most 31")

    def load(self, part: str) -> Any:
        """Return a part of the app, None where it is empty. Raises Usage when it is not there, MissingExtra."""
        place = getattr(self, part)
        if not isinstance(place, str) or not place:
            return place or None
        module, _, name = place.partition(":")
        try:
            return getattr(import_module(module), name)
        except ModuleNotFoundError as error:
            raise MissingExtra(
                f"the app {self.name} needs the package {error.name}", where=part, next="pip install 'wherry[apps]'"
            ) from error
        except AttributeError:
            raise Usage(f"the app {self.name} has no {place}", where=part) from None

    @cached_property
    def opened(self) -> Callable[..., Any]:
        """A dependency for endpoints: the app's service, made at the first request of the process."""
        from wherry.apps.opened import dependency

        return dependency(self)
