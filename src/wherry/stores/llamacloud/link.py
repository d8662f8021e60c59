"""What is asked of LlamaCloud: its official client, with the tries and waits of `pace.py`.

Of each answer the JSON is taken as it came: the client's own models know no unknown field, and turning
a thousand components into Python objects one by one takes longer than reading them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
from llama_cloud import LlamaCloud

from wherry.errors import NoSuchCollection, Rejected
from wherry.stores.llamacloud.failures import Failures
from wherry.stores.llamacloud.pace import Pace
from wherry.stores.llamacloud.place import Place

_CONNECT_S = 10.0
Json = dict[str, Any]


class Link:
    """The service, for one pipeline's reader. Every method raises the errors of `failures.py`."""

    def __init__(self, place: Place, pace: Pace | None = None) -> None:
        self.place = place
        self.pace = pace or Pace(place.rate, place.deadline)
        self._failures = Failures(place.shown, (place.key,))
        timeout = httpx.Timeout(place.timeout, connect=min(_CONNECT_S, place.timeout))
        # No retries of the client's own: it would repeat what a wrong key asks, and wait on its own account.
        self._client = LlamaCloud(api_key=place.key, base_url=place.url, timeout=timeout, max_retries=0)
        self._raw = self._client.pipelines.with_raw_response
        self._documents = self._client.pipelines.documents.with_raw_response

    def pipelines(self, name: str | None = None) -> list[Json]:
        """Return the pipelines of the place's project, all of them or those of a name."""
        project = self.place.project
        by_id, by_name = (project, None) if looks_like_id(project) else (None, project)
        return self._list(self._ask(lambda: self._raw.list(pipeline_name=name, project_id=by_id, project_name=by_name)))

    def pipeline(self, pipeline_id: str) -> Json:
        """Return one pipeline. Raises NoSuchCollection."""
        return self._object(self._ask(lambda: self._raw.get(pipeline_id)))

    def documents(self, pipeline: str, skip: int, limit: int) -> tuple[list[Json], int | None]:
        """Return documents from number `skip` on, and how many there are in all."""
        answer = self._object(
            self._ask(lambda: self._documents.list(pipeline, skip=skip, limit=limit, status_refresh_policy="cached"))
        )
        total = answer.get("total_count")
        return self._list(answer.get("documents")), total if isinstance(total, int) else None

    def chunks(self, pipeline: str, document: str) -> list[Json] | None:
        """Return the chunks of a document, None when it is gone."""
        try:
            return self._list(self._ask(lambda: self._documents.get_chunks(document, pipeline_id=pipeline)))
        except NoSuchCollection:
            return None

    def statuses(self, pipeline: str) -> dict[str, int] | None:
        """Return how many documents are in which state of ingestion, None where the service does not say."""
        try:
            answer = self._object(self._ask(lambda: self._documents.get_status_counts(pipeline)))
        except (NoSuchCollection, Rejected):
            # An older service has no such question; what it would tell is good to know and no more.
            return None
        counts = answer.get("counts")
        return {str(k): v for k, v in counts.items() if isinstance(v, int)} if isinstance(counts, dict) else None

    def retrieve(self, pipeline: str, query: str, k: int) -> list[Json]:
        """Return the k chunks the service finds nearest by vector alone, not ranked anew, with their scores."""
        answer = self._object(
            self._ask(
                lambda: self._raw.retrieve(
                    pipeline,
                    query=query,
                    dense_similarity_top_k=k,
                    alpha=1.0,
                    enable_reranking=False,
                    retrieval_mode="chunks",
                )
            )
        )
        return self._list(answer.get("retrieval_nodes"))

    def close(self) -> None:
        """Let go of the connections; threads that wait give up."""
        self.pace.stop()
        self._client.close()

    def _ask(self, call: Callable[[], Any]) -> Any:
        def once() -> bytes:
            with self._failures.translated():
                return call().http_response.content

        try:
            return json.loads(self.pace.ask(once))
        except ValueError:
            raise self._odd("it is not JSON") from None
        except RecursionError:
            raise self._odd("it is nested too deeply") from None

    def _list(self, found: Any) -> list[Json]:
        if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
            raise self._odd("a list of objects was expected")
        return found

    def _object(self, found: Any) -> Json:
        if not isinstance(found, dict):
            raise self._odd("an object was expected")
        return found

    def _odd(self, why: str) -> Rejected:
        return Rejected(
            f"the answer is not one of LlamaCloud's: {why}", where=self.place.shown, next="check the service's URL"
        )


def looks_like_id(name: str | None) -> bool:
    """Tell whether a name can be an id of LlamaCloud: a UUID."""
    return name is not None and len(name) == 36 and name.count("-") == 4


__all__ = ["Link", "looks_like_id"]
