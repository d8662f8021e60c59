"""The apps that are installed, as packages name them in their entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from wherry.apps.app import App
from wherry.errors import Usage

GROUP = "wherry.apps"


def find(name: str) -> App:
    """Return the app of a name. Raises Usage when there is none, or when its package cannot be used."""
    found = lookup(name)
    if found is None:
        raise Usage(f"no app is called {name!r}", next=f"there are: {', '.join(sorted(_entries())) or 'none'}")
    return found


def lookup(name: str) -> App | None:
    """Return the app of a name, None when there is none. Raises Usage when its package cannot be used."""
    entry = _entries().get(name)
    return None if entry is None else _loaded(entry)


def installed() -> list[App]:
    """Return every installed app, by name."""
    found = _entries()
    return [_loaded(found[name]) for name in sorted(found)]


def _entries() -> dict[str, EntryPoint]:
    # Each look reads the metadata of every package there is.
    return {one.name: one for one in entry_points(group=GROUP)}


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
