"""The exact neighbours: those of comparing every vector, whatever the metric, the page and the vectors are like."""

from __future__ import annotations

import numpy as np
import pytest

from tests.comparing.kit import fill
from wherry.comparing.truth import look
from wherry.space import Metric, Space
from wherry.stores.exact import checked, search_pages
from wherry.stores.registry import open_source


def odd_vectors(seed: int) -> np.ndarray:
    """Return vectors of very different lengths, some zero, some equal, some nearly so; float32 of (600, 9)."""
    chance = np.random.default_rng(seed)
    made = chance.standard_normal((600, 9)) * 10.0 ** chance.integers(-8, 8, (600, 1))
    made[::50] = 0
    made[101:140] = made[101]
    made[201:241] = made[201] * (1 + 1e-7 * chance.standard_normal((40, 9)))
    return made.astype(np.float32)


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("seed", range(3))
def test_they_are_those_of_comparing_every_vector(metric: Metric, seed: int) -> None:
    vectors = odd_vectors(seed)
    space = Space(9, metric)
    store = open_source(fill("memory:#odd", vectors, space=space))
    chance = np.random.default_rng(seed)
    asked = [chance.standard_normal(9).astype(np.float32), vectors[101] + np.float32(0), vectors[333] * np.float32(3)]
    pages = list(store.scan(97))
    for k in (1, 5, 45, 700):
        found = look(store, space, asked, k)
        for number, vector in enumerate(asked):
            wanted = search_pages(pages, checked(vector, k, space, store.address))
            assert [hit.id for hit in found.nearest[number]] == [hit.id for hit in wanted]
            apart = [[hit.distance for hit in hits] for hits in (found.nearest[number], wanted)]
            assert apart[0] == pytest.approx(apart[1], rel=1e-5)
        assert found.records == 600
