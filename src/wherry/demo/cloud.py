"""The cloud index of the story: a server in this process that speaks LlamaCloud's interface over a real socket.

The official client talks to it as it would to the service; no account is used and nothing leaves the machine. It holds
the guides as a pipeline, a document per guide and a chunk per page, and answers questions by vector, as the service
does. Its vectors are those of the offline embedder, so that both sides can be asked without a key.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby

from wherry.demo import library
from wherry.testing.llamacloud_pipelines import Pipeline
from wherry.testing.llamacloud_server import LlamaCloudServer

_KEY = "llx-of-the-demo"
# Pages as fast as this machine sends them: the usual pace is kept for the real service.
_RATE = 500


@contextmanager
def cloud(dimension: int) -> Iterator[str]:
    """Run the cloud and give the address of its pipeline; the variables that lead there are put back at the end."""
    with LlamaCloudServer(api_key=_KEY) as server:
        _fill(server.pipeline(library.INDEX_NAME, dimension), dimension)
        variables = {"LLAMA_CLOUD_API_KEY": _KEY, "LLAMA_CLOUD_BASE_URL": server.url}
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        try:
            yield f"llamacloud:#{library.INDEX_NAME}?metric=cosine&embedder=hash:{dimension}&rate={_RATE}"
        finally:
            _put_back(before)


def _fill(pipeline: Pipeline, dimension: int) -> None:
    batch = library.records(dimension)
    start = 0
    for _, pages in groupby(batch.column("id").to_pylist(), key=lambda name: name.partition("-")[0]):
        count = len(list(pages))
        pipeline.add_batch(batch.slice(start, count), count)
        start += count


def _put_back(before: dict[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
