"""A pipeline's own store: which it is, and the address by which Wherry reads it without the cloud.

The service gives the place and never the password. It comes from where each engine looks for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from wherry.space import Metric

_WORDS = {
    "POSTGRES": "PostgreSQL",
    "QDRANT": "Qdrant",
    "PINECONE": "Pinecone",
    "MILVUS": "Milvus",
    "MONGODB_ATLAS": "MongoDB Atlas",
    "AZUREAI_SEARCH": "Azure AI Search",
    "ASTRA_DB": "Astra DB",
}


@dataclass(frozen=True)
class Sink:
    """A store of the user's own. kind: as the service calls it. address: for Wherry, None where no engine reads it.

    secret: the environment variable its password or key comes from.
    """

    kind: str
    name: str
    address: str | None = None
    secret: str = ""
    dimension: int | None = None
    metric: Metric | None = None

    @property
    def words(self) -> str:
        """What it is called by people."""
        return _WORDS.get(self.kind, self.kind)

    def note(self) -> str:
        """Say that it is there and how it is read."""
        if self.address is None:
            return f"its vectors are in a store of its own, {self.words} {self.name!r}, which Wherry does not read"
        return (
            f"its vectors are in a store of its own: {self.words}; read them there, without the cloud: "
            f"{self.address} ({self.secret} holds the password), or add ?via=sink"
        )


def sink_of(found: Any) -> Sink | None:
    """Read what the service says of a pipeline's store; None for one that it manages itself."""
    if not isinstance(found, dict) or not isinstance(found.get("component"), dict):
        return None
    kind, component = str(found.get("sink_type", "")), found["component"]
    plain = Sink(kind, str(found.get("name", "")), dimension=_number(component, "embed_dim", "embedding_dimension"))
    if kind == "POSTGRES":
        return _postgres(plain, component)
    return _qdrant(plain, component) if kind == "QDRANT" else plain


def _postgres(sink: Sink, component: dict[str, Any]) -> Sink:
    # The table as LlamaIndex names it, which is what writes there.
    table = f"data_{str(component.get('table_name', '')).lower()}"
    # A host may be the folder of a socket, or an IPv6 address in brackets.
    user, host = quote(str(component.get("user", "")), safe=""), quote(str(component.get("host", "")), safe="[]:")
    database = quote(str(component.get("database", "")), safe="")
    schema = component.get("schema_name") or "public"
    address = f"postgresql://{user}@{host}:{component.get('port', 5432)}/{database}#{quote(table, safe='')}"
    if schema != "public":
        address += f"?schema={quote(str(schema), safe='')}"
    said = (component.get("hnsw_settings") or {}).get("distance_method")
    metric = Metric(said) if said in set(Metric) else None
    return Sink(sink.kind, sink.name, address, "PGPASSWORD", sink.dimension, metric)


def _qdrant(sink: Sink, component: dict[str, Any]) -> Sink:
    parts = urlsplit(str(component.get("url", "")))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return sink
    # Without what may stand before the @: the key belongs into the environment.
    place = parts.netloc.rpartition("@")[2]
    address = f"qdrant+{parts.scheme}://{place}#{quote(str(component.get('collection_name', '')), safe='')}"
    return Sink(sink.kind, sink.name, address, "QDRANT_API_KEY", sink.dimension, sink.metric)


def _number(component: dict[str, Any], *names: str) -> int | None:
    found = next((component[name] for name in names if isinstance(component.get(name), int)), None)
    return found or None


__all__ = ["Sink", "sink_of"]
