"""What the guard around an embedder costs: texts a second against the provider's own client, same batches."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openai

from bench.measure import Bar, in_turn, per_second, rate_ratios
from wherry.models.registry import open_embedder
from wherry.testing.openai_server import OpenAIServer

_TEXTS, _BATCH, _DIMENSION = 2000, 100, 1536


def run(folder: Path, rows: int, rounds: int) -> list[Bar]:
    """Embed the same texts bare and guarded, one request at a time, over a socket."""
    os.environ.setdefault("OPENAI_API_KEY", "bench")
    texts = [f"검진 안내 {n}: 공복 혈당은 아침에 잽니다. " * 4 for n in range(_TEXTS)]
    with OpenAIServer(dimension=_DIMENSION) as server:
        bare = openai.OpenAI(base_url=f"{server.url}/v1", max_retries=0)
        spec = f"openai:bench?base_url={server.url}/v1&batch={_BATCH}&concurrency=1"
        guarded = open_embedder(spec)
        guarded.probe()
        server.asked.clear()
        seconds = in_turn([lambda: _bare(bare, texts), lambda: guarded.embed(texts)], rounds)
        guarded.close()
    detail = f"bare {per_second(_TEXTS, seconds[0])}, guarded {per_second(_TEXTS, seconds[1])}"
    return [Bar("M2", "embedding behind the guard against the bare client", 0.95, True,
                rate_ratios(seconds[1], seconds[0]), detail)]  # fmt: skip


def _bare(client: openai.OpenAI, texts: Sequence[str]) -> np.ndarray:
    rows: list[list[float]] = []
    for start in range(0, len(texts), _BATCH):
        answer = client.embeddings.create(model="bench", input=list(texts[start : start + _BATCH]))
        rows += [entry.embedding for entry in answer.data]
    return np.array(rows, dtype=np.float32)
