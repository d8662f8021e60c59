"""Calling an act and printing what it returned; every function returns the exit code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from wherry import out
from wherry.cli import show
from wherry.cli.bars import listening
from wherry.doctor import examine
from wherry.moving.plan import plan as work_out
from wherry.moving.sync import sync as make_equal
from wherry.moving.verify import verify as compare
from wherry.state import home


def laid_out(target: str, layout: str | None) -> str:
    """Return the address of a target with `--layout` as its option `layout`; None leaves it as it is."""
    if layout is None:
        return target
    more = "&" if "?" in target.rpartition("#")[2] else "?"
    return f"{target}{more}layout={quote(layout, safe='')}"


@dataclass(frozen=True)
class Hands:
    """Who brings records over: how many workers, of which engine, where Ray is."""

    workers: int = 1
    engine: str = "local"
    ray_address: str | None = None

    @property
    def flags(self) -> list[str]:
        """The options that say so; none for what is the default."""
        found = [] if self.workers == 1 else ["--workers", str(self.workers)]
        found += [] if self.engine == "local" else ["--engine", self.engine]
        return found + (["--ray-address", self.ray_address] if self.ray_address else [])


def plan(source: str, target: str, hands: Hands, json: bool) -> int:
    """Work out and print what a sync would do."""
    with listening(json, source, target) as progress:
        result = work_out(source, target, progress=progress, **vars(hands))
    if json:
        out.put_json(result.to_dict())
    else:
        out.put_all(show.plan(result, hands.flags))
    return 0


def sync(
    source: str, target: str, level: str, accept_losses: bool, allow_mass_delete: bool, hands: Hands, json: bool
) -> int:
    """Make the target equal to the source."""
    with listening(json, source, target) as progress:
        result = make_equal(
            source,
            target,
            level=level,
            accept_losses=accept_losses,
            allow_mass_delete=allow_mass_delete,
            progress=progress,
            **vars(hands),
        )
    if json:
        out.put_json(result.to_dict())
    else:
        out.put_all(show.sync(result))
    return result.exit_code


def verify(source: str, target: str, level: str, tolerance: str, json: bool) -> int:
    """Compare two collections."""
    with listening(json, source, target) as progress:
        result = compare(source, target, level=level, tolerance=tolerance, progress=progress)
    if json:
        out.put_json(result.to_dict())
    else:
        out.put_all(show.verification(result))
    return result.exit_code


def demo(folder: Path | None, json: bool) -> int:
    """Play the story that shows a whole move; folder None = a folder of the state folder."""
    from wherry.demo.story import play

    with listening(json) as listener:
        result = play(folder or home() / "demo", listener.say, listener)
    if json:
        out.put_json(result)
    return 0


def doctor(json: bool) -> int:
    """Print what works here and what does not."""
    with listening(json):
        health = examine()
    if json:
        out.put_json(health.to_dict())
    else:
        out.put_all(show.health(health))
    return health.exit_code
