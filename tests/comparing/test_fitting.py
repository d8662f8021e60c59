"""Whether a model fits: what it needs, what the machine has, and what is not known."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import wherry
from wherry import fitting
from wherry.cli import main
from wherry.errors import UnknownModel, Usage
from wherry.models.local import models, need_of

GB = 1_000_000_000


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 16 GB, without a card, whose models are kept in a folder of the test."""
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(fitting, "memory", lambda: (16 * GB, 12 * GB))
    return tmp_path


def card(folder: Path, *lines: str, code: int = 0) -> None:
    """Put a tool in place that answers as NVIDIA's does."""
    tool = folder / "nvidia-smi"
    said = "".join(f"echo '{line}'\n" for line in lines)
    tool.write_text(f"#!/bin/sh\n{said}exit {code}\n", encoding="utf-8")
    tool.chmod(0o755)


@pytest.mark.parametrize("model", [name for name in models() if name.startswith("ollama:")])
def test_what_a_download_weighs_is_about_what_the_parameters_weigh(model: str) -> None:
    need = need_of(model)
    assert need.disk == pytest.approx(need.weights, rel=0.15)
    assert need.memory > need.weights + need.cache
    assert not need.guessed


def test_the_cache_grows_with_the_context_and_a_tag_names_its_quantisation() -> None:
    usual, long = need_of("llama3.1:8b"), need_of("ollama:llama3.1:8b", 131_072)
    assert usual.model == "ollama:llama3.1:8b"
    # 32 layers of 8 heads of 128, keys and values, two bytes each: 128 KiB a token.
    assert usual.cache == 4096 * 128 * 1024
    assert long.cache == 32 * usual.cache
    exact = need_of("llama3.1:8b-instruct-q8_0")
    assert exact.quantisation == "q8_0"
    assert exact.disk == exact.weights == round(8.03e9 * 8.5 / 8)
    assert need_of("bge-m3:latest").cache == 0


@pytest.mark.parametrize(("name", "billions"), [("gemma3:4b", 4.0), ("exaone3.5:7.8b", 7.8), ("qwen3:0.6b-fp", 0.6)])
def test_a_model_of_no_table_is_known_by_the_size_in_its_name(name: str, billions: float) -> None:
    need = need_of(name)
    assert need.guessed
    assert need.parameters == billions


@pytest.mark.parametrize("name", ["mystery", "mystery:latest", "ollama:", "mystery:8bit", "st:nosuch/model"])
def test_a_model_of_unknown_size_is_not_guessed(name: str) -> None:
    with pytest.raises(UnknownModel, match="how large"):
        need_of(name)


def test_a_table_of_ones_own_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "own.toml"
    monkeypatch.setenv("WHERRY_LOCAL_MODELS", str(table))
    table.write_text('["ollama:mystery"]\nparameters = 3\nquantisation = "q8_0"\n', encoding="utf-8")
    assert need_of("mystery").weights == round(3e9 * 8.5 / 8)
    for wrong in (
        '["a"]\nlayers = 3',
        '["a"]\nparameters = -1',
        '["a"]\nparameters = 1\nquantisation = "q9"',
        "a = 3",
        "[",
    ):
        table.write_text(wrong, encoding="utf-8")
        with pytest.raises(Usage, match="table"):
            need_of("mystery")


def test_it_fits_into_memory_or_not(machine: Path) -> None:
    found = wherry.fit("llama3.1:8b")
    assert (found.place, found.exit_code, found.gpus) == ("memory", 0, ())
    large = wherry.fit("llama3.1:70b")
    assert (large.place, large.fits, large.exit_code) == ("nowhere", False, 1)
    assert any("does not fit" in reason for reason in large.reasons)
    assert wherry.fit("llama3.1:8b", context=100_000).place == "nowhere"


@pytest.mark.parametrize(
    ("free", "model", "place"),
    [(24_000, "llama3.1:8b", "gpu"), (4_000, "llama3.1:8b", "gpu and memory"), (24_000, "llama3.1:70b", "nowhere")],
)
def test_a_card_takes_what_it_can(machine: Path, free: int, model: str, place: str) -> None:
    card(machine, f"NVIDIA GeForce RTX 4090, 24564, {free}", "NVIDIA GB10, [N/A], [N/A]")
    found = wherry.fit(model)
    assert found.place == place
    assert [gpu.name for gpu in found.gpus] == ["NVIDIA GeForce RTX 4090"]
    assert found.gpus[0].free == free << 20


def test_a_tool_that_fails_is_no_card(machine: Path) -> None:
    card(machine, "NVIDIA-SMI has failed because it could not communicate with the driver", code=9)
    assert fitting.graphics() == ()
    card(machine, "no, devices were found")
    assert fitting.graphics() == ()


def test_what_is_downloaded_needs_no_more_disk(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        free = 1 * GB

    monkeypatch.setattr(fitting.shutil, "disk_usage", lambda _: Full)
    found = wherry.fit("llama3.1:8b")
    assert found.place == "nowhere"
    assert any("too little for the download" in reason for reason in found.reasons)
    manifest = machine / "models/manifests/registry.ollama.ai/library/llama3.1/8b"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}", encoding="utf-8")
    there = wherry.fit("ollama:llama3.1:8b")
    assert (there.place, there.present) == ("memory", True)


def test_a_model_of_a_provider_needs_nothing_here(machine: Path) -> None:
    found = wherry.fit("openai:gpt-4o-mini")
    assert (found.place, found.need, found.exit_code) == ("provider", None, 0)
    with pytest.raises(Usage, match="context"):
        wherry.fit("llama3.1:8b", context=0)


def test_the_command_says_it_and_ends_with_it(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--for", "llama3.1:8b"]) == 0
    assert "fits into memory" in capsys.readouterr().out
    assert main(["doctor", "--for", "llama3.1:70b", "--json"]) == 1
    value = json.loads(capsys.readouterr().out)
    assert value["fits"] is False
    assert value["need"]["parameters"] == 70.6
    assert main(["doctor", "--for", "all", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["models"]) == len(models())
    assert main(["doctor", "--for", "all"]) == 0
    assert "ollama:qwen3-embedding:0.6b" in capsys.readouterr().out
    assert main(["doctor", "--for", "nosuch"]) == 2
    assert os.environ["PATH"] == str(machine)
