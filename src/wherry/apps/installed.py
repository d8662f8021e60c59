"""The apps that are installed, as packages name them in their entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from wherry.apps.app import App
from wherry.errors import Usage

GROUP = "wherry.apps"


def names() -> list[str]:
    """Return the names of the installed apps in their order; none is imported."""
    return sorted({one.name for one in entry_points(group=GROUP)})


def find(name: str) -> App:
    """Return the app of a name. Raises Usage when there is none, or when its package cannot be used."""
    found = [one for one in entry_points(group=GROUP) if one.name == name]
    if not found:
        raise Usage(f"no app is called {name!r}", next=f"there are: {', '.join(names()) or 'none'}")
    return _loaded(found[0])


def installed() -> list[App]:
    """Return every installed app, by name."""
    # One look for all: each reads the metadata of every package there is.
    found = {one.name: one for one in entry_points(group=GROUP)}
    return [_loaded(found[name]) for name in sorted(found)]


def _loaded(entry: EntryPoint) -> App:
    try:
        app = entry.load()
    except (ImportError, AttributeError) as error:
        raise Usage(
            f"the app {entry.name} cannot be loaded: {error}", where=entry.value, next="install its package again"
        ) from None
    if not isinstance(app, App):
        raise Usage(f"{entry.value} is no wherry.App", where=f"entry point {entry.name!r} of {GROUP}")
    return app
