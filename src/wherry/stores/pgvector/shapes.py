"""What the tables of LlamaIndex and LangChain look like, and how one is known by its columns.

    LlamaIndex            data_<name>: id bigserial, text, metadata_, node_id, embedding
    LangChain             langchain_pg_embedding: id, collection_id, embedding, document, cmetadata; the rows of
                          all collections lie in it, langchain_pg_collection has their names
    LangChain, earlier    the same with a uuid of its own as the key; the user's id is custom_id, not unique
    LangChain, newer      one table per collection: langchain_id, content, embedding, langchain_metadata

LlamaIndex's id of a node is not unique in its table, and LlamaIndex always asks by cosine.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from wherry.space import Metric
from wherry.stores.layouts import LANGCHAIN, LLAMAINDEX, PLAIN, Codec
from wherry.stores.layouts.langchain import Documents
from wherry.stores.layouts.llamaindex import Nodes

EMBEDDINGS, COLLECTIONS = "langchain_pg_embedding", "langchain_pg_collection"
NODES_PREFIX = "data_"
ROLES = ("id", "vector", "text", "metadata", "fields")


@dataclass(frozen=True)
class Shape:
    """The shape of one framework's table.

    layout: its name for people. roles: role -> column. marks: columns that tell it from others. own: columns of
    the framework that are no part of a record. fills: column -> SQL of what a new row gets there. owner: the
    column that says to which collection a row belongs, "" where all rows are one. fields: further columns are
    keys of the metadata. metric: what it always asks by.
    """

    layout: str
    roles: dict[str, str]
    marks: frozenset[str]
    codec: Codec | None = None
    own: frozenset[str] = frozenset()
    fills: dict[str, str] = field(default_factory=dict)
    owner: str = ""
    fields: bool = False
    metric: Metric | None = None


PLAIN_SHAPE = Shape(PLAIN, {}, frozenset())
NODES = Shape(
    LLAMAINDEX,
    {"id": "node_id", "vector": "embedding", "text": "text", "metadata": "metadata_"},
    frozenset({"node_id", "metadata_", "text", "embedding"}),
    codec=Nodes(),
    own=frozenset({"id", "text_search_tsv"}),
    metric=Metric.COSINE,
)
_DOCUMENTS = {"vector": "embedding", "text": "document", "metadata": "cmetadata"}
SHARED_EARLIER = Shape(
    LANGCHAIN,
    {"id": "custom_id", **_DOCUMENTS},
    frozenset({"collection_id", "custom_id", "uuid", "document", "cmetadata"}),
    codec=Documents(),
    own=frozenset({"uuid", "collection_id"}),
    fills={"uuid": "gen_random_uuid()"},
    owner="collection_id",
)
SHARED = Shape(
    LANGCHAIN,
    {"id": "id", **_DOCUMENTS},
    frozenset({"collection_id", "id", "document", "cmetadata"}),
    codec=Documents(),
    own=frozenset({"collection_id"}),
    owner="collection_id",
)
ONE_TABLE = Shape(
    LANGCHAIN,
    {"id": "langchain_id", "vector": "embedding", "text": "content", "metadata": "langchain_metadata"},
    frozenset({"langchain_id", "content", "embedding"}),
    codec=Documents(),
    fields=True,
)
# The earlier one has every column that tells the later one.
_KNOWN = (NODES, SHARED_EARLIER, SHARED, ONE_TABLE)


def recognised(columns: Collection[str]) -> Shape:
    """Return the shape of a table with these columns; the plain one for a table of nobody we know."""
    names = set(columns)
    return next((shape for shape in _KNOWN if shape.marks <= names), PLAIN_SHAPE)


def roles_in(shape: Shape, columns: Collection[str]) -> dict[str, str]:
    """Return which columns of a table play which role; "" for a role that none plays."""
    return {role: name if name in columns else "" for role, name in shape.roles.items()}


def nodes_table(name: str) -> str:
    """Return the table of what LlamaIndex calls `name`; the name of such a table is its own. A schema stays."""
    schema, dot, table = name.rpartition(".")
    if name.startswith(NODES_PREFIX) or table.startswith(NODES_PREFIX):
        return name
    return f"{schema}{dot}{NODES_PREFIX}{table.lower()}"
