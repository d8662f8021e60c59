"""A pipeline: which one a name means, what made its vectors, and where it keeps them itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from wherry.errors import NoSuchCollection, Refused
from wherry.space import Metric, Space
from wherry.stores.llamacloud.link import Link, looks_like_id
from wherry.stores.llamacloud.place import Place
from wherry.stores.llamacloud.sink import Sink, sink_of

_PROVIDERS = {
    "MANAGED_OPENAI_EMBEDDING": "openai",
    "OPENAI_EMBEDDING": "openai",
    "AZURE_EMBEDDING": "azure",
    "BEDROCK_EMBEDDING": "bedrock",
    "COHERE_EMBEDDING": "cohere",
    "GEMINI_EMBEDDING": "gemini",
    "HUGGINGFACE_API_EMBEDDING": "huggingface",
    "VERTEXAI_EMBEDDING": "vertex",
}
# What these models give when no dimension is asked for, by their makers' pages.
_USUAL_DIMENSION = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
    "amazon.titan-embed-text-v2:0": 1024,
    "gemini-embedding-001": 3072,
}
# What decides how documents become chunks and chunks become vectors.
_MAKING = ("embedding_config", "embedding_model_config_id", "transform_config", "config_hash", "llama_parse_parameters")
_SHOWN_NAMES = 10


@dataclass(frozen=True)
class Pipeline:
    """A pipeline. provider, model: what made its vectors. dimension: as configured, else the model's usual one.

    stated: whether the configuration itself names the dimension. making: equal texts for equal settings.
    """

    id: str
    name: str
    provider: str | None
    model: str | None
    dimension: int | None
    stated: bool
    sink: Sink | None
    making: str

    @classmethod
    def of(cls, found: dict[str, Any]) -> Pipeline:
        """Read what the service says of a pipeline."""
        config = found.get("embedding_config") or {}
        component = config.get("component") or {}
        model = (component.get("model_name") or component.get("azure_deployment") or "").removeprefix("models/") or None
        provider = _PROVIDERS.get(str(config.get("type")))
        if config.get("type") == "MANAGED_OPENAI_EMBEDDING":
            model = (model or "openai-text-embedding-3-small").removeprefix("openai-")
        sink = sink_of(found.get("data_sink"))
        stated = component.get("dimensions") or component.get("output_dimensionality") or (sink and sink.dimension)
        return cls(
            id=str(found.get("id", "")),
            name=str(found.get("name", "")),
            provider=provider,
            model=model,
            dimension=stated or _USUAL_DIMENSION.get(str(model)),
            stated=bool(stated),
            sink=sink,
            making=_digest({key: found.get(key) for key in _MAKING}),
        )

    def space(self, metric: Metric | None, dimension: int | None, where: str) -> Space:
        """Return the card of its vectors. metric: as the address states it; dimension: of vectors that were seen.

        Raises SpaceMismatch where the address contradicts the pipeline's own store.
        """
        own = self.sink.metric if self.sink else None
        space = Space(dimension=dimension or self.dimension, metric=own, provider=self.provider, model=self.model)
        return space.with_metric(metric, where)


def found_by(link: Link, place: Place) -> Pipeline:
    """Return the pipeline that an address means, by name or by id.

    Raises NoSuchCollection, which names those that are there, and Refused when several have the name.
    """
    named = [p for p in link.pipelines(place.name) if p.get("name") == place.name]
    if len(named) > 1:
        raise Refused(
            f"{len(named)} pipelines are called {place.name!r}",
            where=place.shown,
            left="nothing was read",
            next="name it by its id: " + ", ".join(str(p.get("id")) for p in named[:_SHOWN_NAMES]),
        )
    if named:
        return Pipeline.of(named[0])
    if looks_like_id(place.name):
        return Pipeline.of(link.pipeline(place.name))
    raise NoSuchCollection(f"there is no pipeline {place.name!r}", where=place.shown, next=_there_are(link.pipelines()))


def _there_are(pipelines: Iterable[dict[str, Any]]) -> str:
    names = sorted({str(p.get("name")) for p in pipelines})
    more = ", …" if len(names) > _SHOWN_NAMES else ""
    return f"pipelines here: {', '.join(names[:_SHOWN_NAMES])}{more}" if names else "this key sees no pipeline at all"


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


__all__ = ["Pipeline", "found_by"]
