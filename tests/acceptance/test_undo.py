"""There is no undo; a copy in a file is the way back."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.kit import contents
from tests.cli.commands import Wherry, fill
from wherry.space import Metric
from wherry.testing.samples import sample


def test_backup_brings_back_what_a_sync_deleted(wherry: Wherry, place: str, tmp_path: Path) -> None:
    whole, few, backup = (
        fill("whole", sample(40), Metric.L2),
        fill("few", sample(9, seed=1), Metric.L2),
        tmp_path / "b.parquet",
    )
    assert wherry("sync", whole, place).code == wherry("sync", place, backup).code == 0
    assert wherry("sync", few, place, "--allow-mass-delete").code == 0
    assert contents(place) == contents(few)
    assert wherry("sync", backup, place).code == 0
    assert contents(place) == contents(whole)
