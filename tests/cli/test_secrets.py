"""A password never prints: not in a result, an error, a usage error, a traceback or JSON."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from rich.console import Console

from tests.cli.commands import Said, Wherry, run_command
from wherry.cli.bars import Bars, Lines, Quiet
from wherry.cli.failures import report, secrets_in

# As the user has it, and as it has to be written in an URL.
RAW, QUOTED = "s3cr3t/p@ss:w%rd", "s3cr3t%2Fp%40ss%3Aw%25rd"
# Port 9 (discard) of this machine answers nothing.
ADDRESS = f"postgresql://carrier:{QUOTED}@127.0.0.1:9/db#docs"


def clean(said: Said) -> bool:
    """Tell whether nothing of the secret shows."""
    return not any(part in said.out + said.err for part in (RAW, QUOTED, "s3cr3t", "w%rd", "p@ss"))


@pytest.mark.parametrize("flags", [(), ("--json",), ("--debug",)])
def test_an_unreachable_server(wherry: Wherry, guides: str, flags: tuple[str, ...]) -> None:
    said = wherry("plan", ADDRESS, "memory:#b", *flags)
    assert said.code == 4
    assert "127.0.0.1" in said.out + said.err
    assert clean(said)


@pytest.mark.parametrize("flags", [(), ("--json",)])
@pytest.mark.parametrize(
    "args",
    [
        ("sync", f"nosuch://u:{QUOTED}@host/db#docs", "memory:#b"),
        ("sync", f"nosuch://u:{RAW}@host/db#docs", "memory:#b"),
        ("sync", "memory:#a", "memory:#b", f"postgresql://u:{QUOTED}@host/db#docs"),
        ("sync", f"postgresql://u:{QUOTED}@host/db?a=1&a=2#docs", "memory:#b"),
        ("sync", f"archive://u:{QUOTED}@host/notes.txt", "memory:#b"),
    ],
)
def test_an_address_that_cannot_be_used(wherry: Wherry, args: tuple[str, ...], flags: tuple[str, ...]) -> None:
    said = wherry(*args, *flags)
    assert said.code != 0
    assert clean(said)


@pytest.mark.parametrize("form", [RAW, QUOTED, repr(RAW), f"password={RAW}"])
def test_an_unexpected_error_that_quotes_it(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    for flags in ([], ["--json"], ["--debug"]):
        try:
            raise RuntimeError(f"driver said: {form} is wrong")
        except RuntimeError as error:
            report(error, ["sync", ADDRESS, "memory:#b", *flags])
        assert clean(Said(70, *capsys.readouterr()))


def test_an_interrupted_command_repeats_the_flags_and_not_the_password(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert report(KeyboardInterrupt(), ["sync", ADDRESS, "memory:#b", "--accept-losses"]) == 130
    said = Said(130, *capsys.readouterr())
    assert "--accept-losses" in said.err
    assert clean(said)


@pytest.mark.parametrize("listener", [Quiet, Lines, partial(Bars, Console(stderr=True))])
def test_a_notice_of_a_running_act(listener: Any, capsys: pytest.CaptureFixture[str]) -> None:
    listener(secrets_in([ADDRESS]))(f"waiting 3 s: {RAW} and {QUOTED} refused", 0, None)
    said = Said(0, *capsys.readouterr())
    assert "waiting 3 s: *** and *** refused" in said.err
    assert clean(said)


def test_doctor_hides_the_database_password() -> None:
    said = run_command("doctor", "--json", WHERRY_DATABASE_URL=f"postgresql://u:{QUOTED}@127.0.0.1:9/db")
    assert "***" in said.json["database_url"]
    assert said.code == 4
    assert clean(said)
