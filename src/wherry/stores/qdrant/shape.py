"""The shape of a collection: which vector is read, how it is compared, what lies beside it.

The engine in process, the server and the client's own folder all describe a collection by the same
JSON; this reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from wherry.errors import BadAddress, Unsupported
from wherry.space import Metric, Space
from wherry.stores.base import ALL_KINDS, Capabilities, IdKind, Index, Kind
from wherry.stores.qdrant.payload import Layout

METRICS = {"Cosine": Metric.COSINE, "Euclid": Metric.L2, "Dot": Metric.IP, "Manhattan": Metric.L1}
DISTANCES = {metric: name for name, metric in METRICS.items()}
MAX_DIMENSION = 65_536
SPACE_KEY, LAYOUT_KEY, INDEX_KEY = "wherry_space", "wherry_layout", "wherry_index"
M, EF_CONSTRUCT = 16, 100

CAPABILITIES = Capabilities(
    id_kind=IdKind.TEXT,
    max_id_bytes=None,
    max_batch=None,
    max_dimension=MAX_DIMENSION,
    precision_bits=32,
    normalises=frozenset({Metric.COSINE}),
    metrics=frozenset(Metric),
    needs_metric=True,
    # Stored, and listed by an exact search; but all points are equally far from it, so that not even
    # its own vector leads to it, and in a large graph (seen at 60,000) nothing does.
    zero_vectors=False,
    null_text=True,
    nul_in_text=True,
    metadata=ALL_KINDS,
    checked_metadata=True,
    filterable=ALL_KINDS - {Kind.EMPTY},
    integer_bits=None,
    negative_zero=True,
    text_in_place=True,
    snapshot_scan=False,
    stable_order=True,
    unique_ids=True,
    atomic_batch=False,
    detects_changes=False,
    atomic_switch=False,
)


@dataclass(frozen=True)
class Shape:
    """What a collection is made of.

    vector: the name of the vector that is read, "" for the one without a name. dimension, metric,
    datatype: of that vector. others: further dense or sparse vectors. m, ef_construct: of its graph,
    None where nothing is said. card: what Wherry keeps beside the collection. indexed: payload keys
    with an index of their own.
    """

    vector: str
    dimension: int
    metric: Metric
    datatype: str = "float32"
    others: tuple[str, ...] = ()
    m: int | None = None
    ef_construct: int | None = None
    card: dict[str, Any] = field(default_factory=dict)
    indexed: tuple[str, ...] = ()
    max_batch: int | None = None

    @property
    def space(self) -> Space:
        """The space: of the engine's own settings, and of the card where there is one."""
        known = Space(dimension=self.dimension, metric=self.metric)
        return known.filled_from(Space.from_dict(self.card.get(SPACE_KEY, {})))

    @property
    def layout(self) -> Layout | None:
        """The layout on the card, if there is a card."""
        return Layout.from_dict(self.card[LAYOUT_KEY]) if LAYOUT_KEY in self.card else None

    @property
    def wanted_m(self) -> int | None:
        """Links per node the graph is to have; while a bulk load runs there are none yet."""
        wanted = self.card.get(INDEX_KEY, {}).get("m")
        return wanted if self.m == 0 and wanted else self.m

    @property
    def index(self) -> Index:
        """The vector index."""
        if self.wanted_m == 0:
            return Index("flat")
        return Index("hnsw", self.wanted_m, self.ef_construct)

    def capabilities(self, claimed: Capabilities) -> Capabilities:
        """Return an engine's capabilities, less what this collection's settings take away."""
        limits = [n for n in (claimed.max_batch, self.max_batch) if n]
        bits = 16 if self.datatype == "float16" else claimed.precision_bits
        return replace(claimed, max_batch=min(limits, default=None), precision_bits=bits)

    def require_writable(self, where: str) -> None:
        """Raise Unsupported for a collection whose points hold more than Wherry would write."""
        if self.others:
            raise Unsupported(
                f"its points hold further vectors ({', '.join(map(repr, self.others))}), which a write would remove",
                where=where,
                left="nothing was written",
                next="choose a collection with one vector",
            )
        if self.datatype not in ("float32", "float16"):
            raise Unsupported(
                f"its vectors are kept as {self.datatype}, which changes them",
                where=where,
                left="nothing was written",
                next="choose a collection of float32 vectors",
            )


def shape_of(config: dict[str, Any], wanted: str | None, where: str) -> Shape:
    """Read the JSON of a collection's settings.

    config: `vectors`, `sparse_vectors` and `hnsw_config` as in the engine's files. wanted: the name
    of the vector to read, None for the only one there is.
    """
    dense = _dense(config.get("vectors") or {})
    name = _chosen(dense, wanted, where)
    params = dense[name]
    if params.get("multivector_config"):
        raise Unsupported(
            f"vector {name!r} holds many vectors per point", where=where, next="name another one with ?vector="
        )
    hnsw = {**(config.get("hnsw_config") or {}), **_set(params.get("hnsw_config") or {})}
    others = [n for n in dense if n != name] + sorted(config.get("sparse_vectors") or {})
    return Shape(
        vector=name,
        dimension=int(params["size"]),
        metric=METRICS[params["distance"]],
        datatype=(params.get("datatype") or "float32").lower(),
        others=tuple(others),
        m=hnsw.get("m"),
        ef_construct=hnsw.get("ef_construct"),
    )


def hnsw_of(index: Index) -> tuple[int, int]:
    """Return (m, ef_construct) for an index of Wherry's; `flat` means no graph at all."""
    if index.kind == "flat":
        return 0, EF_CONSTRUCT
    return index.m or M, index.ef_construction or EF_CONSTRUCT


def card_of(space: Space, layout: Layout, index: Index) -> dict[str, Any]:
    """Return what is kept beside a collection."""
    m, ef_construct = hnsw_of(index)
    return {
        SPACE_KEY: space.to_dict(),
        LAYOUT_KEY: layout.to_dict(),
        INDEX_KEY: {"m": m, "ef_construct": ef_construct},
    }


def _dense(vectors: dict[str, Any]) -> dict[str, dict[str, Any]]:
    # One vector without a name is written as its parameters alone.
    if isinstance(vectors.get("size"), int):
        return {"": vectors}
    return vectors


def _chosen(dense: dict[str, Any], wanted: str | None, where: str) -> str:
    if wanted is not None and wanted in dense:
        return wanted
    if wanted is None and len(dense) == 1:
        return next(iter(dense))
    names = ", ".join(repr(name) for name in sorted(dense)) or "none (only sparse ones)"
    raise BadAddress(
        "which vector is meant?" if wanted is None else f"there is no vector {wanted!r}",
        where=where,
        next=f"name one with ?vector=; dense vectors there: {names}",
    )


def _set(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
