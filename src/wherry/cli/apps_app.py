"""`wherry NAME ...` for every installed app: its commands are imported when its name is typed."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class WithApps(TyperGroup):
    """The commands of Wherry, and those of the installed apps beside them."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return one command, None when there is none of this name."""
        return super().get_command(ctx, cmd_name) or self._of_an_app(cmd_name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands of Wherry, then the apps, a line each."""
        from wherry.apps.installed import installed

        super().format_commands(ctx, formatter)
        rows = [(app.name, app.about) for app in installed()]
        if rows:
            with formatter.section("Apps"):
                formatter.write_dl(rows)

    def _of_an_app(self, name: str) -> Any:
        from wherry.apps.installed import find, names

        if name not in names():
            return None
        from typer.main import get_command

        app = find(name)
        commands = app.load("commands")
        if commands is None:
            return None
        command = get_command(commands)
        command.name, command.help = name, command.help or app.about
        return command
